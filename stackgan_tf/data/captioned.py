"""What every builder of captioned images shares: the features, and the care for files that people made."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from absl import logging
from PIL import Image
from tqdm import tqdm

from stackgan_tf.errors import UserError

FORMATS = ("JPEG", "PNG")  # that TensorFlow decodes as Pillow does


class Source(NamedTuple):
    """One example as files: an image (a path, or its bytes) with its caption file and class (from 0)."""

    name: str
    image: Path | bytes
    captions: Path
    label: int


class CaptionedImages(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A data set of images with captions and a class each, read from `source_dir`.

    Args:
        source_dir: folder of the user's files; None for the place in `data_dir` that the error messages name.
        skip_broken: leave out images and caption files that cannot be read, instead of refusing the whole.
    """

    IMAGE_FORMAT = "jpeg"
    CLASSES: Sequence[str] = ()
    READS_SOURCE = True  # has files of the user's to read

    def __init__(self, *, source_dir: Path | None = None, skip_broken: bool = False, **kwargs: Any) -> None:
        self.source_dir = source_dir
        self.skip_broken = skip_broken
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=self.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format=self.IMAGE_FORMAT),
                    "captions": tfds.features.Sequence(tfds.features.Text()),
                    "label": tfds.features.ClassLabel(names=list(self.CLASSES)),
                    "name": tfds.features.Text(),
                }
            ),
            metadata=tfds.core.MetadataDict(),
        )

    def checked(self, sources: Sequence[Source], **counts: int) -> list[Source]:
        """Those sources that can be read; what cannot is named and counted, and kept in the metadata.

        Raises:
            UserError: something is broken and `skip_broken` is off, or nothing is left.
        """
        with ThreadPoolExecutor() as pool:
            faults = list(tqdm(pool.map(_fault, sources), "checking files", len(sources), unit="image", leave=False))
        broken = [fault for fault in faults if fault]
        for fault in broken:
            logging.warning("broken: %s", fault)
        if broken and not self.skip_broken:
            more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
            raise UserError(
                f"{len(broken)} of {len(sources)} images cannot be used: {'; '.join(broken[:3])}{more}; "
                f"mend them, or leave them out with --skip_broken"
            )
        good = [source for source, fault in zip(sources, faults, strict=True) if not fault]
        if not good:
            raise UserError(f"{self.source_dir}: no usable image with captions")
        counts = {
            "images": len(good),
            "classes": len({s.label for s in good}),
            "broken": len(broken),
        } | counts
        self.info.metadata.update(counts | {"broken_files": broken, "source_dir": str(self.source_dir)})
        return good

    def _generate_examples(self, sources: Iterable[Source]) -> Iterator[tuple[str, dict[str, Any]]]:
        for source in sources:
            yield (
                source.name,
                {
                    "image": source.image,
                    "captions": read_captions(source.captions),
                    "label": source.label,
                    "name": source.name,
                },
            )


def read_captions(path: Path) -> list[str]:
    """The lines of a caption file that say something."""
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


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


def _fault(source: Source) -> str | None:
    """What is wrong with a source, by the name of the file; None when nothing is."""
    if isinstance(source.image, Path):
        try:
            with Image.open(source.image) as image:
                image.load()
                if image.format not in FORMATS:
                    return f"{source.image} (a {image.format} file; must be {' or '.join(FORMATS)})"
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            return f"{source.image} ({type(error).__name__}: not a whole image)"
    try:
        return None if read_captions(source.captions) else f"{source.captions} (no caption line)"
    except FileNotFoundError:
        return f"{source.captions} (missing caption file)"
    except OSError as error:
        return f"{source.captions} ({error.strerror})"
    except UnicodeDecodeError:
        return f"{source.captions} (not UTF-8 text)"
