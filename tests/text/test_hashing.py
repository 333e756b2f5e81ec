"""The encoder that needs nothing."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import text
from stackgan_tf.config import DataConfig
from stackgan_tf.errors import UserError
from stackgan_tf.text.hashing import Encoder

SENTENCES = [
    "a small Red circle on a blue background!",
    "this flower has petals that are yellow, and a Brown center",
    "",
    "of the and",
    "Éa  é? x_y medium-sized",
    "x" * 400,
    "日本 語",
    "red red\tred\nred",
]


@pytest.mark.parametrize("size", [1, 16, 1024])
def test_numpy_and_graph_agree(size):
    encoder = Encoder(size)
    graph = tf.function(encoder.encode_tensor)(tf.constant(SENTENCES)).numpy()
    np.testing.assert_allclose(graph, encoder.encode(SENTENCES), atol=1e-6)


def test_scale_is_one_and_nothing_gives_zeros():
    embeddings = Encoder().encode(SENTENCES)
    scale = np.sqrt(np.mean(embeddings**2, axis=1))
    np.testing.assert_allclose(scale, [1, 1, 0, 0, 1, 1, 1, 1], rtol=1e-6)


def test_the_places_are_the_same_on_every_machine():
    """Written down once: a change here breaks every trained model."""
    embedding = Encoder().encode(["a yellow rose"])[0]
    places = {int(i): int(np.sign(embedding[i])) for i in np.flatnonzero(embedding)}
    assert places == {234: 1, 380: 1, 794: 1}  # yellow, rose, "yellow rose"


def test_the_same_in_another_process_with_another_hash_seed():
    code = (
        "from stackgan_tf.text.hashing import Encoder;"
        "print(Encoder(64).encode(['a red circle on a blue background']).tobytes().hex())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONHASHSEED": seed}, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_word_order_tells_who_is_red():
    a, b = Encoder().encode(["red circle on blue background", "blue circle on red background"])
    assert np.abs(a - b).max() > 1


def test_case_punctuation_and_stop_words_do_not_matter():
    a, b = Encoder(256).encode(["The RED, circle.", "red circle"])
    assert np.array_equal(a, b)


def test_an_unknown_encoder_lists_the_known():
    with pytest.raises(UserError, match="data.text_encoder='bert': unknown; choose from char_cnn_rnn, clip, hashing"):
        text.load(DataConfig(text_encoder="bert"))
