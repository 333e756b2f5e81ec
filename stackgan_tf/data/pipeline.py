"""Batches: which image, which sentence, which mismatched pair. Batch number n is a pure function of (seed, n)."""

import functools

import numpy as np
import tensorflow as tf

from stackgan_tf.config import Config
from stackgan_tf.data.preprocess import load_image, pyramid
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.structs import Batch
from stackgan_tf.text import TextEncoder


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

    def __init__(self, records: Records, config: Config) -> None:
        self.records = records
        self.size, self.seed = config.train.batch_size, config.train.seed
        self.with_text, self.captions_per_image = config.model.conditional, config.data.captions_per_image
        self.shuffle_captions = config.data.shuffle_captions
        self.other = OtherClass(records.labels) if config.model.family == "v2" and config.model.conditional else None
        self.columns = 2 if self.other else 1  # images a row: the record's own, and a mismatched one
        self.order = functools.lru_cache(maxsize=2)(self._order)

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.records))

    def fetch(self, number: int) -> tuple[np.ndarray, ...]:
        """Encoded images [B, columns], dice for their crops [B, columns, 3], sentences [B, k] and labels [B]."""
        rng = np.random.default_rng((self.seed, 1, number))
        epochs, places = np.divmod(np.arange(number * self.size, (number + 1) * self.size), len(self.records))
        chosen = np.array([self.order(epoch)[place] for epoch, place in zip(epochs, places, strict=True)])
        images = np.stack([chosen, self.other.draw(chosen, rng)] if self.other else [chosen], axis=1)
        shown = self.records.fetch(images.ravel())
        encoded = np.array([record.image for record in shown], object).reshape(images.shape)
        dice = rng.random((*images.shape, 3), np.float32)
        sentences = np.full((self.size, self.captions_per_image), b"", object)
        if self.with_text:
            told = shown[:: self.columns]
            if self.shuffle_captions:
                told = self.records.fetch(rng.integers(len(self.records), size=self.size))
            for row, record in zip(sentences, told, strict=True):
                count = len(record.captions)  # different ones, unless there are too few
                for place, i in enumerate(rng.choice(count, len(row), replace=count < len(row))):
                    row[place] = record.captions[i].encode()
        return encoded, dice, sentences, self.records.labels[chosen]

    def fetch_tensors(self, number: tf.Tensor) -> dict[str, tf.Tensor]:
        """`fetch` in a graph, by name."""
        types = (tf.string, tf.float32, tf.string, tf.int64)
        encoded, dice, sentences, labels = tf.numpy_function(self.fetch, (number,), types, stateful=False)
        return {
            "encoded": tf.ensure_shape(encoded, (self.size, self.columns)),
            "dice": tf.ensure_shape(dice, (self.size, self.columns, 3)),
            "sentences": tf.ensure_shape(sentences, (self.size, self.captions_per_image)),
            "label": tf.ensure_shape(labels, (self.size,)),
        }


def training_batches(records: Records, config: Config, encoder: TextEncoder | None, start_step: int) -> tf.data.Dataset:
    """Endless global batches from number `start_step` on, as `Batch`."""
    data, plan = config.data, BatchPlan(records, config)

    def decode(row: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        images = [
            load_image(encoded, config.judged_scales[-1], dice, data.random_crop, data.random_flip)
            for encoded, dice in zip(tf.unstack(row["encoded"]), tf.unstack(row["dice"]), strict=True)
        ]
        return {"images": tf.stack(images), "sentences": row["sentences"], "label": row["label"]}

    def assemble(loaded: dict[str, tf.Tensor]) -> Batch:
        images = pyramid(loaded["images"][:, 0], config.judged_scales)
        if encoder is None:
            return Batch(images)
        text = encoder.encode_tensor(tf.reshape(loaded["sentences"], [-1]))
        text = tf.reduce_mean(tf.reshape(text, (plan.size, plan.captions_per_image, encoder.size)), axis=1)
        if plan.other:
            return Batch(images, text, pyramid(loaded["images"][:, 1], config.judged_scales))
        weight = next_pair_weight(loaded["label"])
        return Batch(images, text, None, tf.roll(text, -1, axis=0), weight)

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
