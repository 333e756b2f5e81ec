"""Random access to one split of a prepared data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from stackgan_tf.errors import UserError


def damaged(folder: Path, error: Exception) -> UserError:
    """What to say of prepared data that cannot be read."""
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{folder}: the prepared data are damaged ({reason}); remove that folder and prepare again")


class Record(NamedTuple):
    """One image as it is stored, with what is said of it."""

    image: bytes  # an encoded JPEG or PNG
    captions: tuple[str, ...]
    label: int
    name: str


class Records:
    """The records of a split by number, and the class of each.

    Random access makes a batch a pure function of its number: perfect shuffling without a buffer, mismatched
    images of another class by construction, and nothing to save but the step.

    Raises:
        UserError: the files of the split are missing or damaged.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str) -> None:
        try:
            self._source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
            self.labels = np.array([record["label"] for record in self._source], np.int64)
        except Exception as error:  # array_record and protobuf raise whatever the bytes lead to
            raise damaged(builder.data_path, error) from None

    def __len__(self) -> int:
        return len(self._source)

    def fetch(self, indices: Sequence[int]) -> list[Record]:
        """The records of these numbers."""
        return [
            Record(r["image"], tuple(c.decode() for c in r["captions"]), int(r["label"]), r["name"].decode())
            for r in self._source.__getitems__([int(i) for i in indices])
        ]

    def told(self, count: int) -> tuple[list[Record], list[str]]:
        """`count` records spread evenly over the split, and one caption of each: what pictures are drawn for."""
        chosen = self.fetch(np.linspace(0, len(self) - 1, count).astype(int))
        return chosen, [record.captions[i % len(record.captions)] for i, record in enumerate(chosen)]
