"""Tables of embeddings."""

import pickle

import numpy as np
import pytest

from stackgan_tf import networks
from stackgan_tf.data.embeddings import told_embeddings
from stackgan_tf.data.records import Record
from stackgan_tf.errors import UserError
from stackgan_tf.generation import TextToImage
from stackgan_tf.text.precomputed import Encoder
from stackgan_tf.training.callbacks import Samples
from tests.conftest import tiny_config

EMBEDDINGS = np.arange(24, dtype=np.float32).reshape(3, 2, 4)  # images, captions, T
NAMES = ["a/one", "a/two", "b/three"]


def published(folder, embeddings, names):
    folder.mkdir(parents=True)
    (folder / "char-CNN-RNN-embeddings.pickle").write_bytes(pickle.dumps(list(embeddings), protocol=2))
    (folder / "filenames.pickle").write_bytes(pickle.dumps(names, protocol=2))


def by_image(folder, kind):
    """A table of each kind, and the path that names it."""
    match kind:
        case "pickle":
            published(folder / "p", EMBEDDINGS, NAMES)
            return folder / "p/char-CNN-RNN-embeddings.pickle"
        case "folder":
            published(folder / "birds/train", EMBEDDINGS[:2], NAMES[:2])
            published(folder / "birds/test", EMBEDDINGS[2:], NAMES[2:])
            return folder / "birds"
        case "npz":
            np.savez(folder / "t.npz", embeddings=EMBEDDINGS, names=np.array(NAMES))
            return folder / "t.npz"
        case "npy":
            published(folder / "n", EMBEDDINGS, NAMES)
            np.save(folder / "n/t.npy", EMBEDDINGS)
            return folder / "n/t.npy"


@pytest.mark.parametrize("kind", ["pickle", "folder", "npz", "npy"])
def test_the_captions_of_images(tmp_path, kind):
    encoder = Encoder(path=str(by_image(tmp_path, kind)))
    assert encoder.size == 4 and encoder.by_image
    np.testing.assert_array_equal(encoder.of_image("b/three", 2), EMBEDDINGS[2])
    np.testing.assert_array_equal(encoder.of_image("two", 2), EMBEDDINGS[1])
    with pytest.raises(UserError, match="has no embedding of 'a/four'"):
        encoder.of_image("a/four", 2)
    with pytest.raises(UserError, match="has 2 embeddings an image, a/one 10 captions"):
        encoder.of_image("a/one", 10)
    with pytest.raises(UserError, match="not of sentences; draw from embeddings instead"):
        encoder.encode(["a bird"])


def test_sentences(tmp_path):
    np.savez(tmp_path / "t.npz", embeddings=EMBEDDINGS[0], sentences=np.array(["a rose", "ein Röschen"]))
    encoder = Encoder(4, str(tmp_path / "t.npz"))
    assert not encoder.by_image
    np.testing.assert_array_equal(encoder.encode(["ein Röschen", "a rose"]), EMBEDDINGS[0, ::-1])
    with pytest.raises(UserError, match="has no embedding of 'a tulip'"):
        encoder.encode(["a tulip"])


def test_a_finished_run_draws_from_embeddings_without_the_table(tmp_path):
    assert Encoder(4, str(tmp_path / "gone.npz")).size == 4


def test_the_fingerprint_changes_with_numbers_and_with_names(tmp_path):
    prints = set()
    for number, (embeddings, names) in enumerate(
        [(EMBEDDINGS, NAMES), (EMBEDDINGS + 1, NAMES), (EMBEDDINGS, NAMES[::-1]), (EMBEDDINGS, NAMES)]
    ):
        np.savez(tmp_path / f"{number}.npz", embeddings=embeddings, names=np.array(names))
        prints.add(Encoder(path=str(tmp_path / f"{number}.npz")).fingerprint())
    assert len(prints) == 3


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"other": EMBEDDINGS}, "is no table of embeddings"),
        ({"embeddings": EMBEDDINGS, "names": np.array(["a"])}, "and 1 names"),
        ({"embeddings": EMBEDDINGS[0, 0], "names": np.array(["a"])}, "embeddings of shape .4,."),
    ],
)
def test_what_is_no_table_is_named(tmp_path, arrays, message):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(UserError, match=message) as error:
        Encoder(path=str(tmp_path / "t.npz"))
    assert "t.npz" in str(error.value)


def test_missing_and_wrong(tmp_path):
    with pytest.raises(UserError, match="needs its table"):
        Encoder()
    with pytest.raises(UserError, match="nowhere.npz: is no table of embeddings"):
        Encoder(path=str(tmp_path / "nowhere.npz"))
    by_image(tmp_path, "npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "t.npz").read_bytes()[:300])
    with pytest.raises(UserError, match="cut.npz: is no table of embeddings"):
        Encoder(path=str(tmp_path / "cut.npz"))
    with pytest.raises(UserError, match="data.text_size=5: .* has embeddings of 4"):
        Encoder(5, str(by_image(tmp_path, "npz")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: holds no char-CNN-RNN-embeddings.pickle"):
        Encoder(path=str(tmp_path / "empty"))


def test_a_run_shows_pictures_of_images_captions(tmp_path):
    """Such a table knows no sentences: a run draws its samples for the embeddings themselves."""
    encoder = Encoder(path=str(by_image(tmp_path, "npz")))
    records = [Record(b"", ("one", "two"), 0, name, None) for name in ("a/one", "b/three")]
    shown = told_embeddings(encoder, records, ["one", "two"])
    np.testing.assert_array_equal(shown, [EMBEDDINGS[0, 0], EMBEDDINGS[2, 1]])
    config = tiny_config("v2", data={"text_size": 4})
    artist = TextToImage(config, networks.build_generator(config), encoder)
    samples = Samples(tmp_path, artist, ["one", "two"], shown)
    samples.on_sample(3)
    assert (tmp_path / "samples/step_0000003.png").is_file()
    samples.on_end()
