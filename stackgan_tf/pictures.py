"""What a program is asked to draw, and the picture file that it leaves."""

import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stackgan_tf.errors import UserError
from stackgan_tf.grids import caption_grid

Asked = Sequence[str] | np.ndarray | int  # sentences, embeddings [N, T], or with neither a number of pictures

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def asked(sentences: Sequence[str], embeddings: str | None, each: int) -> tuple[Asked, list[str]]:
    """What to draw, of --text, --embeddings and --num, and the captions: one of each for every picture.

    Raises:
        UserError: both are given, or the embeddings cannot be read.
    """
    if sentences and embeddings:
        raise one_of_two()
    if embeddings:
        rows = np.repeat(read_embeddings(embeddings), each, axis=0)
        return rows, [f"row {i // each}" for i in range(len(rows))]
    captions = [sentence for sentence in sentences for _ in range(each)]
    return captions or each, captions or [""] * each


def one_of_two() -> UserError:
    """What to say where nothing is asked, or too much."""
    return UserError("--text: what shall be drawn? Give --text or --embeddings, one of the two")


def file_to_write(out: str) -> Path:
    """The file of --out.

    Raises:
        UserError: it is no picture file.
    """
    path = Path(out).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"--out={path}: must end in {', '.join(SUFFIXES)}")
    return path


def save(images: Mapping[int, np.ndarray], captions: Sequence[str], out: Path) -> None:
    """Writes every scale of each picture, its caption underneath, to one file, and says so.

    Args:
        images: `{side: [N, side, side, 3] uint8}`.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        caption_grid(images, captions).save(out)
    except OSError as error:
        raise UserError(f"--out={out}: cannot be written ({error.strerror or error})") from None
    sides = ", ".join(str(side) for side in images)
    sys.stdout.write(f"{out}: {len(captions)} pictures at {sides} pixels\n")


def read_embeddings(file: str) -> np.ndarray:
    """The embeddings in a .npy file: [N, T] float32.

    Raises:
        UserError: it cannot be read, or holds something else.
    """
    path = Path(file).expanduser()
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"--embeddings={path}: cannot be read as a .npy file of numbers ({error})") from None
    if isinstance(values, np.ndarray) and values.dtype.kind == "f" and values.ndim == 2 and len(values):
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        if np.isfinite(values).all():
            return values
    raise UserError(f"--embeddings={path}: must be one array of finite floating-point numbers, [N, T]")
