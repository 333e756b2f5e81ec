"""Batches: which image, which sentence, which mismatched pair. Batch number n is a pure function of (seed, n)."""

import functools

import numpy as np
import tensorflow as tf

from stackgan_tf.config import Config
from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.preprocess import load_image, pyramid
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.structs import Batch

WHOLE = (0, 0, 0, 0)


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
        self.captions_per_image = config.data.captions_per_image
        self.shuffle_captions, self.box_crop = config.data.shuffle_captions, config.data.box_crop
        self.other = OtherClass(records.labels) if config.model.family == "v2" and embeddings else None
        self.columns = 2 if self.other else 1  # images a row: the record's own, and a mismatched one
        self.order = functools.lru_cache(maxsize=2)(self._order)

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.records))

    def fetch(self, number: int) -> tuple[np.ndarray, ...]:
        """Of one batch, with C images a row.

        Returns:
            Encoded images [B, C], their boxes [B, C, 4] (all 0: the whole image), dice for their crops [B, C, 3],
            text embeddings [B, T] and labels [B].
        """
        rng = np.random.default_rng((self.seed, 1, number))
        epochs, places = np.divmod(np.arange(number * self.size, (number + 1) * self.size), len(self.records))
        chosen = np.array([self.order(epoch)[place] for epoch, place in zip(epochs, places, strict=True)])
        images = np.stack([chosen, self.other.draw(chosen, rng)] if self.other else [chosen], axis=1)
        shown = self.records.fetch(images.ravel())
        encoded = np.array([record.image for record in shown], object).reshape(images.shape)
        boxes = np.array([record.box if record.box and self.box_crop else WHOLE for record in shown], np.int32)
        dice = rng.random((*images.shape, 3), np.float32)
        told = rng.integers(len(self.records), size=self.size) if self.shuffle_captions else chosen
        text = np.stack([self._text(record, rng) for record in told])
        return encoded, boxes.reshape(*images.shape, 4), dice, text, self.records.labels[chosen]

    def _text(self, record: int, rng: np.random.Generator) -> np.ndarray:
        """The mean of the embeddings of some captions of a record: different ones, unless there are too few."""
        if self.embeddings is None:
            return np.zeros(self.text_size, np.float32)
        count = self.records.index.caption_counts[record]
        chosen = rng.choice(count, self.captions_per_image, replace=count < self.captions_per_image)
        return self.embeddings.of(record, chosen).mean(axis=0)

    def fetch_tensors(self, number: tf.Tensor) -> dict[str, tf.Tensor]:
        """`fetch` in a graph, by name."""
        types = {"encoded": tf.string, "boxes": tf.int32, "dice": tf.float32, "text": tf.float32, "label": tf.int64}
        shapes = {"encoded": (), "boxes": (4,), "dice": (3,)}
        shapes = {name: (self.size, self.columns, *shape) for name, shape in shapes.items()}
        shapes |= {"text": (self.size, self.text_size), "label": (self.size,)}
        fetched = tf.numpy_function(self.fetch, (number,), list(types.values()), stateful=False)
        return {name: tf.ensure_shape(value, shapes[name]) for name, value in zip(types, fetched, strict=True)}


def training_batches(
    records: Records, config: Config, embeddings: Embeddings | None, start_step: int
) -> tf.data.Dataset:
    """Endless global batches from number `start_step` on, as `Batch`."""
    data, plan = config.data, BatchPlan(records, config, embeddings)

    def decode(row: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        images = [
            load_image(encoded, box, config.judged_scales[-1], dice, data.random_crop, data.random_flip)
            for encoded, box, dice in zip(*map(tf.unstack, (row["encoded"], row["boxes"], row["dice"])), strict=True)
        ]
        return {"images": tf.stack(images), "text": row["text"], "label": row["label"]}

    def assemble(loaded: dict[str, tf.Tensor]) -> Batch:
        images, text = pyramid(loaded["images"][:, 0], config.judged_scales), loaded["text"]
        if embeddings is None:
            return Batch(images)
        if plan.other:
            return Batch(images, text, pyramid(loaded["images"][:, 1], config.judged_scales))
        return Batch(images, text, None, tf.roll(text, -1, axis=0), next_pair_weight(loaded["label"]))

    return (
        tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
        .map(plan.fetch_tensors, num_parallel_calls=2)
        .unbatch()
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(plan.size, drop_remainder=True)
        .map(assemble, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(2)
    )


def next_pair_weight(labels: tf.Tensor) -> tf.Tensor:
    """Weight of the pair (image i, text i + 1): 0 for the last row and within a class, of mean 1 over the batch."""
    differs = tf.cast(labels[:-1] != labels[1:], tf.float32)
    weight = tf.concat([differs, [0.0]], axis=0)
    return tf.math.divide_no_nan(weight, tf.reduce_mean(weight))
