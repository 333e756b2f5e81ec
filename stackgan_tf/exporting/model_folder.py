"""Where exported models go: `<name>/<version>/`, as TensorFlow Serving reads it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import tensorflow as tf

from stackgan_tf.errors import UserError
from stackgan_tf.exporting import FORMATS
from stackgan_tf.files import whole

SERVED = "saved_model"  # the format that a server looks for


@contextmanager
def new_version(model: Path, formats: Sequence[str]) -> Iterator[Mapping[str, Path]]:
    """A folder to fill for each format, all of the same new version.

    They are made beside their places and moved there at the end, so that a server never sees half a model; after an
    error nothing is left of them.

    Args:
        model: the folder `<name>`. SavedModels go to `<version>/`, other formats to `<format>/<version>/`, which a
            server passes over.

    Raises:
        UserError: `model` is something else, or cannot be written.
    """
    _check(model)
    taken = (int(path.name) for name in FORMATS for path in versions(place(model, name)))
    version = str(1 + max(taken, default=0))
    try:
        with ExitStack() as all_or_none:
            made = {}
            for name in formats:
                place(model, name).mkdir(parents=True, exist_ok=True)
                made[name] = all_or_none.enter_context(whole(place(model, name) / version))
                made[name].mkdir()
            yield made
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise UserError(f"--out: {model} cannot be written ({reason})") from None


def place(model: Path, name: str) -> Path:
    """Where the versions of a format are."""
    return model if name == SERVED else model / name


def versions(folder: Path) -> list[Path]:
    """The versions in a folder, oldest first."""
    found = [path for path in folder.glob("*") if path.name.isdecimal() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def _check(model: Path) -> None:
    if model.exists() and not model.is_dir():
        raise UserError(f"--out: {model} is a file; name a folder for models")
    for path in model.glob("*"):
        if not (path.is_dir() and (path.name.isdecimal() or path.name in FORMATS or path.name.startswith("."))):
            raise UserError(
                f"--out: {model} holds {path.name!r}, so it is not a folder of a model's versions; name another"
            )
