"""Images in batches under the strategy, seen by extractors, given to metrics; saved on the way, to go on from."""

import time
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from stackgan_tf.config import DataConfig
from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.preprocess import load_plain
from stackgan_tf.data.records import Record
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.extractors import Activations, Extractor
from stackgan_tf.evaluation.metric import Metric, Seen
from stackgan_tf.evaluation.plan import Plan
from stackgan_tf.evaluation.protocols import View
from stackgan_tf.files import whole
from stackgan_tf.generation import TextToImage, tensor_grey_levels
from stackgan_tf.interrupts import catch_interrupts

ROWS = 32  # a replica and batch, whatever the number of replicas: so each image is computed in the same way
SAVE_EVERY_SECONDS = 60.0

Inputs = dict[str, np.ndarray]


class Source(ABC):
    """Where images come from, by number."""

    what: str
    count: int

    @abstractmethod
    def inputs(self, numbers: np.ndarray) -> Inputs:
        """What is needed for these images; on the host."""

    @abstractmethod
    def images(self, inputs: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """[B, S, S, 3] uint8, and whether each is of finite numbers, [B]; in a graph."""


class Samples(Source):
    """What a generator draws at its finest scale for the captions of a plan; sample i is that of `TextToImage`."""

    what = "samples"

    def __init__(self, artist: TextToImage, plan: Plan, embeddings: Embeddings | None, seed: int, count: int) -> None:
        self.artist, self.plan, self.embeddings, self.seed, self.count = artist, plan, embeddings, seed, count

    def inputs(self, numbers: np.ndarray) -> Inputs:
        """Noise, and text embeddings [B, T]."""
        noise = self.artist.noise(self.seed, numbers.tolist())
        if self.embeddings is None:
            return noise
        told = zip(self.plan.record(numbers), self.plan.caption(numbers)[:, None], strict=True)
        return noise | {"text_embedding": np.concatenate([self.embeddings.of(*row) for row in told])}

    def images(self, inputs: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Drawn, and rounded to whole grey levels as in a picture file."""
        drawn = self.artist.generator(**inputs).images[-1]
        finite = tf.reduce_all(tf.math.is_finite(drawn), axis=(1, 2, 3))
        return tensor_grey_levels(drawn), finite


class Photographs(Source):
    """The real images of a plan, prepared as for training but for chance: the crop is central, nothing is mirrored."""

    what = "real images"

    def __init__(self, plan: Plan, data: DataConfig, side: int, count: int) -> None:
        self.plan, self.data, self.side, self.count = plan, data, side, count
        self.pool = ThreadPoolExecutor()

    def inputs(self, numbers: np.ndarray) -> Inputs:
        """The images themselves."""
        records = self.plan.records.fetch(self.plan.record(numbers))
        return {"images": np.stack(list(self.pool.map(self._load, records)))}

    def _load(self, record: Record) -> np.ndarray:
        return load_plain(record.image, record.box, self.side, self.data)

    def images(self, inputs: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """As they are."""
        return inputs["images"], tf.ones(tf.shape(inputs["images"])[0], tf.bool)


class Listener(NamedTuple):
    """A metric, the name of what it measures, and how it sees the images; None for the images alone."""

    name: str
    metric: Metric
    view: View | None


def stream(
    source: Source,
    listeners: Sequence[Listener],
    extractors: Mapping[str, Extractor],
    strategy: tf.distribute.Strategy,
    file: Path,
) -> bool:
    """Shows all images of a source to the metrics, each as many as it counts, in the order of their numbers.

    Args:
        file: what is done so far; read where it is there, and left there at the end too.

    Returns:
        Whether it came to the end; False when interrupted (it is saved then).

    Raises:
        UserError: an image is not of finite numbers, or the disk is full.
    """
    views = sorted({listener.view for listener in listeners if listener.view}, key=str)

    def look(inputs: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, list[Activations]]:
        images, finite = source.images(inputs)
        return images, finite, [extractors[view.extractor](images, view.resize, view.at) for view in views]

    run = tf.function(lambda inputs: strategy.run(look, (inputs,)), autograph=False)
    replicas = strategy.num_replicas_in_sync
    done = _restore(file, listeners)
    saved = time.monotonic()
    bar = tqdm(total=source.count, initial=done, desc=source.what, unit="image", mininterval=1.0)
    with catch_interrupts() as interrupted, ThreadPoolExecutor(1) as ahead, bar:
        coming = ahead.submit(_batch, source, done, replicas)
        while done < source.count and not interrupted():
            batch, coming = coming.result(), ahead.submit(_batch, source, done + ROWS * replicas, replicas)
            inputs = strategy.experimental_distribute_values_from_function(
                lambda context, batch=batch: batch[context.replica_id_in_sync_group]
            )
            for images, finite, activations in strategy.experimental_local_results(run(inputs)):
                rows = slice(min(ROWS, source.count - done))
                if not rows.stop:
                    break
                _refuse_nan(source, finite.numpy()[rows], done)
                numbers = np.arange(done, done + rows.stop)
                _tell(listeners, numbers, images.numpy()[rows], dict(zip(views, activations, strict=True)))
                done += rows.stop
                bar.update(rows.stop)
            if time.monotonic() - saved > SAVE_EVERY_SECONDS or interrupted() or done == source.count:
                _save(file, listeners, done)
                saved = time.monotonic()
        return done == source.count and not interrupted()


def _batch(source: Source, start: int, replicas: int) -> list[dict[str, tf.Tensor]]:
    """The inputs of each replica; behind the end the last image again and again, which nobody is told."""
    numbers = np.minimum(np.arange(start, start + ROWS * replicas), source.count - 1)
    return [
        {name: tf.constant(value) for name, value in source.inputs(part).items()}
        for part in np.split(numbers, replicas)
    ]


def _tell(
    listeners: Sequence[Listener], numbers: np.ndarray, images: np.ndarray, activations: Mapping[View, Activations]
) -> None:
    for _, metric, view in listeners:
        rows = slice(max(0, min(len(numbers), int(metric.count) - int(numbers[0]))))
        features, logits = activations[view] if view else (None, None)
        if rows.stop:
            seen = [None if x is None else x.numpy()[rows] for x in (features, logits)]
            if not all(np.isfinite(x).all() for x in seen if x is not None):
                raise UserError(f"--extractor={view.extractor}: what it gives is not finite; it is damaged")
            metric.add(Seen(numbers[rows], images[rows], *seen))


def _refuse_nan(source: Source, finite: np.ndarray, done: int) -> None:
    if broken := int((~finite).sum()):
        raise UserError(
            f"{broken} of the first {done + len(finite)} {source.what} are not of finite numbers: this run has "
            "diverged; go back to an older checkpoint"
        )


def _save(file: Path, listeners: Sequence[Listener], done: int) -> None:
    states = {f"{name}.{key}": value for name, metric, _ in listeners for key, value in metric.state().items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as made:
            np.savez(made, done=done, **states)
    except OSError as error:
        raise UserError(f"{file}: what is measured so far cannot be saved ({error.strerror or error})") from None


def _restore(file: Path, listeners: Sequence[Listener]) -> int:
    """Gives the metrics what they had kept; the number of images that it was of, 0 where nothing readable is there."""
    try:
        with np.load(file, allow_pickle=False) as saved:
            values = dict(saved)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return 0
    for name, metric, _ in listeners:
        prefix = f"{name}."
        metric.restore({key.removeprefix(prefix): v for key, v in values.items() if key.startswith(prefix)})
    return int(values["done"])
