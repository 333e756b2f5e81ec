"""What happens around the steps: the bar, the logs, the pictures. None of it changes the training."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from stackgan_tf import grids
from stackgan_tf.config import Config
from stackgan_tf.data.embeddings import CAPTIONS
from stackgan_tf.files import write_whole
from stackgan_tf.generation import TextToImage


class Callback:
    """Called by the loop with the number of steps done; each does what it has to."""

    def on_log(self, step: int, metrics: dict[str, float]) -> None:
        """Every `log_every_steps`: the loss terms, means over those steps, and images per second."""

    def on_sample(self, step: int) -> None:
        """Every `sample_every_steps`, and at the end."""

    def on_end(self) -> None:
        """Once, however the loop ends."""


class ProgressBar(Callback):
    """Step, images per second, losses and time left on the terminal."""

    def __init__(self, start_step: int, config: Config) -> None:
        self.bar = tqdm(total=config.train.steps, initial=start_step, unit="step", dynamic_ncols=True, mininterval=1.0)

    def on_log(self, step: int, metrics: dict[str, float]) -> None:
        losses = {name.removesuffix("/loss"): f"{v:.2f}" for name, v in metrics.items() if name.endswith("/loss")}
        self.bar.set_postfix({"img/s": f"{metrics['images_per_second']:.1f}"} | losses, refresh=False)
        self.bar.update(step - self.bar.n)

    def on_end(self) -> None:
        self.bar.close()


class MetricsFile(Callback):
    """A line of JSON for each log; after a restart, lines from beyond the checkpoint are dropped."""

    def __init__(self, path: Path, start_step: int) -> None:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _step_of(line) <= start_step]
        write_whole(path, "".join(f"{line}\n" for line in kept))
        self.path = path

    def on_log(self, step: int, metrics: dict[str, float]) -> None:
        self.append({"step": step, "time": round(time.time(), 3)} | {k: float(f"{v:.6g}") for k, v in metrics.items()})

    def append(self, line: dict) -> None:
        """Adds one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class TensorBoard(Callback):
    """The metrics as scalars."""

    def __init__(self, run_dir: Path) -> None:
        self.writer = tf.summary.create_file_writer(str(run_dir / "tensorboard"))

    def on_log(self, step: int, metrics: dict[str, float]) -> None:
        with self.writer.as_default(step):
            for name, value in metrics.items():
                tf.summary.scalar(name, value)

    def on_end(self) -> None:
        self.writer.close()


class Samples(Callback):
    """Pictures of fixed captions (`captions.txt`) and fixed noise by the averaged generator: PNG and TensorBoard.

    Args:
        captions: N sentences; empty ones without text.
        embeddings: of the captions, [N, T]; None without text.
    """

    def __init__(
        self, run_dir: Path, artist: TextToImage, captions: Sequence[str], embeddings: np.ndarray | None = None
    ) -> None:
        self.folder = run_dir / "samples"
        self.folder.mkdir(exist_ok=True)
        if artist.encoder:
            write_whole(run_dir / CAPTIONS, "".join(f"{' '.join(c.split())}\n" for c in captions))
        self.artist, self.captions = artist, captions
        self.asked = len(captions) if embeddings is None else embeddings
        self.writer = tf.summary.create_file_writer(str(run_dir / "tensorboard"))

    def on_sample(self, step: int) -> None:
        grid = grids.caption_grid(self.artist(self.asked), self.captions)
        grid.save(self.folder / f"step_{step:07d}.png")
        with self.writer.as_default(step):
            tf.summary.image("samples", np.asarray(grid)[None])

    def on_end(self) -> None:
        self.writer.close()


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # a line cut short by a kill
