"""Reed et al.'s encoder."""

import keras
import numpy as np
import pytest
import yaml

from stackgan_tf.errors import UserError
from stackgan_tf.models.char_cnn_rnn import CharCnnRnn
from stackgan_tf.text.char_cnn_rnn import CONFIG, WEIGHTS, Encoder, characters

SENTENCES = ["this Flower has red-ish petals.", "", "a" * 300, "Ünïcode, 日本"]


def save_encoder(folder, seed=0):
    """Of 12 numbers, not trained."""
    keras.utils.set_random_seed(seed)  # of some seeds no unit answers to a short sentence
    network = CharCnnRnn(size=12, width=8, name="text")
    network(np.zeros((1, 201), np.uint8))
    network.save_weights(folder / WEIGHTS)
    (folder / CONFIG).write_text(yaml.safe_dump({"size": 12, "width": 8}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    save_encoder(folder)
    return folder


def test_characters_are_places_in_the_alphabet():
    ids = characters(SENTENCES)
    assert ids.shape == (4, 201) and ids.dtype == np.uint8
    assert list(ids[0, :6]) == [20, 8, 9, 19, 70, 6], "t h i s, a space, a small f"
    assert ids[0][SENTENCES[0].index("-")] == 60, "the second of the two"
    assert not ids[1].any() and (ids[2] == 1).all()
    assert list(ids[3, :10]) == [70, 14, 70, 3, 15, 4, 5, 37 + 1, 70, 70], "what is not in the alphabet is a space"


def test_the_network_by_hand():
    """The released code's equations in numpy: valid convolutions, ReLU, pools 3/3, 3/3, 3/2, h = relu(Wx + Uh)."""
    network = CharCnnRnn(size=5, width=6)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 71, (2, 201)).astype(np.uint8)
    network(ids)
    for variable in network.trainable_variables:
        variable.assign(0.1 * rng.standard_normal(variable.shape))
    x = np.eye(71)[ids][..., 1:]
    for convolution, strides in zip(network.convolutions, (3, 3, 2), strict=True):
        kernel, bias = (v.numpy() for v in convolution.trainable_variables)
        windows = np.lib.stride_tricks.sliding_window_view(x, 4, axis=1)
        x = np.maximum(np.einsum("blck,kcf->blf", windows, kernel) + bias, 0)
        x = np.lib.stride_tricks.sliding_window_view(x, 3, axis=1).max(axis=-1)[:, ::strides]
    assert x.shape[1] == 8
    (w, b), (u, c), (v, d) = (
        (v.numpy() for v in layer.trainable_variables)
        for layer in (network.from_input, network.from_state, network.project)
    )
    states = [np.maximum(x[:, 0] @ w + b, 0)]
    for moment in range(1, 8):
        states.append(np.maximum(x[:, moment] @ w + b + states[-1] @ u + c, 0))
    np.testing.assert_allclose(network(ids), np.mean(states, axis=0) @ v + d, rtol=1e-4, atol=1e-5)


def test_encode_is_the_same_in_a_graph_and_in_parts(folder, monkeypatch):
    encoder = Encoder(path=str(folder))
    embeddings = encoder.encode(SENTENCES)
    assert embeddings.shape == (4, 12) and embeddings.dtype == np.float32 and encoder.encode([]).shape == (0, 12)
    np.testing.assert_allclose(encoder.encode_tensor(SENTENCES), embeddings, atol=1e-5)
    monkeypatch.setattr("stackgan_tf.text.char_cnn_rnn.BATCH", 3)
    np.testing.assert_allclose(encoder.encode(SENTENCES), embeddings, atol=1e-6)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-3


def test_the_fingerprint_is_that_of_the_weights(folder, tmp_path):
    first = Encoder(path=str(folder)).fingerprint()
    assert Encoder(path=str(folder)).fingerprint() == first
    other = CharCnnRnn(size=12, width=8, name="text")
    other(np.zeros((1, 201), np.uint8))
    other.save_weights(tmp_path / WEIGHTS)
    (tmp_path / CONFIG).write_text((folder / CONFIG).read_text())
    assert Encoder(path=str(tmp_path)).fingerprint() != first


def test_what_is_no_encoder_is_told(folder, tmp_path):
    with pytest.raises(UserError, match="char_cnn_rnn needs its weights; train them with"):
        Encoder()
    with pytest.raises(UserError, match="nowhere: is no folder of a trained char_cnn_rnn"):
        Encoder(path=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="data.text_size=7: .* gives embeddings of 12"):
        Encoder(7, str(folder))
    (tmp_path / CONFIG).write_text("size: 12\nwidth: 9\n")
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    with pytest.raises(UserError, match="is no folder of a trained char_cnn_rnn"):
        Encoder(path=str(tmp_path))
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:500])
    with pytest.raises(UserError, match="is no folder of a trained char_cnn_rnn"):
        Encoder(path=str(tmp_path))
