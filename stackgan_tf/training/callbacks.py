"""What happens around the steps: the bar, the logs, the pictures. None of it changes the training."""

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from stackgan_tf import grids
from stackgan_tf.config import Config
from stackgan_tf.data.embeddings import CAPTIONS
from stackgan_tf.files import naming, whole, write_whole
from stackgan_tf.generation import TextToImage
from stackgan_tf.training.events import Events


class Callback:
    """Called by the loop with the number of steps done; each does what it has to."""

    def on_log(self, step: int, metrics: dict[str, float]) -> None:
        """Every `log_every_steps`: the loss terms, means over those steps, and images per second."""

    def on_sample(self, step: int) -> None:
        """Every `sample_every_steps`, and at the end."""

    def on_end(self) -> None:
        """Once, however the loop ends."""


class Callbacks(Callback):
    """Several as one. One that cannot write, as on a full disk, is told of once and does not end the training."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = callbacks
        self.told: set[Callback] = set()

    def on_log(self, step: int, metrics: dict[str, float]) -> None:
        self._each(lambda callback: callback.on_log(step, metrics))

    def on_sample(self, step: int) -> None:
        self._each(lambda callback: callback.on_sample(step))

    def on_end(self) -> None:
        self._each(lambda callback: callback.on_end())

    def _each(self, call: Callable[[Callback], None]) -> None:
        for callback in self.callbacks:
            try:
                call(callback)
            except OSError as error:
                if callback not in self.told:
                    self.told.add(callback)
                    name = type(callback).__name__
                    logging.warning("%s: cannot write (%s); training goes on, and it is tried again", name, error)


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
    """A line of JSON for each log, of what is finite; after a restart, lines from beyond the checkpoint are dropped."""

    def __init__(self, path: Path, start_step: int) -> None:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _step_of(line) <= start_step]
        write_whole(path, "".join(f"{line}\n" for line in kept))
        self.path = path

    def on_log(self, step: int, metrics: dict[str, float]) -> None:
        logged = {name: float(f"{value:.6g}") for name, value in metrics.items() if math.isfinite(value)}
        self.append({"step": step, "time": round(time.time(), 3)} | logged)

    def append(self, line: dict) -> None:
        """Adds one line, or none of it.

        Raises:
            OSError: it cannot be written.
        """
        end = self.path.stat().st_size if self.path.exists() else 0
        try:
            with naming(self.path), self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, allow_nan=False) + "\n")
        except OSError:
            os.truncate(self.path, end)
            raise


class TensorBoard(Callback):
    """The metrics as scalars."""

    def __init__(self, run_dir: Path) -> None:
        self.events = Events(run_dir)

    def on_log(self, step: int, metrics: dict[str, float]) -> None:
        with self.events.at(step):
            for name, value in metrics.items():
                tf.summary.scalar(name, np.float32(value))

    def on_end(self) -> None:
        self.events.close()


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
        self.events = Events(run_dir)

    def on_sample(self, step: int) -> None:
        grid = grids.caption_grid(self.artist(self.asked), self.captions)
        with whole(self.folder / f"step_{step:07d}.png") as made:
            grid.save(made)
        with self.events.at(step):
            tf.summary.image("samples", np.asarray(grid)[None])

    def on_end(self) -> None:
        self.events.close()


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # a line cut short by a kill
