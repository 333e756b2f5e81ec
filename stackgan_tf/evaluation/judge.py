"""All figures of a run: which samples, which real images, and what is written down of them."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf
import tensorflow_datasets as tfds

from stackgan_tf import pretrained
from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.extractors import Extractor
from stackgan_tf.evaluation.metric import Metric
from stackgan_tf.evaluation.plan import Plan
from stackgan_tf.evaluation.protocols import METRICS, Protocol
from stackgan_tf.evaluation.reference import real_images, reference_count
from stackgan_tf.evaluation.stream import Listener, Samples, stream
from stackgan_tf.files import write_whole
from stackgan_tf.generation import TextToImage
from stackgan_tf.text import TextEncoder

FOLDER = "evaluation"  # of a run directory
FOUND = ("name", "value", "error", "real", "notes")  # of a figure; all else are choices
Choices = dict[str, Any]  # all that a figure depends on, but for the run itself
Figure = dict[str, Any]  # what was found, and the choices


class Judged(NamedTuple):
    """A run, and what it is judged with."""

    run_dir: Path
    artist: TextToImage
    weights: str  # of the generator: ema or live
    builder: tfds.core.DatasetBuilder
    extractors: Mapping[str, Extractor]  # by name
    joint_text: TextEncoder | None  # where a protocol needs it
    seed: int


def splits(builder: tfds.core.DatasetBuilder) -> list[str]:
    """Those that can be compared with, `test` first."""
    return [split for split in ("test", "train") if split in builder.info.splits]


def check(protocols: Sequence[Protocol], judged: Judged) -> None:
    """Whether each can be had of this run, and written down.

    Raises:
        UserError: one cannot.
    """
    config = judged.artist.config
    for protocol in protocols:
        count = judged.builder.info.splits[protocol.split].num_examples
        if count < 2:
            where = f"{judged.builder.data_path}: images in the {protocol.split} split: {count}"
            raise UserError(f"{where}; nothing to compare with")
        if protocol.metric in ("r_precision", "attributes") and not config.model.conditional:
            raise UserError(f"--protocol={protocol.metric}: this run draws without text")
        if protocol.metric == "attributes" and config.data.dataset != "shapes":
            raise UserError(
                f"--protocol=attributes: can be read off the pictures of shapes only, not {config.data.dataset}"
            )
        if METRICS[protocol.metric].needs == "logits" and not judged.extractors[protocol.view.extractor].has_logits:
            raise UserError(
                f"--extractor={protocol.view.extractor}: gives no logits, which {protocol.metric} needs; take one of "
                "stackgan_tf.train_classifier"
            )
    written(_file(judged))


def evaluate(judged: Judged, protocols: Sequence[Protocol], strategy: tf.distribute.Strategy) -> list[Figure] | None:
    """The figures of these protocols; None when interrupted (it is saved then, and the same call goes on).

    Raises:
        UserError: as `check`, `stream` and `real_images`.
    """
    check(protocols, judged)
    choices = {protocol: _choices(protocol, judged) for protocol in protocols}
    figures, partial = [], _partial(judged, choices.values())
    for _, group in groupby(sorted(protocols, key=_pass), _pass):
        found = _evaluate_pass(judged, {protocol: choices[protocol] for protocol in group}, strategy, partial)
        if found is None:
            return None
        figures += found
    return figures


def _pass(protocol: Protocol) -> tuple[str, int]:
    """Protocols that agree on it are measured on the same samples."""
    return protocol.split, METRICS[protocol.metric].each


def _partial(judged: Judged, choices: Iterable[Choices]) -> Path:
    """The folder of what is done so far for figures of just these choices."""
    said = "".join(sorted({json.dumps(chosen) for chosen in choices}))
    name = f"partial-{judged.artist.step}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"
    return judged.run_dir / FOLDER / name


def _evaluate_pass(
    judged: Judged, choices: Mapping[Protocol, Choices], strategy: tf.distribute.Strategy, partial: Path
) -> list[Figure] | None:
    """Figures of protocols that agree on `_pass`."""
    protocols = list(choices)
    split, each = _pass(protocols[0])
    artist, records = judged.artist, Records(judged.builder, split)
    joint = Embeddings(records, judged.joint_text) if judged.joint_text else None
    real = real_images(protocols, Plan(records, 1, joint), artist.config, judged.extractors, strategy, partial)
    if real is None:
        return None
    plan = Plan(records, each, joint)
    embeddings = Embeddings(records, artist.encoder) if artist.encoder else None
    source = Samples(artist, plan, embeddings, judged.seed, max(protocol.count for protocol in protocols))
    metrics = {protocol: METRICS[protocol.metric](protocol.count, plan) for protocol in protocols}
    listeners = [Listener(protocol.name, metric, protocol.view) for protocol, metric in metrics.items()]
    if not stream(source, listeners, judged.extractors, strategy, partial / f"{split}-{each}.npz"):
        return None
    return [
        figure
        for protocol, metric in metrics.items()
        for figure in _figures(protocol, metric, real.get(protocol), choices[protocol])
    ]


def _choices(protocol: Protocol, judged: Judged) -> Choices:
    view, extractor = protocol.view, judged.extractors.get(protocol.view.extractor) if protocol.view else None
    artist, records = judged.artist, Records(judged.builder, protocol.split)
    return {
        "metric": protocol.metric,
        "num_samples": protocol.count,
        "seed": judged.seed,
        "weights": judged.weights,
        "text_encoder": _told(artist.encoder),
        "dataset": str(judged.builder.info.full_name),
        "split": protocol.split,
        "split_sha256": records.index.digest,
        "real_images": reference_count(protocol, records) if METRICS[protocol.metric].compares else 0,
        "crop_at_76_64": artist.config.data.random_crop,
        "box_crop": artist.config.data.box_crop,
        "side": artist.scales[-1],
        "at": view.at if view else None,
        "extractor": extractor.name if extractor else None,
        "extractor_sha256": extractor.fingerprint if extractor else None,
        "extractor_side": extractor.side if extractor else None,
        "resize": view.resize if view else None,
        "joint_text": _told(judged.joint_text) if METRICS[protocol.metric].needs == "joint" else None,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


def _told(encoder: TextEncoder | None) -> str | None:
    return f"{encoder.name} {encoder.fingerprint()}" if encoder else None


def _figures(protocol: Protocol, metric: Metric, real: Metric | None, choices: Choices) -> Iterator[Figure]:
    for name, score in metric.scores(real).items():
        full = f"{protocol.name}/{name}" if name else protocol.name
        yield {"name": full, **score._asdict(), "notes": metric.notes(real), **choices}


def write(judged: Judged, figures: Sequence[Figure]) -> Path:
    """`evaluation/<step>.json` and a row of TensorBoard; figures of other choices stay. What was saved on the way goes.

    Raises:
        UserError: the file cannot be written, or holds something else.
    """
    path, step = _file(judged), judged.artist.step
    fresh = [choices_of(figure) for figure in figures]
    kept = [figure for figure in written(path) if choices_of(figure) not in fresh]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"step": step, "figures": kept + list(figures)}, indent=1) + "\n")
        if not pretrained.is_pretrained(judged.run_dir):  # its README.md has them
            with tf.summary.create_file_writer(str(judged.run_dir / "tensorboard")).as_default(step):
                for figure in figures:
                    tf.summary.scalar(f"evaluation/{figure['name']}/{judged.weights}", figure["value"])
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"{path}: cannot be written ({getattr(error, 'strerror', None) or error})") from None
    own = _partial(judged, fresh)
    for partial in path.parent.glob("partial-*"):
        if partial == own or int(partial.name.split("-")[1]) < step:  # of an older step: nobody goes on with it
            shutil.rmtree(partial)
    return path


def _file(judged: Judged) -> Path:
    return judged.run_dir / FOLDER / f"{judged.artist.step}.json"


def written(path: Path) -> list[Figure]:
    """The figures in a file of `write`; none where there is no file.

    Raises:
        UserError: it holds something else.
    """
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))["figures"] if path.is_file() else []
        if all({"name", "value", "error", "weights"} <= figure.keys() for figure in figures):
            return figures
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # said below
    raise UserError(f"{path}: holds something else than figures; move it away")


def choices_of(figure: Figure) -> Choices:
    """All that a figure depends on."""
    return {name: value for name, value in figure.items() if name not in FOUND}


def table(figures: Sequence[Figure]) -> str:
    """The figures, one a line: value, error, what real images get; notes underneath."""
    width = max(len(figure["name"]) for figure in figures)
    lines = [f"{'':<{width}}{'value':>12}{'+-':>10}{'real':>10}"]
    for figure in figures:
        numbers = (figure["value"], 12), (figure["error"], 10), (figure["real"], 10)
        lines.append(f"{figure['name']:<{width}}" + "".join(f"{short(number):>{w}}" for number, w in numbers))
    notes = dict.fromkeys(f"{f['name'].split('/')[0]}: {note}" for f in figures for note in f["notes"])
    return "\n".join([*lines, *notes]) + "\n"


def short(number: float | None) -> str:
    """A number of a figure to four digits; nothing where there is none."""
    return "" if number is None else f"{number:.4g}"
