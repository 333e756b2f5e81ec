"""What a figure's name says: metric, number of samples, extractor, resize filter, reference split.

    fid30k_inception_v3_bicubic_test
    is30k_at64_inception_v3_bicubic_test    IS*: all images first made 64 x 64
    kid500_classifier_oxford102_small_bilinear_train

A new metric is one file and one line here.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.extractors import FILTERS
from stackgan_tf.evaluation.fid import Fid
from stackgan_tf.evaluation.inception_score import InceptionScore
from stackgan_tf.evaluation.kid import Kid
from stackgan_tf.evaluation.metric import Metric
from stackgan_tf.evaluation.ms_ssim import MsSsim
from stackgan_tf.evaluation.precision_recall import PrecisionRecall
from stackgan_tf.evaluation.r_precision import RPrecision
from stackgan_tf.evaluation.shape_attributes import ShapeAttributes
from stackgan_tf.evaluation.sliced_wasserstein import SlicedWasserstein

METRICS: dict[str, type[Metric]] = {
    "fid": Fid,
    "is": InceptionScore,
    "kid": Kid,
    "pr": PrecisionRecall,
    "swd": SlicedWasserstein,
    "ms_ssim": MsSsim,
    "r_precision": RPrecision,
    "attributes": ShapeAttributes,
}
SHORT = re.compile(rf"({'|'.join(METRICS)})(?:_at(\d+))?")
FULL = re.compile(rf"({'|'.join(METRICS)})(\d+k?)(?:_at(\d+))?(_.+)?")
LOWEST, HIGHEST = 8, 1024  # sides of `at` in pixels


class View(NamedTuple):
    """How an extractor sees the images."""

    extractor: str  # its name
    resize: str
    at: int | None  # the side that they are first made of; None for as they are


class Protocol(NamedTuple):
    """One figure and how it comes about."""

    metric: str
    count: int
    view: View | None  # None: the metric looks at the images themselves
    split: str

    @property
    def name(self) -> str:
        """It all, in a word."""
        count = f"{self.count // 1000}k" if self.count % 1000 == 0 else str(self.count)
        at = f"at{self.view.at}" if self.view and self.view.at else ""
        seen = (self.view.extractor, self.view.resize) if self.view else ()
        return "_".join(filter(None, (f"{self.metric}{count}", at, *seen, self.split)))


def needs(names: Sequence[str]) -> set[str]:
    """What the metrics of these protocols need: features, logits, joint, images.

    Raises:
        UserError: there is no such protocol.
    """
    found = {name: SHORT.fullmatch(name) or FULL.fullmatch(name) for name in names}
    for name, match in found.items():
        if not match:
            known = ", ".join(METRICS)
            raise UserError(
                f"--protocol={name}: unknown; choose from {known}, or a whole name as in a table of figures"
            )
    return {METRICS[match[1]].needs for match in found.values()}


def parse(name: str, count: int, extractors: dict[str, str], splits: list[str]) -> Protocol:
    """The protocol of a full name, or of a metric alone, as in `fid` and `fid_at64`; of names that `needs` knows.

    Args:
        count: samples, where the name says none.
        extractors: the name of the extractor for each need: features, logits, joint.
        splits: that there are; the first where the name says none.

    Raises:
        UserError: the extractor or the data at hand are others.
    """
    if found := SHORT.fullmatch(name):
        return _protocol(found[1], count, found[2], extractors, FILTERS[0], splits[0])
    found = FULL.fullmatch(name)
    count = int(found[2].replace("k", "000"))
    known = [_protocol(found[1], count, found[3], extractors, f, split) for f in FILTERS for split in splits]
    for protocol in known:
        if protocol.name == name:
            return protocol
    raise UserError(f"--protocol={name}: is not of this extractor and these data; they make {known[0].name}")


def _protocol(metric: str, count: int, at: str | None, extractors: dict[str, str], resize: str, split: str) -> Protocol:
    cls = METRICS[metric]
    count = min(count, cls.most or count)
    if count < 2:
        raise UserError(f"--num_samples={count}: must be at least 2")
    if at and not (cls.needs in ("features", "logits") and LOWEST <= int(at) <= HIGHEST):
        raise UserError(f"--protocol={metric}_at{at}: only metrics of an extractor, at {LOWEST} to {HIGHEST} pixels")
    view = None if cls.needs == "images" else View(extractors[cls.needs], resize, int(at) if at else None)
    return Protocol(metric, count - count % cls.each, view, split)
