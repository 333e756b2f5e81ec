"""Anyone's own images."""

import csv
import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from stackgan_tf.data.captioned import CaptionedImages, Source, lines_of
from stackgan_tf.data.photographs import SUFFIXES
from stackgan_tf.errors import UserError

TABLES = ("captions.jsonl", "captions.csv")
HELD_OUT_EVERY = 10
WANTED = 'it must hold lines such as {"file_name": "a.jpg", "text": "a red rose"}'
COLUMNS = ("file_name", "text")


class Folder(CaptionedImages):
    """Images in a folder and its subfolders, with captions or without.

    A caption is a line of `name.txt` beside `name.jpg`, or of one captions.jsonl or captions.csv at the top; an image
    may have several. Where all images lie in two subfolders or more, each of these is a class, which mismatched pairs
    do not share; else every image is its own. Of captioned images every tenth is kept out of training, for pictures.

    Prepared beside other folders, under a name that changes with its files.
    """

    VERSION = tfds.core.Version("1.0.0")
    CLASSES = ()

    def __init__(self, *, source_dir: Path | None = None, **kwargs: Any) -> None:
        if source_dir is None:
            raise UserError("folder: name the folder of your images with --source_dir")
        name = f"{source_dir.name}-{_fingerprint(source_dir)}"
        super().__init__(
            source_dir=source_dir, config=tfds.core.BuilderConfig(name=name, version=self.VERSION), **kwargs
        )
        if self.is_prepared():
            self.CAPTIONED = "captions" in self.info.metadata

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        images = [path for path in _files(self.source_dir) if path.suffix.lower() in SUFFIXES]
        if not images:
            raise UserError(f"{self.source_dir}: holds no image ({', '.join(SUFFIXES)})")
        sources, faults = _captioned(self.source_dir, images)
        if not faults and not any(source.captions for source in sources):
            self.CAPTIONED = False
        sources = self.checked(_classified(sources), faults)
        held_out = set(sources[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY] or sources[-1:]) if self.CAPTIONED else set()
        splits = {"train": [s for s in sources if s not in held_out], "test": [s for s in sources if s in held_out]}
        if not splits["train"]:
            raise UserError(f"{self.source_dir}: has one image with captions only; give at least two")
        return {split: self._generate_examples(members) for split, members in splits.items() if members}


def _files(folder: Path) -> Iterator[Path]:
    """All files in a folder and below but hidden ones, in the order of their names."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _fingerprint(folder: Path) -> str:
    """Another one whenever a file comes, goes or changes."""
    digest = hashlib.sha256()
    for path in _files(folder):
        told = path.stat()
        digest.update(f"{path}/{told.st_size}/{told.st_mtime_ns}\n".encode(errors="replace"))
    return digest.hexdigest()[:12]


def _captioned(folder: Path, images: list[Path]) -> tuple[list[Source], list[str]]:
    """The images with their captions, and what is wrong."""
    tables = [folder / name for name in TABLES if (folder / name).is_file()]
    if len(tables) == 2:
        raise UserError(f"{folder}: has captions.jsonl and captions.csv; leave one of the two")
    names = {path.relative_to(folder).as_posix(): path for path in images}
    if tables:
        told = _told(tables[0])
        faults = [f"{tables[0]} names {name}, which is not there" for name in told if name not in names]
        return [Source(name, path, captions=tuple(told[name])) for name, path in names.items()], faults
    claimed = Counter(path.with_suffix(".txt") for path in images)
    texts = {path for path in _files(folder) if path.suffix == ".txt"}
    faults = [f"{path} has no image" for path in sorted(texts - set(claimed))]
    shared = {path for path, count in claimed.items() if count > 1 and path in texts}
    faults += [f"{path} belongs to {claimed[path]} images" for path in sorted(shared)]
    files = {name: path.with_suffix(".txt") for name, path in names.items()}
    sources = [Source(name, names[name], captions=file if texts else ()) for name, file in files.items()]
    return [source for source in sources if source.captions not in shared], faults


def _told(path: Path) -> dict[str, list[str]]:
    """The captions of a table by the name of the file."""
    told = defaultdict(list)
    lines, _ = lines_of(path.read_bytes())
    for name, text in (_csv if path.suffix == ".csv" else _jsonl)(path, lines):
        caption = " ".join(text.split())
        if caption and caption not in told[name]:
            told[name].append(caption)
    return told


def _jsonl(path: Path, lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        try:
            yield tuple(str.strip(json.loads(line)[column]) for column in COLUMNS)
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}: cannot read {line!r:.80}; {WANTED}") from None


def _csv(path: Path, lines: list[str]) -> Iterator[tuple[str, str]]:
    reader = csv.DictReader(io.StringIO("\n".join(lines)), strict=True)
    try:
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise csv.Error(f"it begins with {(lines or [''])[0]!r:.80}")
        for row in reader:
            if row["text"] is None:
                raise csv.Error(f"{row['file_name']!r:.80} has no caption beside it")
            if None in row:
                raise csv.Error(f"what is said of {row['file_name']!r:.80} goes on after a comma; put it in quotes")
            yield row["file_name"], row["text"]
    except csv.Error as error:
        raise UserError(f"{path}: {error}; must have the columns {','.join(COLUMNS)}, by a comma") from None


def _classified(sources: list[Source]) -> list[Source]:
    """With a class each: that of its subfolder, where there are some, else its own."""
    parents = [source.name.rpartition("/")[0] for source in sources]
    classes = sorted(set(parents))
    if len(classes) < 2 or "" in classes:
        return [source._replace(label=number) for number, source in enumerate(sources)]
    return [source._replace(label=classes.index(parent)) for source, parent in zip(sources, parents, strict=True)]
