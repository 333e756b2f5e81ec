"""Batches: which image, which sentence, which mismatched pair. Batch number n is a pure function of (seed, n)."""

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

    def draw(self, record: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """A record of another class than `record`'s: int64 scalar, seed [2] -> int64 scalar."""
        first, count = tf.gather(self.first, record), tf.gather(self.count, record)
        place = tf.random.stateless_uniform((), seed, 0, len(self.by_class) - count, tf.int64)
        return tf.gather(self.by_class, tf.where(place < first, place, place + count))


def training_batches(records: Records, config: Config, encoder: TextEncoder | None, start_step: int) -> tf.data.Dataset:
    """Endless global batches from number `start_step` on, as `Batch`.

    Every epoch visits each record once in a fresh order. v2 with text gets another image for each sentence, v1
    another sentence for each image (the next one's), both of another class.
    """
    data, size, seed = config.data, config.train.batch_size, config.train.seed
    second_image = config.model.family == "v2" and config.model.conditional
    other = OtherClass(records.labels) if second_image else None

    def draw(position: tf.Tensor) -> dict[str, tf.Tensor]:
        epoch, place = position // len(records), position % len(records)
        order = tf.stack([tf.constant(seed, tf.int64), epoch])
        record = tf.random.experimental.index_shuffle(place, tf.cast(order, tf.int32), len(records) - 1)
        seeds = tf.random.split(tf.stack([tf.constant(seed, tf.int64), position]), 5)
        images = [record] if other is None else [record, other.draw(record, seeds[0])]
        told = record
        if data.shuffle_captions:
            told = tf.random.stateless_uniform((), seeds[1], 0, len(records), tf.int64)
        return {
            "images": tf.stack(images),
            "told": told,
            "caption": tf.random.stateless_uniform((), seeds[2]),
            "crops": tf.stack([seeds[3], seeds[4]])[: len(images)],
        }

    def fetch(drawn: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        encoded, sentences = tf.numpy_function(
            lambda images, told, caption: _fetch(records, images, told, caption, config.model.conditional),
            (drawn["images"], drawn["told"], drawn["caption"]),
            (tf.string, tf.string),
            stateful=False,
        )
        return {
            "encoded": tf.ensure_shape(encoded, drawn["images"].shape),
            "sentence": tf.ensure_shape(sentences, drawn["told"].shape),
            "label": tf.gather(records.labels, drawn["images"][:, 0]),
            "crops": drawn["crops"],
        }

    def decode(fetched: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        pairs = zip(tf.unstack(fetched["encoded"]), tf.unstack(fetched["crops"]), strict=True)
        images = [
            load_image(encoded, config.judged_scales[-1], crop, data.random_crop, data.random_flip)
            for encoded, crop in pairs
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
        tf.data.Dataset.range(start_step * size, np.iinfo(np.int64).max)
        .map(draw, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(size, drop_remainder=True)
        .map(fetch, num_parallel_calls=2)
        .unbatch()
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(size, drop_remainder=True)
        .map(assemble, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(2)
    )


def _fetch(
    records: Records, images: np.ndarray, told: np.ndarray, caption: np.ndarray, with_text: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The encoded images [B, 1 or 2] and one caption [B] of each record of `told`; runs in Python."""
    encoded = np.array([r.image for r in records.fetch(images.ravel())], object).reshape(images.shape)
    if not with_text:
        return encoded, np.full(len(told), b"", object)
    texts = [r.captions for r in records.fetch(told)]
    chosen = [t[int(u * len(t))].encode() for t, u in zip(texts, caption, strict=True)]
    return encoded, np.array(chosen, object)


def _next_pair_weight(labels: tf.Tensor) -> tf.Tensor:
    """Weight of the pair (image i, text i + 1): 0 for the last row and within a class, of mean 1 over the batch."""
    differs = tf.cast(labels[:-1] != labels[1:], tf.float32)
    weight = tf.concat([differs, [0.0]], axis=0)
    return tf.math.divide_no_nan(weight, tf.reduce_mean(weight))
