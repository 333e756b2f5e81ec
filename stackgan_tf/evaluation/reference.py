"""What the metrics keep of the real images: computed once, kept beside the data."""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from stackgan_tf.config import Config
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.extractors import Extractor
from stackgan_tf.evaluation.metric import Metric
from stackgan_tf.evaluation.plan import Plan
from stackgan_tf.evaluation.protocols import METRICS, Protocol
from stackgan_tf.evaluation.stream import Listener, Photographs, stream
from stackgan_tf.files import whole

MOST = 50_000  # real images
FOLDER = "reference"  # of a prepared data set


class Reference(NamedTuple):
    """A metric of the real images, and where it is kept."""

    metric: Metric
    file: Path
    key: str  # all that it depends on


def real_images(
    protocols: Sequence[Protocol],
    plan: Plan,
    config: Config,
    extractors: Mapping[str, Extractor],
    strategy: tf.distribute.Strategy,
    folder: Path,
) -> dict[Protocol, Metric] | None:
    """The metric of the real images for each protocol that compares with them; None when interrupted.

    Args:
        folder: for what is done so far.

    Raises:
        UserError: a file is of other images or another extractor, or cannot be read.
    """
    records = plan.records
    wanted = {p: _reference(p, plan, config, extractors) for p in protocols if METRICS[p.metric].compares}
    missing = {p: reference for p, reference in wanted.items() if not _read(reference)}
    if missing:
        listeners = [
            Listener(protocol.name, reference.metric, protocol.view) for protocol, reference in missing.items()
        ]
        source = Photographs(plan, config.data, config.scales[-1], min(len(records), MOST))
        digest = hashlib.sha256("".join(sorted(reference.key for reference in missing.values())).encode()).hexdigest()
        if not stream(source, listeners, extractors, strategy, folder / f"real-{digest[:16]}.npz"):
            return None
        for reference in missing.values():
            _write(reference)
    return {protocol: reference.metric for protocol, reference in wanted.items()}


def reference_count(protocol: Protocol, records: Records) -> int:
    """How many real images a protocol compares with: all, but for very many."""
    return min(len(records), MOST, METRICS[protocol.metric].most or MOST)


def _reference(protocol: Protocol, plan: Plan, config: Config, extractors: Mapping[str, Extractor]) -> Reference:
    cls, records = METRICS[protocol.metric], plan.records
    count, view = reference_count(protocol, records), protocol.view
    parts = {
        "metric": protocol.metric,
        "split": records.split,
        "images": count,
        "captions and names": records.index.digest,
        "side": config.scales[-1],
        "box crop": config.data.box_crop,
        "crop at 76/64": config.data.random_crop,
        "extractor": extractors[view.extractor].fingerprint if view else "none",
        "resize": f"{view.resize} {view.at or ''}" if view else "none",
    }
    if protocol.metric == "r_precision":
        parts["sentences"] = plan.joint.file.parent.name
    metric = cls(count, plan)
    parts["keeps"] = " ".join(sorted(metric.state()))
    key = "; ".join(f"{name}: {value}" for name, value in parts.items())
    name = f"{protocol.metric}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    return Reference(metric, records.folder / FOLDER / name, key)


def _read(reference: Reference) -> bool:
    """Whether it was there."""
    if not reference.file.is_file():
        return False
    try:
        with np.load(reference.file, allow_pickle=False) as file:
            values = dict(file)
        key = str(values.pop("key"))
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{reference.file}: cannot be read ({error}); remove it, and it is made anew") from None
    if key != reference.key:
        other = [part.split(": ")[0] for part in reference.key.split("; ") if part not in key.split("; ")]
        raise UserError(f"{reference.file}: is of another {', '.join(other)}; remove it, and it is made anew")
    reference.metric.restore(values)
    return True


def _write(reference: Reference) -> None:
    try:
        reference.file.parent.mkdir(exist_ok=True)
        with whole(reference.file) as made:
            np.savez(made, key=reference.key, **reference.metric.state())
    except OSError as error:
        logging.warning("%s: cannot be written (%s); it is made anew each time", reference.file, error.strerror)
