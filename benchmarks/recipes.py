"""What helps training? One card with each option alone, from several seeds, measured in the same way.

    python -m stackgan_tf.train_classifier --dataset=oxford102 --network=small
    python -m stackgan_tf.train_text_encoder --dataset=oxford102
    python benchmarks/recipes.py --set=model.gf=16 --set=model.df=16 --set=model.branches=2 --steps=10000 \\
        --extractor=classifiers/oxford102_small/oxford102_small.keras

Every run of a seed begins with the same weights (but with `layer_norm`, whose D draws fewer), sees the same images in
the same order and takes as many steps; only the option differs. Seeds come last: after each the table is whole. The
same command goes on where it was interrupted, and leaves out what is trained or measured; it writes `table.md` in
--out, losers included.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from stackgan_tf import program
from stackgan_tf.errors import UserError
from stackgan_tf.files import write_whole

BASE = "published"
RECIPES: dict[str, tuple[str, ...]] = {  # weights as in the papers; R1's gamma as for images of 64 to 128 pixels
    BASE: (),
    "layer_norm": ("model.discriminator_norm=layer",),
    "hinge": ("loss.adversarial=hinge",),
    "least_squares": ("loss.adversarial=least_squares",),
    "label_smoothing": ("loss.label_smoothing=0.1",),
    "r1": ("loss.r1_weight=1",),
    "matching_aware": ("loss.matching_aware_weight=2",),
    "diff_augment": ("loss.diff_augment=color,translation,cutout",),
    "translation_cutout": ("loss.diff_augment=translation,cutout",),
    "spectral_norm": ("model.spectral_norm=true",),
    "linear_decay": ("optimizer.decay=linear",),
    "cosine_decay": ("optimizer.decay=cosine", "optimizer.decay_from=0"),
    "warmup": ("optimizer.warmup_steps=1000",),
}

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", "oxford102", "As in stackgan_tf.train.")
flags.DEFINE_string("model", "v2", "As in stackgan_tf.train.")
flags.DEFINE_multi_string("set", [], "Changes one field of every run: section.field=value. May be repeated.")
flags.DEFINE_list("recipes", list(RECIPES), "Which to compare; several at once joined by +, as in hinge+r1.")
flags.DEFINE_list("seeds", ["0", "1", "2"], "Of weights, noise and data order.")
flags.DEFINE_integer("steps", 10_000, "Training steps of each.")
flags.DEFINE_string("precision", None, "As in stackgan_tf.train.")
flags.DEFINE_string("source_dir", None, "As in stackgan_tf.train.")
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "As in stackgan_tf.train.")
flags.DEFINE_list("protocol", ["fid", "r_precision"], "As in stackgan_tf.evaluate.")
flags.DEFINE_integer("num_samples", 5000, "As in stackgan_tf.evaluate.")
flags.DEFINE_string("extractor", None, "As in stackgan_tf.evaluate.", required=True)
flags.DEFINE_string("joint_encoder", None, "As in stackgan_tf.evaluate.")
flags.DEFINE_string("out", "runs/recipes", "The folder of the runs and of the table.")


def overrides(recipe: str) -> list[str]:
    """The fields that a recipe changes.

    Raises:
        UserError: there is no such recipe.
    """
    unknown = [name for name in recipe.split("+") if name not in RECIPES]
    if unknown:
        raise UserError(f"--recipes: no {', '.join(unknown)}; choose from {', '.join(RECIPES)}")
    return [change for name in recipe.split("+") for change in RECIPES[name]]


def run(name: str, *named: str, **given: object) -> None:
    """One of the package's programs; ends with its exit code where that is not 0."""
    said = [f"--{flag}={value}" for flag, value in given.items() if value is not None]
    if code := subprocess.run([sys.executable, "-m", f"stackgan_tf.{name}", *said, *named]).returncode:
        sys.exit(code)


def figures(recipe: str, seed: str) -> dict[str, float]:
    """What a run measures, by the names of the figures; trains it and measures it where that is still to do."""
    from stackgan_tf.evaluation.judge import FOLDER, written

    run_dir = Path(FLAGS.out).expanduser() / f"{recipe}_{seed}"
    places = {"source_dir": FLAGS.source_dir, "data_dir": FLAGS.data_dir, "run_dir": run_dir}
    measured = run_dir / FOLDER / f"{FLAGS.steps}.json"
    if not measured.is_file():
        changes = [f"--set={change}" for change in (*FLAGS.set, *overrides(recipe))]
        same = {"dataset": FLAGS.dataset, "model": FLAGS.model, "steps": FLAGS.steps, "precision": FLAGS.precision}
        run("train", *changes, seed=seed, **same, **places)
        judge = {"extractor": FLAGS.extractor, "joint_encoder": FLAGS.joint_encoder, "num_samples": FLAGS.num_samples}
        run("evaluate", protocol=",".join(FLAGS.protocol), **judge, **places)
    found = {figure["name"]: figure["value"] for figure in written(measured)}
    return found | {"images per second": statistics.median(speeds(run_dir))}


def speeds(run_dir: Path) -> Iterator[float]:
    """Images per second, each time they were logged."""
    for line in (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        if (speed := json.loads(line).get("images_per_second")) is not None:
            yield speed


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Mean and standard deviation over the seeds, and each seed's figure, as Markdown."""
    columns = list(found[next(iter(found))][0])
    lines = ["| recipe | fields | " + " | ".join(columns) + " |", "| --- | --- |" + " --- |" * len(columns)]
    for recipe, rows in found.items():
        cells = [" ".join(overrides(recipe))]
        for column in columns:
            values = [row[column] for row in rows]
            spread = f" ± {statistics.stdev(values):.3g}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.4g}{spread} ({', '.join(f'{v:.4g}' for v in values)})")
        lines.append(f"| {recipe} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Trains, measures, tells."""
    for recipe in FLAGS.recipes:
        overrides(recipe)  # a wrong one is told before hours are spent
    program.load_tensorflow()
    found: dict[str, list[dict[str, float]]] = {recipe: [] for recipe in FLAGS.recipes}
    for seed in FLAGS.seeds:
        for recipe in FLAGS.recipes:
            print(f"{recipe}, seed {seed}", file=sys.stderr)
            found[recipe].append(figures(recipe, seed))
        write_whole(Path(FLAGS.out).expanduser() / "table.md", table(found))
    print(table(found))
    return 0


if __name__ == "__main__":
    program.run(main)
