"""Where exported models go: `<name>/<version>/`, as TensorFlow Serving reads it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stackgan_tf.errors import UserError
from stackgan_tf.files import whole

TFLITE = "tflite"  # a server passes over what is not a number


@contextmanager
def new_version(model: Path, formats: Sequence[str]) -> Iterator[Mapping[str, Path]]:
    """A folder to fill for each format, all of the same new version.

    They are made beside their places and moved there at the end, so that a server never sees half a model; after an
    error nothing is left of them.

    Args:
        model: the folder `<name>`: SavedModels in `<version>/`, .tflite files in `tflite/<version>/`.

    Raises:
        UserError: `model` is something else, or cannot be written.
    """
    _check(model)
    places = {name: model / TFLITE if name == TFLITE else model for name in formats}
    version = str(1 + max((int(path.name) for place in (model, model / TFLITE) for path in versions(place)), default=0))
    with ExitStack() as all_or_none:
        made = {}
        for name, place in places.items():
            place.mkdir(parents=True, exist_ok=True)
            made[name] = all_or_none.enter_context(whole(place / version))
            made[name].mkdir()
        yield made


def versions(place: Path) -> list[Path]:
    """The versions in a folder, oldest first."""
    found = [path for path in place.glob("*") if path.name.isdecimal() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def _check(model: Path) -> None:
    if model.exists() and not model.is_dir():
        raise UserError(f"--out: {model} is a file; name a folder for models")
    for path in model.glob("*"):
        if not (path.is_dir() and (path.name.isdecimal() or path.name == TFLITE or path.name.startswith("."))):
            raise UserError(
                f"--out: {model} holds {path.name!r}, so it is not a folder of a model's versions; name another"
            )
