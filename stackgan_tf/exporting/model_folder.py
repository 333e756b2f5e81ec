"""Where exported models go: `<name>/<version>/`, as TensorFlow Serving reads it."""

import itertools
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf
from absl import logging

from stackgan_tf.errors import UserError
from stackgan_tf.exporting import FORMATS

SERVED = "saved_model"  # the format that a server looks for


@contextmanager
def new_version(model: Path, formats: Sequence[str]) -> Iterator[Mapping[str, Path]]:
    """A folder to fill for each format, all of the same new version.

    They are made in a hidden folder, which also keeps the number from others, and moved to their places at the end, the
    one that a server looks for last: it never sees half a model. After an error nothing is left of them.

    Args:
        model: the folder `<name>`. SavedModels go to `<version>/`, other formats to `<format>/<version>/`, which a
            server passes over.

    Raises:
        UserError: `model` is something else, or no version can be made there.
    """
    _check(model)
    try:
        hidden = _reserved(model)
        try:
            made = {name: hidden / name for name in formats}
            for folder in made.values():
                folder.mkdir()
            yield made
            _publish(made)
        finally:
            _clear(model, hidden)
    except (OSError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"--out: no version of {model} was made: {reason}") from None


def place(model: Path, name: str) -> Path:
    """Where the versions of a format are."""
    return model if name == SERVED else model / name


def published(folder: Path) -> Path:
    """Where a folder that `new_version` gives will be."""
    hidden = folder.parent
    return place(hidden.parent, folder.name) / hidden.name.removeprefix(".")


def versions(folder: Path) -> list[Path]:
    """The versions in a folder, oldest first."""
    found = [path for path in folder.glob("*") if path.name.isdecimal() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def _check(model: Path) -> None:
    if model.exists() and not model.is_dir():
        raise UserError(f"--out: {model} is a file; name a folder for models")
    if (model.parent / "config.yaml").exists():
        raise UserError(f"--out: {model.parent} is a run directory; name a folder for models")
    for path in model.glob("*"):
        known = path.name.startswith(".") or path.is_dir() and (path.name.isdecimal() or path.name in FORMATS)
        if not known:
            raise UserError(
                f"--out: {model} holds {path.name!r}, so it is not a folder of a model's versions; name another"
            )


def _reserved(model: Path) -> Path:
    """A new hidden folder, named by the next version's number: only one export can make it."""
    model.mkdir(parents=True, exist_ok=True)
    others = sorted(path.name for path in model.glob(".*") if path.name[1:].isdecimal())
    if others:
        logging.warning(
            "%s: %s: of exports that still run, or were stopped and can be deleted", model, ", ".join(others)
        )
    taken = (int(path.name) for name in FORMATS for path in versions(place(model, name)))
    for number in itertools.count(1 + max(taken, default=0)):
        try:
            (model / f".{number}").mkdir()
            return model / f".{number}"
        except FileExistsError:
            continue


def _publish(made: Mapping[str, Path]) -> None:
    moved = []
    try:
        for name in sorted(made, key=lambda name: name == SERVED):
            there = published(made[name])
            there.parent.mkdir(exist_ok=True)
            os.rename(made[name], there)
            moved.append(there)
    except OSError:
        for folder in moved:
            shutil.rmtree(folder)
        raise


def _clear(model: Path, hidden: Path) -> None:
    """Takes away what was made and not moved, and folders that have nothing in them."""
    shutil.rmtree(hidden, ignore_errors=True)
    for folder in (*(place(model, name) for name in FORMATS if name != SERVED), model):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
