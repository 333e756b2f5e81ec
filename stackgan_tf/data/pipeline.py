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


def training_batches(records: Records, config: Config, encoder: TextEncoder | None, start_step: int) -> tf.data.Dataset:
    """Endless global batches from number `start_step` on, as `Batch`.

    Every epoch visits each record once in a fresh order. v2 with text gets another image for each sentence, v1
    another sentence for each image (the next one's), both of another class.
    """
    data, size, seed = config.data, config.train.batch_size, config.train.seed
    second_image = config.model.family == "v2" and config.model.conditional
    other = OtherClass(records.labels) if second_image else None
    side, columns = config.judged_scales[-1], 2 if second_image else 1

    @functools.lru_cache(maxsize=2)
    def order(epoch: int) -> np.ndarray:
        return np.random.default_rng((seed, 0, epoch)).permutation(len(records))

    def fetch(number: np.ndarray) -> tuple[np.ndarray, ...]:
        """Batch `number`: encoded images and dice for their crops [B, columns], sentences and labels [B]."""
        rng = np.random.default_rng((seed, 1, number))
        positions = range(number * size, (number + 1) * size)
        first = np.array([order(i // len(records))[i % len(records)] for i in positions])
        images = np.stack([first, other.draw(first, rng)] if other else [first], axis=1)
        shown = records.fetch(images.ravel())
        encoded = np.array([r.image for r in shown], object).reshape(images.shape)
        dice = rng.random((size, columns, 3), np.float32)
        sentences = np.full(size, b"", object)
        if config.model.conditional:
            told = records.fetch(rng.integers(len(records), size=size)) if data.shuffle_captions else shown[::columns]
            sentences[:] = [r.captions[rng.integers(len(r.captions))].encode() for r in told]
        return encoded, dice, sentences, records.labels[first]

    def fetch_tensors(number: tf.Tensor) -> dict[str, tf.Tensor]:
        types = (tf.string, tf.float32, tf.string, tf.int64)
        encoded, dice, sentences, labels = tf.numpy_function(fetch, (number,), types, stateful=False)
        return {
            "encoded": tf.ensure_shape(encoded, (size, columns)),
            "dice": tf.ensure_shape(dice, (size, columns, 3)),
            "sentence": tf.ensure_shape(sentences, (size,)),
            "label": tf.ensure_shape(labels, (size,)),
        }

    def decode(fetched: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        images = [
            load_image(fetched["encoded"][i], side, fetched["dice"][i], data.random_crop, data.random_flip)
            for i in range(columns)
        ]
        return {"images": tf.stack(images), "sentence": fetched["sentence"], "label": fetched["label"]}

    def assemble(loaded: dict[str, tf.Tensor]) -> Batch:
        images = pyramid(loaded["images"][:, 0], config.judged_scales)
        if encoder is None:
            return Batch(images)
        text = tf.ensure_shape(encoder.encode_tensor(loaded["sentence"]), (size, encoder.size))
        if second_image:
            return Batch(images, text, pyramid(loaded["images"][:, 1], config.judged_scales))
        weight = _next_pair_weight(loaded["label"])
        return Batch(images, text, None, tf.roll(text, -1, axis=0), weight)

    return (
        tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
        .map(fetch_tensors, num_parallel_calls=2)
        .unbatch()
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(size, drop_remainder=True)
        .map(assemble, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(2)
    )


def _next_pair_weight(labels: tf.Tensor) -> tf.Tensor:
    """Weight of the pair (image i, text i + 1): 0 for the last row and within a class, of mean 1 over the batch."""
    differs = tf.cast(labels[:-1] != labels[1:], tf.float32)
    weight = tf.concat([differs, [0.0]], axis=0)
    return tf.math.divide_no_nan(weight, tf.reduce_mean(weight))
