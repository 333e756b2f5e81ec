"""Real inputs of a generator: to learn int8's ranges from, and to compare exported files with the run by."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from stackgan_tf.data.embeddings import Embeddings, held_out
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.generation import TextToImage
from stackgan_tf.noise import exported_names

Examples = Mapping[str, np.ndarray]  # inputs of `Signatures.on_device` by name, [N, ...] each
Builder = Callable[[], tfds.core.DatasetBuilder]

CALIBRATION, COMPARED = 100, 8  # examples
SEED = 0  # of the noise of what is compared


def calibration(artist: TextToImage, builder: Builder, given: np.ndarray | None) -> Examples:
    """Of the captions of the training split, spread evenly over it, or of given embeddings without the last ones.

    Raises:
        UserError: there are neither.
    """
    if artist.encoder is None:
        return _with_noise(artist, None, CALIBRATION, seed=1)
    if given is None:
        try:
            given = Embeddings(Records(builder(), "train"), artist.encoder).rows
        except UserError as error:
            raise UserError(
                f"--quantize=int8: needs captions to learn ranges from, or --embeddings=FILE.npy ({error})"
            ) from None
    elif len(given) >= 2 * COMPARED:
        given = given[:-COMPARED]
    spread = np.linspace(0, len(given) - 1, CALIBRATION).astype(int)
    return _with_noise(artist, given[spread], CALIBRATION, seed=1)


def compared(artist: TextToImage, run_dir: Path, builder: Builder, given: np.ndarray | None) -> Examples:
    """Of captions that the run did not learn from, or of the last given embeddings."""
    if artist.encoder is None:
        return _with_noise(artist, None, COMPARED, seed=SEED)
    if given is None:
        _, given = held_out(run_dir, artist.encoder, builder, COMPARED)
    return _with_noise(artist, np.resize(given[-COMPARED:], (COMPARED, artist.encoder.size)), COMPARED, seed=SEED)


def rows(examples: Examples) -> list[Examples]:
    """One by one, each a batch of one."""
    return [{name: given[i : i + 1] for name, given in examples.items()} for i in range(len(examples["noise"]))]


def check(artist: TextToImage, given: np.ndarray) -> None:
    """Whether embeddings fit a generator.

    Raises:
        UserError: they do not.
    """
    if artist.encoder is None:
        raise UserError("--embeddings: this run was trained without text; leave it out")
    if given.shape[1] != artist.encoder.size:
        raise UserError(f"--embeddings: of shape {given.shape}; must be (N, {artist.encoder.size})")


def _with_noise(artist: TextToImage, embeddings: np.ndarray | None, count: int, seed: int) -> Examples:
    drawn = exported_names(artist.noise(seed, range(count)))
    return drawn if embeddings is None else drawn | {"text_embedding": np.asarray(embeddings, np.float32)}
