"""Whether a run still gains: each figure of `stackgan_tf.evaluate` over the images that the run itself had seen."""

import json
import re
from pathlib import Path

from matplotlib.figure import Figure

from stackgan_tf.errors import UserError
from stackgan_tf.evaluation import judge
from stackgan_tf.generation import run_config
from stackgan_tf.plots import Request
from stackgan_tf.plots._panels import panels

DRAWN, REAL = "#0072B2", "#666666"


def draw(request: Request) -> Figure:
    """A plot for each figure: its value and error at each step that was measured, and what photographs get, dashed.

    Figures of other choices (extractor, samples, seed, weights) are plots of their own.

    Raises:
        UserError: not a run directory, or no step was measured.
    """
    batch = run_config(request.run_dir).train.batch_size
    curves = _curves(request.run_dir / judge.FOLDER)
    titles = [re.sub(r"(\dk?)_", r"\1\n", points[0][1]["name"], count=1) for points in curves]
    figure, plots = panels(titles, "thousands of images seen")
    for axes, points in zip(plots, curves, strict=True):
        seen = [step * batch / 1000 for step, _ in points]
        errors = [f["error"] or 0.0 for _, f in points]
        axes.errorbar(
            seen, [f["value"] for _, f in points], errors, color=DRAWN, marker=".", linewidth=1.2, clip_on=False
        )
        axes.set_xlim(left=0)
        if points[-1][1]["real"] is not None:
            axes.axhline(points[-1][1]["real"], color=REAL, linewidth=0.8, linestyle="--")
    return figure


def _curves(folder: Path) -> list[list[tuple[int, judge.Figure]]]:
    """Step and figure, in the order of steps, of each name and choices."""
    files = sorted((path for path in folder.glob("*.json") if path.stem.isdigit()), key=lambda path: int(path.stem))
    curves: dict[str, list[tuple[int, judge.Figure]]] = {}
    for path in files:
        for figure in judge.written(path):
            key = json.dumps([figure["name"], judge.choices_of(figure)], sort_keys=True)
            curves.setdefault(key, []).append((int(path.stem), figure))
    if not curves:
        raise UserError(f"{folder}: has no figures; stackgan_tf.evaluate measures a run, --step=N an older checkpoint")
    return list(curves.values())
