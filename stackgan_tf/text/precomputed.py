"""Embeddings that somebody computed: a table in a file."""

import hashlib
import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stackgan_tf import legacy
from stackgan_tf.errors import UserError
from stackgan_tf.text import TextEncoder

PUBLISHED = "char-CNN-RNN-embeddings.pickle"


class Table(NamedTuple):
    """Embeddings, one a row, and the row of each key: a sentence, or the name of an image (its first caption)."""

    rows: np.ndarray  # [N, T] float32
    row: dict[str, int]
    captions_per_image: int  # 0 where the keys are sentences


class Encoder(TextEncoder):
    """Looks embeddings up.

    Args:
        path: an .npz of `embeddings` [N, T] with `sentences` [N], as `stackgan_tf.embed` writes it; an .npz or .npy of
            `embeddings` [N, k, T], or the published char-CNN-RNN-embeddings.pickle, of k captions an image, with the
            images' `names` [N] in it or filenames.pickle beside it; or a folder with such pickles in subfolders.

    Raises:
        UserError: there is no such file, or its embeddings are of another size.
    """

    name = "precomputed"

    def __init__(self, size: int = 0, path: str = "") -> None:
        if not path:
            raise UserError("data.text_path='': the precomputed encoder needs its table: an .npz, .npy or .pickle file")
        self.path = Path(path).expanduser()
        self.size = size or self.table.rows.shape[1]
        if size and self.path.exists() and size != self.table.rows.shape[1]:
            raise UserError(f"data.text_size={size}: {path} has embeddings of {self.table.rows.shape[1]}")

    @property
    def by_image(self) -> bool:
        """Whether the table's keys are images, not sentences."""
        return self.table.captions_per_image > 0

    @cached_property
    def table(self) -> Table:
        """The file, read when it is first needed: a finished run draws from embeddings without it."""
        return _read(self.path)

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """N sentences that the table has -> [N, T] float32."""
        if self.by_image:
            raise UserError(
                f"{self.path}: has the embeddings of images' captions, not of sentences; draw from embeddings instead "
                f"(sample --embeddings=FILE.npy)"
            )
        return self.table.rows[[self._row(sentence) for sentence in sentences]]

    def of_image(self, name: str, count: int) -> np.ndarray:
        """The embeddings of an image's captions: [count, T] float32."""
        if count != self.table.captions_per_image:
            raise UserError(
                f"{self.path}: has {self.table.captions_per_image} embeddings an image, {name} {count} captions"
            )
        first = self._row(name)
        return self.table.rows[first : first + count]

    def fingerprint(self) -> str:
        """Of the embeddings and their keys."""
        digest = hashlib.sha256(np.ascontiguousarray(self.table.rows).data)
        digest.update("\n".join(self.table.row).encode())
        return digest.hexdigest()

    def _row(self, key: str) -> int:
        if key not in self.table.row:
            raise UserError(f"{self.path}: has no embedding of {key!r:.80}")
        return self.table.row[key]


def _read(path: Path) -> Table:
    if path.is_dir():
        return _published(path)
    beside = path.with_name("filenames.pickle")
    if path.suffix == ".pickle":
        return _by_image(path, legacy.read_embeddings(path), legacy.read_filenames(beside))
    try:
        stored = np.load(path, allow_pickle=False)
        fields = dict(stored) if hasattr(stored, "files") else {"embeddings": stored}
        embeddings = fields["embeddings"].astype(np.float32)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"data.text_path={path}: is no table of embeddings ({error})") from None
    if "sentences" in fields and embeddings.ndim == 2 and len(fields["sentences"]) == len(embeddings):
        return Table(embeddings, {str(s): i for i, s in enumerate(fields["sentences"])}, 0)
    names = [str(name) for name in fields["names"]] if "names" in fields else legacy.read_filenames(beside)
    return _by_image(path, embeddings, names)


def _by_image(path: Path, embeddings: np.ndarray, names: Sequence[str]) -> Table:
    if embeddings.ndim != 3 or len(embeddings) != len(names):
        raise UserError(
            f"data.text_path={path}: embeddings of shape {embeddings.shape} and {len(names)} names; must be "
            f"[{len(names)}, captions, T], or [N, T] with N sentences"
        )
    count = embeddings.shape[1]
    rows = embeddings.reshape(-1, embeddings.shape[2])
    row = {name: i * count for i, name in enumerate(names)}
    return Table(rows, {name.rpartition("/")[2]: first for name, first in row.items()} | row, count)


def _published(folder: Path) -> Table:
    """All that a folder and its subfolders have, as in train/ and test/ of the published archives."""
    files = sorted(folder.rglob(PUBLISHED))
    if not files:
        raise UserError(f"data.text_path={folder}: holds no {PUBLISHED}, nor do its subfolders")
    embeddings = [legacy.read_embeddings(file) for file in files]
    if len({array.shape[1:] for array in embeddings}) > 1:
        raise UserError(f"data.text_path={folder}: the {PUBLISHED} in it differ in captions or size")
    names = sum((legacy.read_filenames(file.with_name("filenames.pickle")) for file in files), [])
    return _by_image(folder, np.concatenate(embeddings), names)
