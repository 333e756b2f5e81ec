"""CLIP's text tower, from a tiny preset with random weights."""

import runpy
import shutil
import sys

import numpy as np
import pytest

from stackgan_tf.errors import UserError
from stackgan_tf.text import clip
from stackgan_tf.text.clip import Encoder

LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = [*LETTERS, *(f"{x}</w>" for x in LETTERS), "re", "red</w>", "<|startoftext|>", "<|endoftext|>"]
MERGES = ["r e", "re d</w>"]
LENGTH = 8
SENTENCES = ["red a", "RED", "", "bird red"]
TOKENS = [["red</w>", "a</w>"], ["red</w>"], [], ["b", "i", "r", "d</w>", "red</w>"]]


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("keras_hub", reason='needs pip install "stackgan_tf[clip]"')


def tiny_backbone(hub):
    sizes = {"hidden_dim": 8, "num_layers": 2, "num_heads": 2, "intermediate_dim": 16}
    text = hub.models.CLIPTextEncoder(
        vocabulary_size=len(VOCABULARY), embedding_dim=8, max_sequence_length=LENGTH, **sizes
    )
    vision = hub.models.CLIPVisionEncoder(patch_size=4, image_shape=(8, 8, 3), **sizes)
    return hub.models.CLIPBackbone(vision, text, projection_dim=6)


def save_preset(hub, backbone, folder):
    backbone.save_to_preset(folder)
    hub.models.CLIPTokenizer({token: i for i, token in enumerate(VOCABULARY)}, MERGES).save_to_preset(folder)


@pytest.fixture(scope="module")
def backbone(hub):
    return tiny_backbone(hub)


@pytest.fixture(scope="module")
def preset(hub, backbone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset")
    save_preset(hub, backbone, folder)
    return folder


@pytest.fixture(scope="module")
def encoder(preset):
    return Encoder(path=str(preset))


def by_hand(backbone, tokens, place):
    """The state of the token at a place, through the projection, of the model that was saved."""
    ids = [VOCABULARY.index(token) for token in ("<|startoftext|>", *tokens, "<|endoftext|>")]
    padded = np.array([ids + [0] * (LENGTH - len(ids))], np.int32)
    states = backbone.text_encoder({"token_ids": padded}).numpy()
    return states[0, place] @ backbone.text_projection.kernel.numpy()


def test_it_is_the_projected_state_of_the_end_of_text(encoder, backbone):
    embeddings = encoder.encode(SENTENCES)
    assert (embeddings.shape, embeddings.dtype, encoder.size) == ((4, 6), np.float32, 6)
    ends = np.stack([by_hand(backbone, tokens, len(tokens) + 1) for tokens in TOKENS])
    np.testing.assert_allclose(embeddings, ends, atol=1e-5)
    for wrong in (ends / np.linalg.norm(ends, axis=1, keepdims=True), [by_hand(backbone, t, -1) for t in TOKENS]):
        assert np.abs(embeddings - wrong).max() > 0.01


def test_a_long_sentence_ends_where_the_preset_ends(encoder, backbone):
    (embedding,) = encoder.encode(["red " * 50])
    np.testing.assert_allclose(embedding, by_hand(backbone, ["red</w>"] * (LENGTH - 2), -1), atol=1e-5)


def test_the_embedding_does_not_depend_on_the_batch(encoder):
    together = encoder.encode(SENTENCES * 20)  # two batches
    alone = np.concatenate([encoder.encode([sentence]) for sentence in SENTENCES])
    np.testing.assert_allclose(together, np.tile(alone, (20, 1)), atol=1e-5)


def test_nothing_in_nothing_out(encoder):
    embeddings = encoder.encode([])
    assert (embeddings.shape, embeddings.dtype) == ((0, 6), np.float32)


def test_the_fingerprint_follows_the_weights_and_the_tokenizer_and_not_their_names(encoder, hub, preset, tmp_path):
    same, merges, weights = (shutil.copytree(preset, tmp_path / name) for name in ("same", "merges", "weights"))
    for folder, rules in ((same, MERGES), (merges, MERGES[:1])):
        hub.models.CLIPTokenizer({token: i for i, token in enumerate(VOCABULARY)}, rules).save_to_preset(folder)
    other = hub.models.CLIPBackbone.from_preset(str(preset))
    other.text_projection.kernel.assign(2 * other.text_projection.kernel)
    other.save_to_preset(weights)
    whole, again, *others = (Encoder(path=str(folder)).fingerprint() for folder in (preset, same, merges, weights))
    assert whole == again == encoder.fingerprint()
    assert len({whole, *others}) == 3


def test_another_size(preset):
    with pytest.raises(UserError, match=r"^data.text_size=512: clip with \S+ gives embeddings of 6; set that, or 0$"):
        Encoder(512, str(preset))


@pytest.mark.parametrize("damage", ["no such preset", "empty", "weights", "tokenizer"])
def test_a_preset_that_cannot_be_loaded(damage, hub, preset, tmp_path):
    path = tmp_path / "preset"
    if damage == "empty":
        path.mkdir()
    elif damage != "no such preset":
        shutil.copytree(preset, path)
        (path / {"weights": "model.weights.h5", "tokenizer": "tokenizer.json"}[damage]).write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"^data.text_path='\S+': cannot be loaded as a CLIP preset .*$"):
        Encoder(path=str(path))


def test_without_a_network(hub, monkeypatch):
    """The name of a preset means a download; the default one is named in the message."""

    def refuse(*_):
        raise ConnectionError("no route to host\nand a second line")

    monkeypatch.setattr("kagglehub.model_download", refuse)
    with pytest.raises(
        UserError, match=r"^data.text_path='clip_vit_base_patch32': .*\(ConnectionError\); give [^\n]*$"
    ):
        Encoder()


def test_without_the_package(monkeypatch):
    """The file itself needs no keras-hub, only its encoder does."""
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    fresh = runpy.run_path(clip.__file__)["Encoder"]
    with pytest.raises(UserError, match=r'^keras-hub is not installed; pip install "stackgan_tf\[clip\]" brings it$'):
        fresh()
