"""A trained generator as an artist."""

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import stackgan_tf
from stackgan_tf import cards, networks, pretrained, text
from stackgan_tf.checkpoint import AVERAGE, restore_generator
from stackgan_tf.config import Config, from_dict
from stackgan_tf.drawing import Artist, grey_levels
from stackgan_tf.errors import UserError
from stackgan_tf.quick.model import quicken
from stackgan_tf.text import TextEncoder


class TextToImage(Artist):
    """Draws with a Keras generator."""

    def __init__(
        self, config: Config, generator: keras.Model, encoder: TextEncoder | None, step: int | None = None
    ) -> None:
        super().__init__(config.scales, generator.noise_sizes, config.model.eps_distribution, encoder)
        self.config = config
        self.generator = generator
        self.step = step  # of the checkpoint that it is from
        self._draw = tf.function(generator, reduce_retracing=True)

    def draw(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """Pictures at every scale, [N, side, side, 3] uint8, for the generator's own inputs: see `noise`."""
        return [grey_levels(images.numpy()) for images in self._draw(**inputs).images]


def tensor_grey_levels(images: tf.Tensor) -> tf.Tensor:
    """`drawing.grey_levels` in a graph."""
    return tf.cast(tf.round((images + 1) * 127.5), tf.uint8)


def load_generator(
    run_dir: str | Path, part: str = AVERAGE, precision: str = "float32", step: int | None = None
) -> TextToImage:
    """The generator of a run's newest checkpoint, or of a model that comes with the repository.

    Args:
        run_dir: a run directory, or a name of `pretrained`.
        part: `checkpoint.AVERAGE` (EMA), or `checkpoint.LIVE`.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`: in half precision pictures differ by a few grey
            levels, and come several times as fast where a processor multiplies it.
        step: of an older checkpoint, in place of the newest.

    Raises:
        UserError: not a run directory, no checkpoint, or a damaged one; or as `pretrained.check`.
    """
    run_dir = pretrained.folder_of(run_dir)
    config = run_config(run_dir)
    generator = networks.build_generator(config, precision)
    if precision != "float32":
        quicken(generator)  # compiles at its first batch: for one picture in float32 it would not pay
    step = restore_generator(generator, run_dir, part, step)
    encoder = text.load(config.data, run_dir) if config.model.conditional else None
    return TextToImage(config, generator, encoder, step)


def run_config(run_dir: str | Path) -> Config:
    """The configuration that a run was trained with.

    Raises:
        UserError: not a run directory, or one of another version of this package with other fields.
    """
    path = Path(run_dir) / "config.yaml"
    if not path.is_file():
        ours = ", ".join(pretrained.names())
        named = f", or name a trained model: {ours}" if ours else ""
        said = f"{run_dir}: not a run directory (no config.yaml)"
        raise UserError(f"{said}; train one with python -m stackgan_tf.train{named}")
    try:
        return from_dict(cards.read(path))  # complete: no preset lies under it
    except UserError as error:
        raise UserError(f"{error}{_other_version(path.parent)}") from None


def _other_version(run_dir: Path) -> str:
    """What a run says of the package that made it, where that was another version."""
    try:
        made_by = json.loads((run_dir / "environment.json").read_text(encoding="utf-8"))["stackgan_tf"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    ours = stackgan_tf.__version__
    return "" if made_by == ours else f" (the run is of stackgan_tf {made_by}, this is {ours})"
