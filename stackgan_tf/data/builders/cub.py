"""CUB-200-2011 birds with ten captions each, in the published layout.

Sources: Wah et al., CNS-TR-2011-001 (images, boxes); Reed et al., CVPR 2016 (captions); Zhang et al., ICCV 2017
(split).
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from stackgan_tf import legacy
from stackgan_tf.data.captioned import Box, CaptionedImages, Source, existing, published_captions
from stackgan_tf.errors import UserError

CLASS_COUNT = 200
TEST_CLASSES = frozenset(  # from 1, of the published test/filenames.pickle
    (1, 4, 6, 8, 9, 14, 23, 29, 31, 33, 34, 35, 36, 37, 38, 43, 49, 51, 53, 66, 72, 79, 83, 84, 86, 91, 95, 96, 98)
    + (101, 102, 103, 112, 114, 119, 121, 130, 135, 138, 147, 156, 163, 165, 166, 180, 183, 185, 186, 187, 197)
)
PICKLED = "304images.pickle"
PICKLES_WANTED = "it belongs to the pickles of the released StackGAN code, in train/ and in test/"
CONTEXT = 0.75  # half the side of the crop, in longer sides of the box
HINT = "it belongs to CUB_200_2011.tgz (data.caltech.edu/records/65de6-vp158)"
CAPTIONS_WANTED = (
    "the captions of Reed et al. (CVPR 2016, text_c10 of the birds, 'cvpr2016_cub' on the page of "
    "github.com/reedscot/cvpr2016) must lie there as <class folder>/<image name>.txt, one caption a line, or as "
    "<class folder>.t7"
)


class Cub(CaptionedImages):
    """11,788 photographs of 200 birds, split by class: 150 to train, 50 to test.

    `source_dir` holds CUB_200_2011/ (images/, images.txt, image_class_labels.txt, bounding_boxes.txt) and text_c10/ or
    text/; images that the lists name but images/ lacks are counted, not missed. In place of CUB_200_2011/ it may hold
    what the released StackGAN code made of it: 304images.pickle, filenames.pickle and class_info.pickle in train/ and
    test/.
    """

    VERSION = tfds.core.Version("1.0.0")
    CLASSES = tuple(f"class_{number:03d}" for number in range(1, CLASS_COUNT + 1))
    BOXES = True

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        if self.source_dir is None:
            raise UserError("cub: name the folder of CUB_200_2011/ and text_c10/ with --source_dir")
        root = self.source_dir / "CUB_200_2011"
        text = self.source_dir / "text_c10"
        text = text if text.is_dir() else existing(self.source_dir / "text", CAPTIONS_WANTED)
        pickled = not root.exists() and (self.source_dir / "train" / PICKLED).is_file()
        named = self._pickled() if pickled else self._published(existing(root, HINT))
        told = published_captions(text, [source.name for source in named])
        named = [source._replace(captions=captions) for source, captions in zip(named, told, strict=True)]
        none = f"{root / 'images'}: holds none of the images that images.txt names"
        return self.split_by_class(named, {number - 1 for number in TEST_CLASSES}, none)

    def _published(self, root: Path) -> list[Source]:
        """All images that the lists of the data set name."""
        images = existing(root / "images", HINT)
        names, labels, boxes = (
            _table(existing(root / f"{table}.txt", HINT), columns)
            for table, columns in (("images", 1), ("image_class_labels", 1), ("bounding_boxes", 4))
        )
        named = []
        for number, (name,) in names.items():
            try:
                label, box = int(labels[number][0]) - 1, [float(value) for value in boxes[number]]
            except (KeyError, ValueError):
                raise UserError(f"{root}: the lists do not tell class and box of image {number} ({name})") from None
            if not np.isfinite(box).all() or min(box[2:]) < 2:
                raise UserError(f"{root / 'bounding_boxes.txt'}: the box of image {number} is no box: {box}")
            if not 0 <= label < CLASS_COUNT:
                raise UserError(f"{root / 'image_class_labels.txt'}: must hold classes from 1 to {CLASS_COUNT}")
            path = images / name
            named.append(Source(str(Path(name).with_suffix("")), path, label, box=_square(path, box)))
        return named

    def _pickled(self) -> list[Source]:
        """All images as the released StackGAN code made them ready: cropped to the box, 304 x 304 pixels."""
        named = []
        for folder in (self.source_dir / "train", self.source_dir / "test"):
            names = legacy.read_filenames(existing(folder / "filenames.pickle", PICKLES_WANTED))
            classes = legacy.read_class_info(existing(folder / "class_info.pickle", PICKLES_WANTED))
            images = legacy.read_images(existing(folder / PICKLED, PICKLES_WANTED))
            if not len(names) == len(classes) == len(images):
                raise UserError(f"{folder}: the pickles are of {len(names)}, {len(classes)} and {len(images)} images")
            if classes.min() < 1 or classes.max() > CLASS_COUNT:
                raise UserError(f"{folder / 'class_info.pickle'}: must hold classes from 1 to {CLASS_COUNT}")
            for name, number, pixels in zip(names, classes, images, strict=True):
                png = io.BytesIO()
                Image.fromarray(pixels).save(png, format="PNG")
                named.append(Source(name, png.getvalue(), int(number) - 1, box=(0, 0, *pixels.shape[:2])))
            del images, pixels  # gigabytes
        return named


def square_around(box: list[float], width: int, height: int) -> Box:
    """The square around the middle of a box (x, y, width, height), with half a side of 0.75 of its longer side.

    Clipped to the image. Source: StackGAN released code, `custom_crop` (whole pixels, as there).
    """
    x, y, w, h = map(int, box)
    reach = int(max(w, h) * CONTEXT)
    middle_x, middle_y = int((2 * x + w) / 2), int((2 * y + h) / 2)
    left, top = max(0, middle_x - reach), max(0, middle_y - reach)
    return top, left, min(height, middle_y + reach) - top, min(width, middle_x + reach) - left


def _square(path: Path, box: list[float]) -> Box | None:
    try:
        with Image.open(path) as image:
            return square_around(box, *image.size)
    except (OSError, Image.DecompressionBombError):
        return None  # missing or broken: told with the others


def _table(path: Path, columns: int) -> dict[str, list[str]]:
    """A list of the data set: what each line says of the image whose number it begins with."""
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    if wrong := [row for row in rows if len(row) != columns + 1]:
        raise UserError(f"{path}: each line must hold a number and {columns} more, not {' '.join(wrong[0])!r}")
    return {row[0]: row[1:] for row in rows}
