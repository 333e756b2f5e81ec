"""LSUN scenes, as the published LMDB or as a folder of images.

Source: Yu et al., arXiv 1506.03365. The values of the LMDB are encoded images (WebP), its keys their hashes.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from stackgan_tf.data.captioned import Source
from stackgan_tf.data.photographs import SUFFIXES
from stackgan_tf.data.uncaptioned import UncaptionedImages
from stackgan_tf.errors import UserError

PART = 1000  # images


@dataclass(frozen=True)
class Stretch:
    """Some neighbouring entries of an LMDB."""

    path: str
    first: bytes
    count: int

    def __len__(self) -> int:
        return self.count


class Lsun(UncaptionedImages, skip_registration=True):
    """A category of LSUN. `source_dir` holds LMDB, as published and unpacked, or images, in subfolders as they like."""

    LMDB = ""  # folder of data.mdb

    def parts(self) -> Sequence[Any]:
        """Stretches of the LMDB, or lists of files."""
        if (self.source_dir / self.LMDB / "data.mdb").is_file():
            return stretches(self.source_dir / self.LMDB)
        files = sorted(os.fsencode(path) for path in self.source_dir.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not files:
            raise UserError(f"{self.source_dir}: holds neither {self.LMDB}/data.mdb nor images ({', '.join(SUFFIXES)})")
        return [files[start : start + PART] for start in range(0, len(files), PART)]

    @staticmethod
    def read(part: Any) -> Iterator[Source]:
        """The images of a stretch, or of a list of files."""
        if isinstance(part, list):
            yield from UncaptionedImages.read(part)
            return
        with _opened(part.path) as environment, environment.begin() as transaction:
            cursor = transaction.cursor()
            cursor.set_key(part.first)
            for _, (key, value) in zip(range(part.count), cursor.iternext(), strict=False):
                yield Source(key.decode(errors="replace"), bytes(value))


def stretches(path: Path) -> list[Stretch]:
    """The whole of an LMDB in parts; only its keys are read."""
    lmdb = _lmdb()
    try:
        with _opened(str(path)) as environment, environment.begin() as transaction:
            keys = transaction.cursor().iternext(keys=True, values=False)
            firsts, count = [], 0
            for count, key in enumerate(keys, start=1):
                if count % PART == 1:
                    firsts.append(bytes(key))
    except lmdb.Error as error:
        raise UserError(f"{path}: is no LMDB, or a damaged one ({error})") from None
    if not count:
        raise UserError(f"{path}: the LMDB is empty")
    return [Stretch(str(path), first, min(PART, count - i * PART)) for i, first in enumerate(firsts)]


def _lmdb() -> ModuleType:
    try:
        import lmdb
    except ImportError:
        raise UserError('lmdb is not installed; pip install "stackgan_tf[beam]" brings it') from None
    return lmdb


def _opened(path: str) -> Any:
    return _lmdb().open(path, readonly=True, lock=False, readahead=False, max_readers=128)
