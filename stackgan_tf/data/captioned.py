"""What every builder shares: the features, the care for files that people made, and what was done about them."""

import codecs
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from tqdm import tqdm

from stackgan_tf import legacy
from stackgan_tf.data.photographs import NotAnImage, plain
from stackgan_tf.errors import UserError

SURROGATES = re.compile("[\ud800-\udfff]")  # what bytes that are no text become in names of files
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
Box = tuple[int, int, int, int]  # top, left, height, width in pixels


class Source(NamedTuple):
    """One example as files: an image (a path, or its bytes), its class (from 0), its captions (or their file)."""

    name: str
    image: Path | bytes
    label: int = 0
    captions: Path | tuple[str, ...] = ()
    box: Box | None = None  # what an image of a set with boxes can be cropped to


class CaptionedImages(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A data set of images, with captions and a class each or without, read from `source_dir`.

    Args:
        source_dir: folder of the user's files; None for the place in `data_dir` that the error messages name.
        skip_broken: leave out images and captions that cannot be used, instead of refusing the whole.
    """

    CLASSES: Sequence[str] = ()  # names, where they are known
    CAPTIONED = True
    BOXES = False
    READS_SOURCE = True  # has files of the user's to read

    def __init__(self, *, source_dir: Path | None = None, skip_broken: bool = False, **kwargs: Any) -> None:
        self.source_dir = source_dir
        self.skip_broken = skip_broken
        super().__init__(**kwargs)

    @staticmethod
    def download_config(beam_options: Sequence[str]) -> tfds.download.DownloadConfig:
        """How TFDS is to build it.

        Raises:
            UserError: Beam has no part in it, or is not installed.
        """
        if beam_options:
            raise UserError(f"--beam_options={' '.join(beam_options)}: this set is built without Beam; leave them out")
        return tfds.download.DownloadConfig()

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "captions": tfds.features.Sequence(tfds.features.Text()),
            "label": tfds.features.ClassLabel(names=list(self.CLASSES))
            if self.CLASSES
            else tfds.features.Scalar(np.int64),
            "name": tfds.features.Text(),
        }
        boxes = {"box": tfds.features.Tensor(shape=(4,), dtype=np.int32)} if self.BOXES else {}
        return self.dataset_info_from_configs(
            description=self.__doc__,
            features=tfds.features.FeaturesDict(features | boxes),
            metadata=tfds.core.MetadataDict(),
        )

    def checked(self, sources: Sequence[Source], faults: Sequence[str] = (), **counts: int) -> list[Source]:
        """Those sources that can be used; what cannot is named and counted, and kept in the metadata.

        Args:
            faults: what is wrong beside the images and captions of `sources`.
            counts: for the metadata.

        Raises:
            UserError: something is wrong and `skip_broken` is off, or nothing is left.
        """
        with ThreadPoolExecutor() as pool:
            examined = list(
                tqdm(pool.map(self._examined, sources), "checking files", len(sources), unit="image", leave=False)
            )
        broken = [*faults, *(fault for fault, _ in examined if fault)]
        for fault in broken:
            logging.warning("broken: %s", fault)
        if broken and not self.skip_broken:
            more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
            raise UserError(
                f"{len(broken)} file{'s' * (len(broken) > 1)} cannot be used: {'; '.join(broken[:3])}{more}; "
                f"mend them, or prepare with --skip_broken, which leaves them out"
            )
        good = [source for source, (fault, _) in zip(sources, examined, strict=True) if not fault]
        if not good:
            raise UserError(f"{self.source_dir}: no usable image{' with captions' if self.CAPTIONED else ''}")
        notes = sum((notes for fault, notes in examined if not fault), Counter())
        classes = len({source.label for source in good})
        counts = {"images": len(good), "classes": classes, "broken": len(broken)} | counts | notes
        self.info.metadata.update(counts | {"broken_files": broken, "source_dir": str(self.source_dir)})
        return good

    def split_by_class(self, named: Sequence[Source], held_out: Collection[int], none: str) -> dict[str, Any]:
        """The examples to train with, and those of the classes held out to test; missing images are counted.

        Args:
            none: what to say where none of the images is there.

        Raises:
            UserError: none is there, or none of one of the two, or as `checked`.
        """
        found = [source for source in named if isinstance(source.image, bytes) or source.image.is_file()]
        if not found:
            raise UserError(none)
        sources = self.checked(found, missing_images=len(named) - len(found))
        splits = {
            "train": [source for source in sources if source.label not in held_out],
            "test": [source for source in sources if source.label in held_out],
        }
        for split, members in splits.items():
            if not members:
                raise UserError(
                    f"{self.source_dir}: has no image for the {split} split; the test classes are "
                    f"{', '.join(self.CLASSES[label] for label in sorted(held_out))}, all others are for training"
                )
        return {split: self._generate_examples(members) for split, members in splits.items()}

    def _examined(self, source: Source) -> tuple[str, Counter]:
        """What is wrong with a source ("" when nothing is), and what is worth counting."""
        try:
            _, converted = plain(source.image)
        except NotAnImage as fault:
            return f"{_file(source)} ({fault})", Counter()
        lines, latin_1, fault = _captions(source) if self.CAPTIONED else ([], False, "")
        if not fault and any(map(SURROGATES.search, (source.name, *lines))):
            return f"{str(_file(source))!a} (its name or a caption is no Unicode text)", Counter()
        return fault, Counter(captions=len(lines), images_converted=int(converted), files_in_latin_1=int(latin_1))

    def _generate_examples(self, sources: Iterable[Source]) -> Iterator[tuple[str, dict[str, Any]]]:
        for source in sources:
            yield source.name, self.example(source)

    def example(self, source: Source) -> Mapping[str, Any]:
        """The features of a source."""
        image, _ = plain(source.image)
        box = {"box": np.array(source.box, np.int32)} if self.BOXES else {}
        return {"image": image, "captions": _captions(source)[0], "label": source.label, "name": source.name} | box


def existing(path: Path, what: str) -> Path:
    """The path itself.

    Raises:
        UserError: it does not exist, or is an empty folder.
    """
    if not path.exists():
        raise UserError(f"{path}: no such {'file' if path.suffix else 'folder'}; {what}")
    if path.is_dir() and not any(path.iterdir()):
        raise UserError(f"{path}: the folder is empty; {what}")
    return path


def published_captions(folder: Path, names: Sequence[str]) -> list[Path | tuple[str, ...]]:
    """The captions of images, `<class>/<image>`, as Reed et al. published them: in `<class>/<image>.txt`.

    Where a class has no folder, those of its `<class>.t7`, which tells of all its images in the order of their names.

    Raises:
        UserError: an image is named twice, or a .t7 cannot be read or is of another number of images.
    """
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"the lists name {twice[0]} twice; get them again")
    members = defaultdict(list)
    for name in sorted(names):
        members[name.rpartition("/")[0]].append(name)
    captions = {name: folder / f"{name}.txt" for name in names}
    for kind, images in members.items():
        table = folder / f"{kind}.t7"
        if (folder / kind).is_dir() or not table.is_file():
            continue
        told = legacy.t7_captions(table)
        if len(told) != len(images):
            raise UserError(f"{table}: is of {len(told)} images; the lists name {len(images)} of its class")
        captions |= {name: tuple(filter(None, lines)) for name, lines in zip(images, told, strict=True)}
    return [captions[name] for name in names]


def lines_of(text: bytes) -> tuple[list[str], bool]:
    """The lines that say something, and whether they were in Latin-1: read so where they are no UTF-8.

    A byte order mark is left out; with that of UTF-16 they are read as such.
    """
    try:
        decoded, latin_1 = text.decode("utf-16" if text[:2] in UTF_16 else "utf-8-sig"), False
    except UnicodeDecodeError:
        decoded, latin_1 = text.decode("latin-1"), True
    return [line.strip() for line in re.split(r"\r\n?|\n", decoded) if line.strip()], latin_1


def _captions(source: Source) -> tuple[list[str], bool, str]:
    """The captions of a source, whether they were in Latin-1, and what is wrong with them ("" when nothing is)."""
    if not isinstance(source.captions, Path):
        return list(source.captions), False, "" if source.captions else f"{_file(source)} (no caption)"
    try:
        lines, latin_1 = lines_of(source.captions.read_bytes())
    except FileNotFoundError:
        return [], False, f"{source.captions} (missing caption file)"
    except OSError as error:
        return [], False, f"{source.captions} ({error.strerror})"
    return lines, latin_1, "" if lines else f"{source.captions} (no caption line)"


def _file(source: Source) -> Path | str:
    return source.image if isinstance(source.image, Path) else source.name
