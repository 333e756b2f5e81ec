"""Finished runs side by side: one table, one picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stackgan_tf.data.embeddings import CAPTIONS
from stackgan_tf.errors import UserError
from stackgan_tf.files import json_lines, whole, write_whole
from stackgan_tf.generation import load_generator
from stackgan_tf.grids import comparison_grid

LAST = 0.1  # the losses are means over this last part of a run
SENTENCES = 6


def compare(run_dirs: Mapping[str, Path], out: Path) -> str:
    """Writes `table.md` and `pictures.png` to a folder; returns the table.

    Args:
        run_dirs: finished runs by the names that they shall have; all with text or all without.
    """
    rows, pictures, captions = {}, {}, [""] * SENTENCES
    for name, run_dir in run_dirs.items():
        lines = json_lines(run_dir / "metrics.jsonl")
        artist = load_generator(run_dir)
        rows[name] = {"G, parameters": sum(int(np.prod(v.shape)) for v in artist.generator.trainable_variables)}
        rows[name] |= _summary(lines)
        if artist.encoder:
            captions = (run_dir / CAPTIONS).read_text(encoding="utf-8").splitlines()[:SENTENCES]
        drawn = artist(captions if artist.encoder else SENTENCES)
        pictures[name] = drawn[max(drawn)]
    table = _table(rows)
    try:
        with whole(out / "pictures.png") as made:
            comparison_grid(pictures, captions).save(made)
        write_whole(out / "table.md", table)
    except OSError as error:
        raise UserError(f"--out={out}: cannot be written ({error.strerror or error})") from None
    return table


def _summary(lines: list[dict]) -> dict[str, float | str]:
    steps = [line for line in lines if "g/loss" in line]
    if not steps:
        raise UserError("metrics.jsonl: no line of a training step is in it; train the run again in another folder")
    last = steps[-max(1, round(LAST * len(steps))) :]
    found: dict[str, float | str] = {"steps": steps[-1]["step"]}
    found["images per second"] = f"{np.median([line['images_per_second'] for line in steps]):.1f}"
    for name in steps[-1]:
        if name.endswith("/loss") or name == "g/kl":
            found[name] = f"{np.mean([line[name] for line in last if name in line]):.3f}"
    for name, score in lines[-1].get("held_out_accuracy", {}).items():
        found[name] = f"{score:.1%}"
    return found


def _table(rows: Mapping[str, Mapping[str, object]]) -> str:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = ["| card | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    lines += [f"| {name} | " + " | ".join(str(row.get(c, "")) for c in columns) + " |" for name, row in rows.items()]
    return "\n".join(lines) + "\n"
