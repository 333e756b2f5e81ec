"""COCO 2014 with five captions each, in the published layout.

Sources: Lin et al., ECCV 2014 (images); Chen et al., arXiv 1504.00325 (captions).
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from stackgan_tf.data.captioned import CaptionedImages, Source, existing
from stackgan_tf.errors import UserError

HINT = "it comes from cocodataset.org: 2014 train images, val images and train/val annotations"
SPLITS = {"train": "train2014", "test": "val2014"}


class Coco(CaptionedImages):
    """82,783 photographs to train and 40,504 to test, without classes: every other image is mismatched.

    `source_dir` holds train2014/, val2014/ and annotations/captions_train2014.json, captions_val2014.json; images that
    these name but the folders lack are counted, not missed.
    """

    VERSION = tfds.core.Version("1.0.0")
    CLASSES = ()

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        if self.source_dir is None:
            raise UserError("coco: name the folder of train2014/, val2014/ and annotations/ with --source_dir")
        named = {split: self._named(part) for split, part in SPLITS.items()}
        found = {split: [s for s in sources if s.image.is_file()] for split, sources in named.items()}
        for split, sources in found.items():
            if not sources:
                raise UserError(f"{self.source_dir / SPLITS[split]}: holds none of the images that the captions name")
        missing = sum(map(len, named.values())) - sum(map(len, found.values()))
        good = {source.name for source in self.checked(sum(found.values(), []), missing_images=missing)}
        return {
            split: self._generate_examples(source for source in sources if source.name in good)
            for split, sources in found.items()
        }

    def _named(self, part: str) -> list[Source]:
        """All images that the captions of a part are about, by number."""
        folder = existing(self.source_dir / part, HINT)
        path = existing(self.source_dir / "annotations" / f"captions_{part}.json", HINT)
        try:
            told = json.loads(path.read_bytes())
            files = {image["id"]: str(image["file_name"]) for image in told["images"]}
            captions = defaultdict(list)
            for annotation in told["annotations"]:
                if text := " ".join(str(annotation["caption"]).split()):
                    captions[annotation["image_id"]].append(text)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not COCO's captions ({type(error).__name__}: {error})") from None
        return [
            Source(Path(file).stem, folder / file, label, tuple(captions[number]))
            for label, (number, file) in enumerate(sorted(files.items()))
        ]
