"""From sentences to pictures with a trained generator."""

import numbers
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from scipy.special import ndtr, ndtri

from stackgan_tf import cards, networks, text
from stackgan_tf.checkpoint import AVERAGE, restore_generator
from stackgan_tf.config import Config, from_dict
from stackgan_tf.errors import UserError
from stackgan_tf.text import TextEncoder


class TextToImage:
    """Draws pictures for sentences or embeddings, or without text, always the same for the same seed."""

    def __init__(
        self, config: Config, generator: keras.Model, encoder: TextEncoder | None, step: int | None = None
    ) -> None:
        self.config = config
        self.generator = generator
        self.encoder = encoder
        self.step = step  # of the checkpoint that it is from
        self._draw = tf.function(generator, reduce_retracing=True)

    def __call__(
        self, sentences: str | Sequence[str] | np.ndarray | int, seed: int = 0, batch_size: int = 32
    ) -> dict[int, np.ndarray]:
        """Pictures by the side of their scale in pixels: `{side: [N, side, side, 3] uint8}`; of one side, the last.

        Args:
            sentences: one or N sentences, or their embeddings [N, T]; without text: N.
            seed: of z and eps. Picture i depends on the seed, on i and on its sentence alone.
            batch_size: how many are drawn at once.

        Raises:
            UserError: text for a model without, none for a model with, a blank sentence, embeddings of another size,
                a seed below 0, a batch size below 1.
        """
        if seed < 0 or batch_size < 1:
            raise UserError(f"seed={seed}, batch_size={batch_size}: must be at least 0 and at least 1")
        embeddings, count = self._embeddings(sentences)
        drawn: list[list[np.ndarray]] = [[] for _ in self.config.scales]
        for start in range(0, count, batch_size):
            rows = range(start, min(start + batch_size, count))
            noise = self.noise(seed, rows)
            conditions = {} if embeddings is None else {"text_embedding": embeddings[rows.start : rows.stop]}
            for images, scale in zip(self.draw(**noise, **conditions), drawn, strict=True):
                scale.append(images)
        return {side: np.concatenate(scale) for side, scale in zip(self.config.scales, drawn, strict=True)}

    def _embeddings(self, sentences: str | Sequence[str] | np.ndarray | int) -> tuple[np.ndarray | None, int]:
        if self.encoder is None:
            if not isinstance(sentences, numbers.Integral) or sentences < 1:
                raise UserError(f"this model draws without text: give the number of pictures, not {sentences!r}")
            return None, int(sentences)
        if isinstance(sentences, np.ndarray) and sentences.dtype.kind == "f":
            if sentences.ndim != 2 or sentences.shape[1] != self.encoder.size or not len(sentences):
                raise UserError(f"text embeddings of shape {sentences.shape}: must be (N, {self.encoder.size})")
            return sentences.astype(np.float32), len(sentences)
        sentences = [sentences] if isinstance(sentences, str) else sentences
        if not isinstance(sentences, Sequence | np.ndarray) or not len(sentences):
            raise UserError(f"this model draws from sentences: give at least one, not {sentences!r}")
        for sentence in sentences:
            if not isinstance(sentence, str):
                raise UserError(f"this model draws from sentences, or from embeddings as one array; not {sentence!r}")
        embeddings = self.encoder.encode(sentences)
        for sentence, embedding in zip(sentences, embeddings, strict=True):
            if not sentence.strip() or not embedding.any():
                raise UserError(f"the sentence {sentence!r} has no word")
        return embeddings, len(sentences)

    def draw(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """Pictures at every scale, [N, side, side, 3] uint8, for the generator's own inputs: see `noise`."""
        return [np.rint((images.numpy() + 1) * 127.5).astype(np.uint8) for images in self._draw(**inputs).images]

    def noise(self, seed: int, rows: Iterable[int]) -> dict[str, np.ndarray]:
        """The inputs z [N, Z] and, with text, eps [N, E] of these pictures: each drawn from the seed and its number."""
        rngs = [np.random.default_rng((seed, row)) for row in rows]
        of_eps = {"normal": _normal, "truncated_normal": _truncated_normal}[self.config.model.eps_distribution]
        draws = {name: _normal if name == "z" else of_eps for name in self.generator.noise_sizes}
        sizes = self.generator.noise_sizes
        return {name: np.stack([draws[name](rng, size) for rng in rngs]) for name, size in sizes.items()}


def _normal(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.standard_normal(size, np.float32)


def _truncated_normal(rng: np.random.Generator, size: int) -> np.ndarray:
    low, high = ndtr([-2.0, 2.0])
    return ndtri(rng.uniform(low, high, size)).astype(np.float32)


def load_generator(run_dir: str | Path, part: str = AVERAGE) -> TextToImage:
    """The generator of a run's newest checkpoint, in float32.

    Args:
        part: `checkpoint.AVERAGE` (EMA), or `checkpoint.LIVE`.

    Raises:
        UserError: not a run directory, no checkpoint, or a damaged one.
    """
    config = run_config(run_dir)
    generator = networks.build_generator(config)
    step = restore_generator(generator, Path(run_dir), part)
    encoder = text.load(config.data, Path(run_dir)) if config.model.conditional else None
    return TextToImage(config, generator, encoder, step)


def run_config(run_dir: str | Path) -> Config:
    """The configuration that a run was trained with.

    Raises:
        UserError: not a run directory.
    """
    path = Path(run_dir) / "config.yaml"
    if not path.is_file():
        raise UserError(f"{run_dir}: not a run directory (no config.yaml); train one with python -m stackgan_tf.train")
    return from_dict(cards.read(path))  # complete: no preset lies under it
