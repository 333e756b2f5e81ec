"""A trained run as a folder of `pretrained/`, with its card: see `pretrained` for what is in it."""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

import stackgan_tf
from stackgan_tf import checkpoint, networks, pretrained
from stackgan_tf.config import Config, dump
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation import judge
from stackgan_tf.files import json_lines, whole, write_whole
from stackgan_tf.generation import run_config
from stackgan_tf.text import FOLDER as TEXT_ENCODER

METRICS = "metrics.jsonl"  # of a run directory


class Told(NamedTuple):
    """What a card says that the run does not know."""

    name: str
    data: str
    licence: str
    command: str
    notes: str  # Markdown


def write(run_dir: Path, folder: Path, told: Told, with_discriminators: bool) -> dict[str, Any]:
    """Writes the folder, all of it or nothing; returns its card.

    Raises:
        UserError: no run, no checkpoint, weights that float16 does not hold, or as `_seen`.
        OSError: the run has no metrics or environment, or the folder cannot be written.
    """
    config = run_config(run_dir)
    with tf.Graph().as_default():  # names and shapes only: no weight is drawn
        nets = networks.build(config)
    step, generator = checkpoint.saved_generator(run_dir, checkpoint.shapes_by_path(nets.generator))
    shapes = [checkpoint.shapes_by_path(d) for d in nets.discriminators]
    judges = checkpoint.saved_discriminators(run_dir, shapes) if with_discriminators else None
    figures = judge.written(run_dir / judge.FOLDER / f"{step}.json")
    card = _card(run_dir, config, step, told)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole(folder) as made:
        made.mkdir()
        (made / "config.yaml").write_text(dump(_placeless(config)), encoding="utf-8")
        if (run_dir / TEXT_ENCODER).is_dir():
            shutil.copytree(run_dir / TEXT_ENCODER, made / TEXT_ENCODER)
        pretrained.write(made / pretrained.GENERATOR, generator)
        if judges:
            values = {f"{i}/{name}": value for i, one in enumerate(judges) for name, value in one.items()}
            pretrained.write(made / pretrained.DISCRIMINATORS, values)
        card["files"] = _files(made)
        if figures:  # not among the files that are checked: who evaluates the model adds to it
            (made / judge.FOLDER).mkdir()
            shutil.copy(run_dir / judge.FOLDER / f"{step}.json", made / judge.FOLDER)
        (made / pretrained.CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        write_readme(made)
    return card


def _placeless(config: Config) -> Config:
    """Without the runs that it began from, which lie elsewhere or nowhere: the card's command tells them."""
    return dataclasses.replace(config, train=dataclasses.replace(config.train, start_from="", stage1_run_dir=""))


def write_readme(folder: Path) -> None:
    """A model's README.md, from its card and its figures."""
    card = pretrained.card(folder)
    figures = judge.written(folder / judge.FOLDER / f"{card['step']}.json")
    write_whole(folder / "README.md", readme(card, figures))


def readme(card: Mapping[str, Any], figures: list[judge.Figure]) -> str:
    """A model's card for people, all of it from `model.json` and the figures of `evaluation/`."""
    size = sum(size for size, _ in card["files"].values())
    sentence = "" if card["text_encoder"] is None else ' --text="..."'
    facts = {
        "learnt from": card["data"],
        "images seen": f"{card['images_seen']:,} (step {card['step']:,}, batches of {card['batch_size']})",
        "time": f"{card['hours']:.1f} hours in all, the last run on {card['machine']}, {card['precision']}",
        "reads text by": card["text_encoder"] or "nothing: it draws without text",
        "trained by": f"`{card['command']}`",
        "weights": f"the average of G, kernels in float16; {size / 1e6:.1f} MB with all that is beside it",
        "licence of the weights": card["licence_of_the_weights"],
        "made with": ", ".join(f"{name} {version}" for name, version in card["made_with"].items()),
    }
    lines = [
        f"# {card['name']}",
        "",
        f"{card['what']}.",
        "",
        "```",
        f"python -m stackgan_tf.sample --pretrained={card['name']}{sentence}",
        "```",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in facts.items()),
        "",
        card["notes"].strip(),
    ]
    if figures:
        lines += ["", "## Figures", "", "By `stackgan_tf.evaluate`; real: the floor, of photographs in its place.", ""]
        lines += ["| protocol | value | error | real |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {f['name']} | {judge.short(f['value'])} | {judge.short(f['error'])} | {judge.short(f['real'])} |"
            for f in figures
            if f["weights"] == "ema"
        ]
    return "\n".join(lines) + "\n"


def _card(run_dir: Path, config: Config, step: int, told: Told) -> dict[str, Any]:
    """All but the files."""
    images, hours = _seen(run_dir, config, step)
    scales = ", ".join(map(str, config.scales))
    branches = f", {config.model.branches} branches" if config.model.family == "v2" else ""
    return {
        "format": pretrained.FORMAT,
        "name": told.name,
        "what": f"{config.model.name}{branches}, gf {config.model.gf}, of {scales} pixels: {config.data.dataset}",
        "data": told.data,
        "step": step,
        "batch_size": config.train.batch_size,
        "images_seen": images,
        "hours": round(hours, 2),
        "machine": _machine(run_dir / "environment.json"),
        "precision": config.train.precision,
        "text_encoder": config.data.text_encoder if config.model.conditional else None,
        "command": told.command,
        "licence_of_the_weights": told.licence,
        "notes": told.notes,
        "made_with": {"stackgan_tf": stackgan_tf.__version__, "tensorflow": tf.__version__},
    }


def _seen(run_dir: Path, config: Config, step: int) -> tuple[int, float]:
    """Images and hours of a run, and of all that it started from, Stage-I among it.

    Raises:
        UserError: one of these is not there any more.
    """
    images, hours = step * config.train.batch_size, _hours(run_dir / METRICS, config)
    begun_from = config.train.start_from or config.train.stage1_run_dir
    if not begun_from:
        return images, hours
    folder = pretrained.folder_of(begun_from)
    if pretrained.is_pretrained(folder):
        card = pretrained.card(folder)
        return images + card["images_seen"], hours + card["hours"]
    before = run_config(folder)
    path = checkpoint.latest(folder)
    if path is None:
        raise UserError(f"{folder}: has no checkpoint; the card tells how many images {run_dir} has seen")
    earlier = _seen(folder, before, checkpoint.checkpoint_step(path))
    return images + earlier[0], hours + earlier[1]


def _hours(metrics: Path, config: Config) -> float:
    """Of training, by the images per second that the run logged; what lay between its parts is not counted."""
    seconds, last = 0.0, 0
    for logged in json_lines(metrics):
        if "images_per_second" in logged:
            seconds += (logged["step"] - last) * config.train.batch_size / logged["images_per_second"]
            last = logged["step"]
    return seconds / 3600


def _machine(environment: Path) -> str:
    try:
        said = json.loads(environment.read_text(encoding="utf-8"))
        processors = said["processors"]
        return ", ".join(said["gpus"]) or f"{processors} processor{'s' if processors > 1 else ''}"
    except (ValueError, KeyError):
        return "a machine that is not told"


def _files(folder: Path) -> dict[str, list[Any]]:
    """Size and SHA-256 of every file, by its path in the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): [path.stat().st_size, pretrained.sha256(path)] for path in paths}
