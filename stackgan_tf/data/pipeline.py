"""Batches: which image, which sentence, which mismatched pair. Batch number n is a pure function of (seed, n)."""

import functools
import os

import numpy as np
import tensorflow as tf

from stackgan_tf.config import Config
from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.preprocess import load_image, pyramid
from stackgan_tf.data.records import Record, Records, Unreadable
from stackgan_tf.errors import UserError
from stackgan_tf.structs import Batch

READY = 2  # batches that wait for their step


class OtherClass:
    """Draws records of any class but a given one, uniformly.

    With the records sorted by class, the other classes are what lies before and after the class's own stretch.

    Raises:
        UserError: there is only one class, so nothing is ever mismatched.
    """

    def __init__(self, labels: np.ndarray) -> None:
        self.by_class = np.argsort(labels, kind="stable")
        ordered = labels[self.by_class]
        self.first = np.searchsorted(ordered, labels, side="left")  # of each record's class
        self.count = np.searchsorted(ordered, labels, side="right") - self.first
        if len(labels) == 0 or self.count[0] == len(labels):
            raise UserError("the training split has fewer than two classes: mismatched pairs need another class")

    def draw(self, records: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One record of another class for each of `records`: [B] -> [B]."""
        first, count = self.first[records], self.count[records]
        place = rng.integers(0, len(self.by_class) - count)
        return self.by_class[np.where(place < first, place, place + count)]


class BatchPlan:
    """What is in batch number n, drawn from the seed and n alone.

    Every epoch visits each record once in a fresh order. v2 with text gets another image for each sentence, v1
    another sentence for each image (the next one's), both of another class.
    """

    def __init__(self, records: Records, config: Config, embeddings: Embeddings | None) -> None:
        self.records, self.embeddings = records, embeddings
        self.size, self.seed = config.train.batch_size, config.train.seed
        self.text_size = config.data.text_size if embeddings else 1  # TensorFlow crashes where an array is empty
        self.data, self.scales = config.data, config.judged_scales
        self.other = OtherClass(records.labels) if config.model.family == "v2" and embeddings else None
        self.columns = 2 if self.other else 1  # images a row: the record's own, and a mismatched one
        self.order = functools.lru_cache(maxsize=2)(self._order)
        self.failure: UserError | None = None  # why there are no more batches; TensorFlow passes on a traceback

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.records))

    def fetch(self, number: int, part: int = 0, parts: int = 1) -> tuple[np.ndarray, ...]:
        """Text embeddings [B, T], labels [B], and at each scale images, uint8 [B / parts, C, s, s, 3], with C a row.

        A record that cannot be read is told of and left out, see `Records.leave_out`.

        Args:
            part: one of `parts` equal parts of the batch; the images are read of its rows only.

        Raises:
            Unreadable: too many are.
        """
        while True:
            try:
                return self._fetch(number, part, parts)
            except Unreadable as unreadable:
                try:
                    self.records.leave_out(unreadable)
                except Unreadable:
                    self.failure = unreadable
                    raise

    def _fetch(self, number: int, part: int, parts: int) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng((self.seed, 1, number))
        epochs, places = np.divmod(np.arange(number * self.size, (number + 1) * self.size), len(self.records))
        chosen = np.array([self.order(epoch)[place] for epoch, place in zip(epochs, places, strict=True)])
        chosen = self.records.with_stand_ins(chosen)
        mismatched = [self.records.with_stand_ins(self.other.draw(chosen, rng))] if self.other else []
        shown = np.stack([chosen, *mismatched], axis=1)
        dice = rng.random((*shown.shape, 3), np.float32)
        told = rng.integers(len(self.records), size=self.size) if self.data.shuffle_captions else chosen
        text = np.stack([self._text(record, rng) for record in told])
        shown, dice = (np.split(rows, parts)[part] for rows in (shown, dice))
        read = zip(self.records.fetch(shown.ravel()), dice.reshape(-1, 3), strict=True)
        scales = zip(*(self._images(*row) for row in read), strict=True)
        images = (np.stack(scale).reshape(*shown.shape, *scale[0].shape) for scale in scales)
        return text, self.records.labels[chosen], *images

    def _images(self, record: Record, dice: np.ndarray) -> list[np.ndarray]:
        data = self.data
        box = record.box if data.box_crop else None
        image = load_image(record.image, box, self.scales[-1], dice, data.random_crop, data.random_flip)
        return pyramid(image, self.scales)

    def _text(self, record: int, rng: np.random.Generator) -> np.ndarray:
        """The mean of the embeddings of some captions of a record: different ones, unless there are too few."""
        if self.embeddings is None:
            return np.zeros(self.text_size, np.float32)
        count = self.records.index.caption_counts[record]
        chosen = rng.choice(count, self.data.captions_per_image, replace=count < self.data.captions_per_image)
        return self.embeddings.of(record, chosen).mean(axis=0)

    def fetch_tensors(self, number: tf.Tensor, part: tf.Tensor, parts: int) -> tuple[tf.Tensor, ...]:
        """`fetch` in a graph."""
        shapes = [(self.size // parts, self.columns, side, side, 3) for side in self.scales]
        types = (tf.float32, tf.int64, *[tf.uint8] * len(shapes))
        fetched = tf.numpy_function(self.fetch, (number, part, parts), types, stateful=False)
        shapes = [(self.size, self.text_size), (self.size,), *shapes]
        return tuple(tf.ensure_shape(value, shape) for value, shape in zip(fetched, shapes, strict=True))


def training_batches(plan: BatchPlan, start: int, context: tf.distribute.InputContext | None = None) -> tf.data.Dataset:
    """Endless batches from number `start` on, as `Batch`: of each the parts of this worker's replicas, one by one.

    Args:
        context: the replicas in all, and which of them are here; by default there is one.
    """
    context = context or tf.distribute.InputContext()
    parts = context.num_replicas_in_sync
    here = parts // context.num_input_pipelines
    first, size = context.input_pipeline_id * here, plan.size // parts

    def load(count: tf.Tensor) -> Batch:
        part = first + count % here
        text, labels, *images = plan.fetch_tensors(count // here, part, parts)

        def own(rows: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(rows[part * size : (part + 1) * size], [size, *rows.shape[1:]])

        shown = tuple(scale[:, 0] for scale in images)
        if plan.embeddings is None:
            return Batch(shown)
        if plan.other:
            return Batch(shown, own(text), tuple(scale[:, 1] for scale in images))
        return Batch(shown, own(text), None, own(tf.roll(text, -1, axis=0)), own(next_pair_weight(labels)))

    return (
        tf.data.Dataset.range(start * here, np.iinfo(np.int64).max)
        .map(load, num_parallel_calls=os.cpu_count())
        .prefetch(READY * here)
    )


def batch_spec(config: Config) -> Batch:
    """What `training_batches` gives a single replica."""
    size, model = config.train.batch_size, config.model
    images = tuple(tf.TensorSpec((size, side, side, 3), tf.uint8) for side in config.judged_scales)
    if not model.conditional:
        return Batch(images)
    text = tf.TensorSpec((size, config.data.text_size))
    return Batch(images, text, images) if model.family == "v2" else Batch(images, text, None, text, tf.TensorSpec(size))


def held() -> int:
    """How many batches there are at a time: being made, ready, and in the step."""
    return os.cpu_count() + READY + 1


def next_pair_weight(labels: tf.Tensor) -> tf.Tensor:
    """Weight of the pair (image i, text i + 1): 0 for the last row and within a class, of mean 1 over the batch."""
    differs = tf.cast(labels[:-1] != labels[1:], tf.float32)
    weight = tf.concat([differs, [0.0]], axis=0)
    return tf.math.divide_no_nan(weight, tf.reduce_mean(weight))
