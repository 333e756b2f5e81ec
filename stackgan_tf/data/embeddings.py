"""The embeddings of a split's captions: computed once, kept beside the data, read from there as they are needed."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from stackgan_tf.data.records import Record, Records
from stackgan_tf.errors import UserError
from stackgan_tf.files import whole
from stackgan_tf.text import TextEncoder

CAPTIONS = "samples/captions.txt"  # of a run directory: of the test split, drawn again and again while it trains
CHUNK = 1024  # captions encoded at once


class Embeddings:
    """The embeddings of every caption of a split; only the rows that are asked for are read into memory.

    Args:
        encoder: what makes them, where they are not there or damaged; others are made when it or the captions change.

    Raises:
        UserError: there are images without captions, or the embeddings cannot be written.
    """

    def __init__(self, records: Records, encoder: TextEncoder) -> None:
        records.require_captions()
        self.first = np.concatenate([[0], np.cumsum(records.index.caption_counts)])  # row of a record's first caption
        key = hashlib.sha256(f"{encoder.fingerprint()}/{records.index.digest}".encode()).hexdigest()[:16]
        self.file = records.folder / "embeddings" / f"{encoder.name}-{key}" / f"{records.split}.npy"
        shape = (int(self.first[-1]), encoder.size)
        rows = _stored(self.file, shape)
        if rows is None:
            _compute(records, encoder, shape, self.file)
            rows = np.load(self.file, mmap_mode="r")
        self.rows = rows

    def of(self, record: int, captions: np.ndarray) -> np.ndarray:
        """Those of some captions of a record, by number: [k] -> [k, T]."""
        return self.rows[self.first[record] + captions]


def held_out(
    run_dir: Path, encoder: TextEncoder, builder: Callable[[], tfds.core.DatasetBuilder], count: int
) -> tuple[list[str], np.ndarray]:
    """At least `count` captions that a run did not learn from, with their embeddings: its own, or of the test split.

    Args:
        encoder: the run's.
        builder: gives the run's data set, where the run has fewer captions or the encoder knows images only.

    Raises:
        UserError: as `builder` and the encoder.
    """
    file = run_dir / CAPTIONS
    captions = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    if encoder.by_image or len(captions) < count:
        records, captions = Records(builder(), "test").told(2 * count)  # some may have no word
        return captions, told_embeddings(encoder, records, captions)
    return captions, encoder.encode(captions)


def told_embeddings(encoder: TextEncoder, records: Sequence[Record], captions: Sequence[str]) -> np.ndarray:
    """Those of the captions that `Records.told` chose of these records, of any encoder: [N, T] float32."""
    if not encoder.by_image:
        return encoder.encode(captions)
    of_images = [encoder.of_image(record.name, len(record.captions)) for record in records]
    return np.stack([rows[i % len(rows)] for i, rows in enumerate(of_images)])


def _stored(file: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """The rows of a file; None where it is missing, damaged or of another shape."""
    try:
        rows = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return rows if rows.shape == shape else None


def _compute(records: Records, encoder: TextEncoder, shape: tuple[int, int], file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as made:
            rows = np.lib.format.open_memmap(made, "w+", np.float32, shape)
            with tqdm(total=shape[0], desc=f"{encoder.name} embeddings", unit="caption", mininterval=0.5) as bar:
                for start, embedded in _chunks(records, encoder):
                    rows[start : start + len(embedded)] = embedded
                    bar.update(len(embedded))
            rows.flush()
    except OSError as error:
        raise UserError(f"{file}: the embeddings cannot be written ({error.strerror or error})") from None


def _chunks(records: Records, encoder: TextEncoder) -> Iterator[tuple[int, np.ndarray]]:
    """The embeddings of all captions in the order of their records, some at a time, with the row of the first."""
    start, captions = 0, []
    for i in range(len(records)):
        (record,) = records.fetch([i])
        if encoder.by_image:
            yield start, encoder.of_image(record.name, len(record.captions))
            start += len(record.captions)
            continue
        captions += record.captions
        if len(captions) >= CHUNK or i == len(records) - 1:
            yield start, encoder.encode(captions)
            start, captions = start + len(captions), []
