"""The files of checkpoints: which there are, which is whole, which stay. The folder itself is the only list of them.

A checkpoint is `ckpt-<step>.data-*` and, moved into place last, `ckpt-<step>.index`. With a file `ckpt-<step>.keep`
beside it, it stays for ever.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import tensorflow as tf
from absl import logging

from stackgan_tf.errors import UserError

FOLDER = "checkpoints"

Read = TypeVar("Read")


def latest(run_dir: Path) -> str | None:
    """The newest checkpoint of a run, None where there is none. Whether it is whole only reading it tells."""
    return next((path for path in _paths(run_dir / FOLDER) if _file(path, "index").exists()), None)


def steps(run_dir: Path) -> list[int]:
    """Of all checkpoints of a run and of what is left of any, oldest first."""
    return sorted(map(checkpoint_step, _paths(run_dir / FOLDER)))


def path_of(run_dir: Path, step: int) -> str:
    """The checkpoint of a step."""
    return str(run_dir / FOLDER / f"ckpt-{step}")


def checkpoint_step(path: str) -> int:
    """The step in a checkpoint's name."""
    return int(re.search(r"-(\d+)$", path)[1])


def read_newest(run_dir: Path, read: Callable[[str], Read], step: int | None = None) -> Read:
    """What `read` makes of the newest checkpoint that is whole; the damaged ones passed over are told of in one line.

    Every value has a checksum in its checkpoint: a flipped bit is noticed when it is read.

    Args:
        step: only the checkpoint of this step will do.

    Raises:
        UserError: there is no checkpoint, or none is whole, or one may not be read.
    """
    if latest(run_dir) is None:
        raise UserError(f"{run_dir}: has no checkpoint yet; let python -m stackgan_tf.train save one")
    damaged = []
    for path in [path_of(run_dir, step)] if step is not None else _paths(run_dir / FOLDER):
        try:
            for file in _files(path):
                file.open("rb").close()  # TensorFlow does not tell a lack of permission from damage
            found = read(path)
        except (UserError, tf.errors.ResourceExhaustedError):
            raise
        except PermissionError as error:
            raise UserError(f"{path}: cannot be read ({reason_of(error)})") from None
        except (tf.errors.OpError, OSError, ValueError, IndexError, RuntimeError) as error:
            damaged.append(f"{path} ({reason_of(error)})")
            continue
        if damaged:
            logging.warning("damaged: %s; %s, the newest that is whole, is taken instead", ", ".join(damaged), path)
        return found
    if step is not None:
        others = ", ".join(str(other) for other in steps(run_dir) if other != step)
        raise UserError(f"step {step}: no checkpoint is whole: {damaged[0]}; others are of step {others or '(none)'}")
    raise UserError(
        f"{run_dir / FOLDER}: no checkpoint is whole: {', '.join(damaged)}; put back a copy of one, "
        f"or start anew in another run directory"
    )


@contextmanager
def new(run_dir: Path, step: int) -> Iterator[str]:
    """A place to write a checkpoint to; moved among the others when all of it is on the disk, gone after an error.

    TensorFlow itself writes the index in place: a process killed meanwhile leaves half of one.
    """
    folder = run_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".ckpt-*"):  # by a process that was killed
        shutil.rmtree(left)
    name = f"ckpt-{step}"
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as beside:
        yield os.path.join(beside, name)
        files = _files(os.path.join(beside, name))
        listed = Path(beside) / "checkpoint"  # what tf.train.latest_checkpoint reads; nothing here does
        listed.write_text(f'model_checkpoint_path: "{name}"\n', encoding="utf-8")
        for file in files:
            _to_disk(file)
        for file in (*files, listed):
            os.replace(file, folder / file.name)
    _to_disk(folder)


def remove_old(run_dir: Path, step: int, keep: int, keep_every_hours: float, before: int | None = None) -> None:
    """Keeps the newest `keep` checkpoints up to `step`, and of the older ones one every so many hours for ever.

    Those beyond `step`, and between it and `before`, go: they were damaged, or training went back.

    Args:
        keep_every_hours: 0: none of the older ones.
        before: the step of the checkpoint that came last, or was gone on from; None: not known.
    """
    folder = run_dir / FOLDER
    paths = [path for path in _paths(folder) if not _file(path, "keep").exists()]
    past = step if before is None else min(before, step)
    behind = [path for path in paths if (at := checkpoint_step(path)) <= past or at == step]
    for path in set(paths) - set(behind):
        _remove(path)
    kept_at = max((_saved_at(str(file.with_suffix(""))) for file in folder.glob("ckpt-*.keep")), default=0.0)
    for path in reversed(behind[keep:]):
        if keep_every_hours and _saved_at(path) - kept_at >= keep_every_hours * 3600:
            _file(path, "keep").touch()
            kept_at = _saved_at(path)
        else:
            _remove(path)


def age(path: str, now: float) -> str:
    """How long ago a checkpoint was saved, in words."""
    minutes = max(0, round((now - _saved_at(path)) / 60))
    return f"{minutes // 60} h {minutes % 60} min"


def reason_of(error: Exception) -> str:
    """What went wrong, in one short line: TensorFlow's own words are preceded by an operation and a path."""
    text = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    first, *_ = re.sub(r"\{\{.*?\}\}|\[Op:\w+\]", "", text).strip().splitlines() or [type(error).__name__]
    return " ".join(re.sub(r"^\S+; ", "", first).split())[:200]


def _paths(folder: Path) -> list[str]:
    """Of all checkpoints and of what is left of any, newest first."""
    matches = (re.fullmatch(r"(ckpt-\d+)\.(index|data-.*)", file.name) for file in folder.glob("ckpt-*"))
    names = {match[1] for match in matches if match}
    return sorted((str(folder / name) for name in names), key=checkpoint_step, reverse=True)


def _files(path: str) -> list[Path]:
    """Of a checkpoint: its data, then its index."""
    return sorted(Path(path).parent.glob(f"{Path(path).name}.*"))


def _file(path: str, kind: str) -> Path:
    return Path(f"{path}.{kind}")


def _saved_at(path: str) -> float:
    """In seconds since 1970; 0 where it has no index."""
    index = _file(path, "index")
    return index.stat().st_mtime if index.exists() else 0.0


def _remove(path: str) -> None:
    """The index first: what is cut short is no checkpoint."""
    for file in reversed(_files(path)):
        file.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Waits until a file, or the names in a folder, would outlive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
