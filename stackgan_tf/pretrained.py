"""Trained models that come with the repository: `pretrained/<name>/`, each a run directory without checkpoints.

config.yaml           of the run
text_encoder/         the weights of a text encoder that was trained
generator.npz         the averaged weights, by the names of their variables; matrices and kernels in float16
discriminators.npz    those that judged it, where training shall go on from it
evaluation/           figures of `stackgan_tf.evaluate`
model.json            what it is, and size and SHA-256 of every file above but the figures
README.md             the same for people
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import stackgan_tf
from stackgan_tf.errors import UserError

FOLDER = Path(__file__).parent.parent / "pretrained"  # of a clone; not in the wheel
CARD, GENERATOR, DISCRIMINATORS = "model.json", "generator.npz", "discriminators.npz"
FORMAT = 1
NEEDED = frozenset(  # of a card
    "name what data step batch_size images_seen hours machine precision text_encoder command licence_of_the_weights "
    "notes made_with files".split()
)

Values = dict[str, np.ndarray]


def names() -> list[str]:
    """The models that there are."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{CARD}"))


def find(name: str) -> Path:
    """The folder of a model.

    Raises:
        UserError: there is none of this name; names those that there are.
    """
    if name in names():
        return FOLDER / name
    if not names():
        raise UserError(f"--pretrained={name}: {FOLDER} has no models; they come with a clone, not with the package")
    raise UserError(f"--pretrained={name}: unknown; choose from {', '.join(names())}")


def folder_of(run: str | Path) -> Path:
    """The run directory of a path, or of the name of a model here where that is no run."""
    path = Path(run).expanduser()
    return FOLDER / run if not (path / "config.yaml").exists() and str(run) in names() else path


def listing() -> str:
    """A line for each model."""
    cards = {name: card(FOLDER / name) for name in names()}
    if not cards:
        return f"{FOLDER} has no models; they come with a clone, not with the package\n"
    width = max(map(len, cards))
    return "".join(f"{name:<{width}}  {said['what']}\n" for name, said in cards.items())


def is_pretrained(run_dir: Path) -> bool:
    """Whether a run directory is one of these rather than what `stackgan_tf.train` left."""
    return (run_dir / CARD).is_file()


def card(folder: Path) -> dict[str, Any]:
    """What a model's card says.

    Raises:
        UserError: it cannot be read, or is of another version.
    """
    path = folder / CARD
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        found = said["format"]
        if missing := NEEDED - said.keys() if found == FORMAT else set():
            raise ValueError(f"has no {', '.join(sorted(missing))}")
        if found == FORMAT and not all(map(_size_and_digest, said["files"].values())):
            raise ValueError("files: not each has a size and a SHA-256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is damaged ({error}); {_again(folder)}") from None
    if found != FORMAT:
        ours = stackgan_tf.__version__
        raise UserError(f"{path}: is of format {found}, stackgan_tf {ours} reads {FORMAT}; take both from one commit")
    return said


def licence(run_dir: Path) -> str:
    """Of the weights, as a model's card says it; "" of a run."""
    return card(run_dir)["licence_of_the_weights"] if is_pretrained(run_dir) else ""


def check(folder: Path) -> dict[str, Any]:
    """What the card says, all files being there and as it says.

    Raises:
        UserError: as `card`, or a file is missing or another one.
    """
    said = card(folder)
    for name, (size, digest) in said["files"].items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path}: is missing; a clone without large files? {_again(folder)}")
        if path.stat().st_size != size or sha256(path) != digest:
            raise UserError(f"{path}: is not the file that {CARD} tells of (SHA-256 differs); {_again(folder)}")
    return said


def generator(folder: Path, shapes: Mapping[str, Sequence[int]]) -> tuple[int, Values]:
    """The step of a model and its averaged generator: each variable's value by its path, float32.

    Raises:
        UserError: as `check`, or it is another network than these shapes describe.
    """
    step = check(folder)["step"]
    return step, _checked(folder / GENERATOR, read(folder / GENERATOR), shapes)


def discriminators(folder: Path, shapes: Sequence[Mapping[str, Sequence[int]]]) -> list[Values] | None:
    """As `generator`, those that judged it, coarsest first; None where it comes without."""
    check(folder)
    path = folder / DISCRIMINATORS
    if not path.is_file():
        return None
    values = read(path)
    found = [{k.partition("/")[2]: v for k, v in values.items() if k.startswith(f"{i}/")} for i in range(len(shapes))]
    return [_checked(path, one, wanted) for one, wanted in zip(found, shapes, strict=True)]


def read(path: Path) -> Values:
    """The arrays of a file of weights, in float32."""
    try:
        with np.load(path) as arrays:
            return {name: arrays[name].astype(np.float32) for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: is damaged ({error})") from None


def write(path: Path, values: Mapping[str, np.ndarray]) -> None:
    """Writes weights: kernels and matrices in float16, what has one axis (norms' statistics, biases) as it is."""
    with np.errstate(over="ignore"):  # told below
        halves = {name: value.astype(np.float16) if value.ndim > 1 else value for name, value in values.items()}
    for name, half in halves.items():
        if not np.isfinite(half).all():
            raise UserError(f"{name}: has weights that float16 does not hold, up to {np.abs(values[name]).max():.4g}")
    np.savez_compressed(path, **halves)


def sha256(path: Path) -> str:
    """The digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _checked(path: Path, values: Values, shapes: Mapping[str, Sequence[int]]) -> Values:
    for name in (*shapes, *values):
        there, here = values[name].shape if name in values else None, shapes.get(name)
        if there is None or here is None or tuple(there) != tuple(here):
            raise UserError(
                f"{path}: is of another network than config.yaml describes here: {name} is {_told(there)} there, "
                f"{_told(here)} here; are the weights of another version of stackgan_tf?"
            )
    return values


def _size_and_digest(said: Any) -> bool:
    return isinstance(said, list) and list(map(type, said)) == [int, str]


def _told(shape: Sequence[int] | None) -> str:
    return "missing" if shape is None else str(list(shape))


def _again(folder: Path) -> str:
    return f"get it again: git checkout -- {folder}"
