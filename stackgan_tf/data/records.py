"""Random access to one split of a prepared data set."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from tqdm import tqdm

from stackgan_tf.data.captioned import Box
from stackgan_tf.errors import UserError
from stackgan_tf.files import whole

MOST_LEFT_OUT = 0.01  # of a split, or one record, before its damage is no longer that of some records


def damaged(folder: Path, error: Exception) -> UserError:
    """What to say of prepared data that cannot be read."""
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{folder}: the prepared data are damaged ({reason}); remove that folder and prepare again")


class Unreadable(UserError):
    """A record that cannot be read; `number` says which."""

    def __init__(self, records: "Records", number: int, error: Exception) -> None:
        self.number = number
        super().__init__(str(damaged(records.folder, ValueError(f"record {number} of {records.split}: {error}"))))


class Record(NamedTuple):
    """One image as it is stored, with what is said of it."""

    image: bytes  # an encoded JPEG or PNG
    captions: tuple[str, ...]
    label: int
    name: str
    box: Box | None


class Index(NamedTuple):
    """What must be known of every record of a split before the first is read; kept beside the data."""

    labels: np.ndarray  # [N] int64
    caption_counts: np.ndarray  # [N] int64
    digest: str  # of all names and captions


class Records:
    """The records of a split by number, and the class of each.

    Random access makes a batch a pure function of its number: perfect shuffling without a buffer, mismatched
    images of another class by construction, and nothing to save but the step.

    Raises:
        UserError: the files of the split are missing or damaged.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str) -> None:
        self.folder, self.split, self.captioned = Path(builder.data_path), split, builder.CAPTIONED
        try:
            self._source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
            self.index = self._read_index() or self._kept(self.make_index())
        except Exception as error:  # array_record and protobuf raise whatever the bytes lead to
            raise damaged(self.folder, error) from None
        self.labels = self.index.labels
        self.stand_ins: dict[int, int] = {}  # for the records that were left out

    def __len__(self) -> int:
        return len(self._source)

    def require_captions(self) -> None:
        """Whether every image has a caption.

        Raises:
            UserError: one has none.
        """
        if not self.index.caption_counts.all():
            raise UserError(
                f"{self.folder}: has images without captions; train without text (--model=v2_unconditional)"
            )

    def fetch(self, indices: Sequence[int]) -> list[Record]:
        """The records of these numbers.

        Raises:
            Unreadable: one is damaged.
        """
        numbers = [int(i) for i in indices]
        try:
            return [_record(fields) for fields in self._source.__getitems__(numbers)]
        except Exception:  # see above
            return [self._read(number) for number in numbers]  # which is it, and is it still so?

    def _read(self, number: int) -> Record:
        try:
            return _record(self._source[number])
        except Exception as error:  # see above
            raise Unreadable(self, number, error) from None

    def leave_out(self, unreadable: Unreadable) -> None:
        """From now on another record stands in for this one: of its class, where that has another.

        Raises:
            Unreadable: there is none, or too many would be left out.
        """
        if unreadable.number in self.stand_ins:  # another thread met it too
            return
        out = {*self.stand_ins, unreadable.number}
        kept = set(range(len(self))) - out
        if not kept or len(out) > max(1, MOST_LEFT_OUT * len(self)):
            raise unreadable
        for number in out:
            alike = kept.intersection(np.flatnonzero(self.labels == self.labels[number])) or kept
            self.stand_ins[number] = int(min(alike, key=lambda other: (other - number) % len(self)))
        logging.warning("%s; until then another image is shown in its place", unreadable)

    def with_stand_ins(self, numbers: np.ndarray) -> np.ndarray:
        """These numbers, but that of its stand-in for each that was left out."""
        return np.array([self.stand_ins.get(number, number) for number in numbers.tolist()])

    def told(self, count: int, seed: int | None = None) -> tuple[list[Record], list[str]]:
        """`count` records spread evenly over the split, and one caption of each: what pictures are drawn for.

        Args:
            seed: draws them at random instead, no record twice and no more than there are.
        """
        evenly = np.linspace(0, len(self) - 1, count).astype(int)
        chosen = self.fetch(evenly if seed is None else np.random.default_rng(seed).permutation(len(self))[:count])
        return chosen, [record.captions[i % len(record.captions)] for i, record in enumerate(chosen)]

    @property
    def _index_file(self) -> Path:
        return self.folder / f"index-{self.split}.npz"

    def _read_index(self) -> Index | None:
        if not self._index_file.is_file():
            return None
        with np.load(self._index_file, allow_pickle=False) as file:
            index = Index(file["labels"], file["caption_counts"], str(file["digest"]))
        if len(index.labels) != len(self):
            raise ValueError(f"{self._index_file.name} is of {len(index.labels)} records, the split has {len(self)}")
        return index

    def make_index(self) -> Index:
        """Reads every record once, but for a set without captions: nothing is told of its images."""
        labels, counts = np.zeros((2, len(self)), np.int64)
        digest = hashlib.sha256()
        numbers = range(len(self) if self.captioned else 0)
        for i in tqdm(numbers, f"indexing {self.split}", unit="image", leave=False, mininterval=0.5):
            record = _record(self._source[i])
            labels[i], counts[i] = record.label, len(record.captions)
            digest.update("\n".join((record.name, *record.captions, "")).encode())
        return Index(labels, counts, digest.hexdigest())

    def _kept(self, index: Index) -> Index:
        try:
            with whole(self._index_file) as made:
                np.savez(made, **index._asdict())
        except OSError as error:
            logging.warning("%s: cannot be written (%s); it is made anew each time", self._index_file, error.strerror)
        return index


def _record(fields: dict) -> Record:
    captions = tuple(caption.decode() for caption in fields["captions"])
    box = tuple(int(n) for n in fields["box"]) if "box" in fields else None
    return Record(fields["image"], captions, int(fields["label"]), fields["name"].decode(), box)
