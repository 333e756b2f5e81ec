"""Classes of ImageNet (ILSVRC 2012) by WordNet id, in the published layout. Source: Russakovsky et al., IJCV 2015."""

import os
from collections.abc import Sequence
from typing import Any

from stackgan_tf.data.photographs import SUFFIXES
from stackgan_tf.data.uncaptioned import UncaptionedImages
from stackgan_tf.errors import UserError


class Imagenet(UncaptionedImages, skip_registration=True):
    """Some of the 1,000 classes. `source_dir` holds their folders, n02085620/n02085620_10074.JPEG, or train/ does."""

    WORDNET_IDS: tuple[str, str] = ("", "")  # the first and the last, in the order of the 1,000

    def parts(self) -> Sequence[Any]:
        """The files of each class."""
        root = self.source_dir / "train"
        root = root if root.is_dir() else self.source_dir
        first, last = self.WORDNET_IDS
        folders = sorted(path for path in root.glob("n*") if path.is_dir() and first <= path.name <= last)
        if not folders:
            raise UserError(f"{root}: holds no folder of {first} ... {last}; unpack ILSVRC2012_img_train.tar there")
        parts = [sorted(os.fsencode(path) for path in f.iterdir() if path.suffix.lower() in SUFFIXES) for f in folders]
        if not any(parts):
            raise UserError(f"{root}: the folders {folders[0].name} ... hold no image ({', '.join(SUFFIXES)})")
        return parts
