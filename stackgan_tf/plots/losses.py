"""How a run went: each loss term over the steps, one small plot each."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from stackgan_tf.config import Config
from stackgan_tf.errors import UserError
from stackgan_tf.files import json_lines
from stackgan_tf.generation import run_config
from stackgan_tf.plots import Request
from stackgan_tf.plots._panels import panels

SMOOTH = 1 / 15  # of the run: how much of it a point of the smoothed line is the mean of
COLORS = {"d": "#0072B2", "g": "#D55E00", "i": "#009E73"}  # by the first letter; told apart by the colour-blind


def draw(request: Request) -> Figure:
    """A plot for each term that the run has logged; raw values light, running means dark.

    Raises:
        UserError: not a run directory, or no step is logged in it.
    """
    names = _names(run_config(request.run_dir))
    logged = _logged(request.run_dir / "metrics.jsonl", names)
    figure, plots = panels([names[name] for name in logged], "step")
    for axes, (name, (steps, values)) in zip(plots, logged.items(), strict=True):
        axes.plot(steps, values, color=COLORS[name[0]], alpha=0.3, linewidth=0.5)
        axes.plot(steps, smoothed(values), color=COLORS[name[0]], linewidth=1.2)
    return figure


def smoothed(values: np.ndarray) -> np.ndarray:
    """Running means, [N] -> [N]; narrower at both ends, where values lack."""
    window = np.ones(max(1, round(SMOOTH * len(values))) // 2 * 2 + 1)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def _names(config: Config) -> dict[str, str]:
    """What is shown, and what it is called."""
    sides = config.judged_scales
    pairs = enumerate(zip(sides, sides[1:], strict=False))
    return (
        {f"d{i}/loss": f"D loss, {side} pixels" for i, side in enumerate(sides)}
        | {"g/loss": "G loss, with all terms", "g/kl": "KL divergence"}
        | {f"g/color/{i}": f"Colour consistency, {coarse} to {fine} pixels" for i, (coarse, fine) in pairs}
        | {"images_per_second": "Images per second"}
    )


def _logged(file: Path, names: Mapping[str, str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Steps and values of each name that is in the file."""
    if not file.is_file():
        raise UserError(f"{file}: is not there; only a run that was trained has losses")
    lines = json_lines(file)
    rows = {name: [(line["step"], line[name]) for line in lines if name in line] for name in names}
    found = {name: tuple(np.array(row, np.float64).T) for name, row in rows.items() if row}
    if not found:
        raise UserError(f"{file}: no line of a training step is in it yet")
    return found
