"""Oxford-102 flowers with ten captions each, in the published layout.

Sources: Nilsback and Zisserman, ICVGIP 2008 (images); Reed et al., CVPR 2016 (captions).
"""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import tensorflow_datasets as tfds

from stackgan_tf.data.captioned import CaptionedImages, Source, existing, published_captions
from stackgan_tf.errors import UserError

CLASS_COUNT = 102
CAPTIONS_WANTED = (
    "the captions of Reed et al. (CVPR 2016, text_c10 of the flowers, 'cvpr2016_flowers' on the page of "
    "github.com/reedscot/cvpr2016) must lie there as text_c10/class_00001/image_06734.txt ..., one caption a line, or "
    "as text_c10/class_00001.t7 ..."
)


def test_classes(folder: Path) -> set[int]:
    """The 20 classes (from 0) kept out of training.

    Reed et al.'s list where the folder has it (`testclasses.txt`: lines such as class_00012); else every fifth
    class, 5, 10, ..., 100 counted from 1.
    """
    path = folder / "testclasses.txt"
    if not path.is_file():
        return set(range(4, 100, 5))
    try:
        names = path.read_text(encoding="utf-8").split()
        classes = {int(name.removeprefix("class_")) - 1 for name in names}
    except ValueError:
        raise UserError(f"{path}: must hold lines such as class_00012") from None
    if not classes or not classes < set(range(CLASS_COUNT)):
        raise UserError(f"{path}: must name some of the classes class_00001 to class_{CLASS_COUNT:05d}")
    return classes


class Oxford102(CaptionedImages):
    """8,189 photographs of 102 flowers, split by class: 82 to train, 20 to test.

    `source_dir` holds jpg/, text_c10/, imagelabels.mat and setid.mat; images that these lists name but jpg/ lacks
    are counted, not missed. Without `source_dir` the captions are looked for in `data_dir`, and the images as well;
    where they are not there, they come from TFDS' `oxford_flowers102`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Split by class."}
    CLASSES = tuple(f"class_{number:05d}" for number in range(1, CLASS_COUNT + 1))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        may_download = self.source_dir is None
        if may_download:
            self.source_dir = Path(self.data_dir).parents[1] / "manual" / self.name
            existing(self.source_dir, f"{CAPTIONS_WANTED}; or name another folder with --source_dir")
        existing(
            self.source_dir,
            "--source_dir must name the folder of jpg/, text_c10/, imagelabels.mat, setid.mat",
        )
        existing(self.source_dir / "text_c10", CAPTIONS_WANTED)
        held_out = test_classes(self.source_dir)
        jpg = self.source_dir / "jpg"
        if not may_download:
            existing(jpg, "the photographs must lie there; without --source_dir they are downloaded")
        named = self._published() if jpg.exists() else self._downloaded()
        told = published_captions(self.source_dir / "text_c10", [f"{self.CLASSES[s.label]}/{s.name}" for s in named])
        named = [source._replace(captions=captions) for source, captions in zip(named, told, strict=True)]
        none = f"{jpg}: holds none of the images image_00001.jpg ... that setid.mat names"
        return self.split_by_class(named, held_out, none)

    def _published(self) -> list[Source]:
        """All images that the two lists of the data set name."""
        hint = "it belongs to the data set, beside jpg/ (www.robots.ox.ac.uk/~vgg/data/flowers/102)"
        labels_file = existing(self.source_dir / "imagelabels.mat", hint)
        splits_file = existing(self.source_dir / "setid.mat", hint)
        labels = _read_mat(labels_file, "labels")
        numbers = np.sort(np.concatenate([_read_mat(splits_file, key) for key in ("trnid", "valid", "tstid")]))
        if not len(labels) or labels.min() < 1 or labels.max() > CLASS_COUNT:
            raise UserError(f"{labels_file}: must hold classes from 1 to {CLASS_COUNT}")
        if not set(numbers) <= set(range(1, len(labels) + 1)) or len(set(numbers)) < len(numbers):
            raise UserError(f"{splits_file}: must name images from 1 to {len(labels)}, each once")
        return [
            Source(f"image_{n:05d}", self.source_dir / "jpg" / f"image_{n:05d}.jpg", int(labels[n - 1]) - 1)
            for n in numbers
        ]

    def _downloaded(self) -> list[Source]:
        """All images of TFDS' own builder, which downloads them."""
        builder = tfds.builder("oxford_flowers102", data_dir=Path(self.data_dir).parents[1])
        try:
            builder.download_and_prepare()
        except (OSError, tfds.download.DownloadError) as error:
            raise UserError(
                f"the photographs cannot be downloaded ({error}); get them from "
                f"www.robots.ox.ac.uk/~vgg/data/flowers/102 and put jpg/, imagelabels.mat and setid.mat into "
                f"{self.source_dir}"
            ) from None
        decoders = {"image": tfds.decode.SkipDecoding()}
        return [
            Source(Path(r["file_name"].decode()).stem, r["image"], int(r["label"]))
            for split in builder.as_dataset(decoders=decoders).values()
            for r in split.as_numpy_iterator()
        ]


def _read_mat(path: Path, key: str) -> np.ndarray:
    try:
        return scipy.io.loadmat(path)[key].ravel().astype(np.int64)
    except Exception as error:  # a damaged file makes scipy raise whatever its bytes lead to
        raise UserError(f"{path}: not the MATLAB file of the data set ({type(error).__name__}: {error})") from None
