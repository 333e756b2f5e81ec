"""Files and folders that are whole or as they were before, and what is read of those that are not."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place beside `path` to make a file or folder in; moved there at the end, gone after an error.

    A process killed meanwhile leaves what was there before. Errors are as those of `naming`.
    """
    with naming(path), tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside:
        made = Path(beside) / path.name
        yield made
        os.replace(made, path)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error of writing itself, such as a full disk's, has no file's name: here it gets one."""
    try:
        yield
    except OSError as error:
        if error.errno and not error.filename:
            error.filename = str(path)
        raise


def write_whole(path: Path, text: str) -> None:
    """Replaces a text file at once."""
    with whole(path) as made:
        made.write_text(text, encoding="utf-8")


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of JSON objects, without those that are cut short by a kill, or being written."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
