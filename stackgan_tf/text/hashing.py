"""A text encoder that needs nothing: words and pairs of words, hashed to T signed places.

Source: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009, section 2.
"""

import re
from collections.abc import Sequence

import numpy as np

from stackgan_tf.errors import UserError
from stackgan_tf.structs import Tensor
from stackgan_tf.text import TextEncoder

DEFAULT_SIZE = 1024

# Bytes that are neither a letter, a digit nor part of a non-ASCII character. Only ASCII is lowered: the rule is
# then the same in every library.
SEPARATORS = r"[\x00-\x2f\x3a-\x60\x7b-\x7f]+"
# English words that say nothing of a picture; left in, they would be most of every embedding.
STOP_WORDS = (
    "a an and are as at be but by can for from has have in is it its of on or so some that the their there these they "
    "this those to very was were which with"
).split()
MODULUS = 2**31 - 1  # prime; every product below stays under 2**63
BASE, PLACE, SIGN = 1_103_515_245, 1_664_525_003, 1_566_083_941
MAX_BYTES = 256  # of a word or a pair; the rest does not count
POWERS = np.array([pow(BASE, i + 1, MODULUS) for i in range(MAX_BYTES)], np.int64)


class Encoder(TextEncoder):
    """Hashed set of words, and of pairs of neighbouring words, stop words left out.

    h(w) = sum_i byte_i BASE^(i+1) mod p is one polynomial hash; two multiples of it choose the place (mod T) and
    the sign. The sum is scaled to root mean square 1. The same sentence gives the same embedding on every machine
    and run, in numpy and in a TensorFlow graph (to float32 rounding).
    """

    name = "hashing"

    def __init__(self, size: int = 0, path: str = "") -> None:
        if path:
            raise UserError(f"data.text_path={path!r}: the hashing encoder has no weights; leave it out")
        self.size = size or DEFAULT_SIZE

    def fingerprint(self) -> str:
        """The size is all that can change."""
        return str(self.size)

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """N sentences -> [N, T] float32; a sentence without a word gives zeros."""
        embeddings = np.zeros((len(sentences), self.size), np.float32)
        for row, sentence in zip(embeddings, sentences, strict=True):
            lowered = re.sub("[A-Z]", lambda match: match[0].lower(), sentence)
            words = [word for word in re.sub(SEPARATORS, " ", lowered).split(" ") if word and word not in STOP_WORDS]
            for gram in {*words, *(f"{a} {b}" for a, b in zip(words, words[1:], strict=False))}:
                text = np.frombuffer(gram.encode(errors="replace")[:MAX_BYTES], np.uint8).astype(np.int64)
                code = int(np.sum(text * POWERS[: len(text)] % MODULUS)) % MODULUS
                row[code * PLACE % MODULUS % self.size] += 1.0 if code * SIGN % MODULUS % 2 else -1.0
        norm = np.sqrt(np.mean(embeddings**2, axis=1, keepdims=True))
        return embeddings / np.where(norm > 0, norm, 1)

    def encode_tensor(self, sentences: Tensor) -> Tensor:
        """The same as a TensorFlow graph: string [N] -> [N, T] float32."""
        import tensorflow as tf

        spaced = tf.strings.regex_replace(tf.strings.lower(sentences), SEPARATORS, " ")
        words = tf.strings.split(tf.strings.strip(spaced), " ")
        telling = tf.reduce_all(words.flat_values[:, None] != tf.constant(["", *STOP_WORDS]), axis=1)
        words = tf.ragged.boolean_mask(words, words.with_flat_values(telling))
        grams = tf.strings.ngrams(words, (1, 2))
        text = tf.strings.bytes_split(tf.strings.substr(grams.flat_values, 0, MAX_BYTES)).to_tensor("\0")
        text = tf.cast(tf.squeeze(tf.io.decode_raw(text, tf.uint8), -1), tf.int64)  # [grams, longest]
        code = tf.reduce_sum(text * tf.constant(POWERS)[: tf.shape(text)[1]] % MODULUS, axis=1) % MODULUS
        # Once per sentence: the row and the code as one number, made unique.
        code, row = _unique_pairs(code, grams.value_rowids())
        sign = tf.cast(code * SIGN % MODULUS % 2, tf.float32) * 2 - 1
        cell = row * self.size + code * PLACE % MODULUS % self.size
        count = tf.shape(sentences)[0]
        sums = tf.math.unsorted_segment_sum(sign, cell, tf.cast(count, tf.int64) * self.size)
        embeddings = tf.reshape(sums, (count, self.size))
        return tf.math.divide_no_nan(embeddings, tf.sqrt(tf.reduce_mean(tf.square(embeddings), axis=1, keepdims=True)))


def _unique_pairs(code: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """Each pair of a code and a row once; rows stay under 2**31."""
    import tensorflow as tf

    pairs = tf.unique(row * MODULUS + code).y
    return pairs % MODULUS, pairs // MODULUS
