"""Networks that look at pictures: from files, from Keras, and those that cannot."""

import random
import re
from dataclasses import asdict

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image

from stackgan_tf import text
from stackgan_tf.config import DataConfig
from stackgan_tf.data.builders.shapes import COMBINATIONS, draw
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation import extractors
from stackgan_tf.evaluation.extractors import joint
from stackgan_tf.evaluation.fid import frechet_distance
from stackgan_tf.evaluation.kid import kernel_distance
from stackgan_tf.evaluation.moments import Moments
from stackgan_tf.models.classifier import small_classifier
from stackgan_tf.text.char_cnn_rnn import characters
from stackgan_tf.training.text_encoder import JointConfig, JointState

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A small classifier of 5 classes in a .keras file."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("extractors") / "tiny.keras"
    small_classifier(32, 5, 4, "tiny").save(path)
    return path


@pytest.mark.parametrize("side", [16, 64, 75])
@pytest.mark.parametrize("resize", extractors.FILTERS)
def test_resizing_is_pillows(resize, side):
    ours = extractors.resized(tf.cast(IMAGES, tf.float32), side, resize).numpy()
    for image, of_image in zip(ours, IMAGES.astype(np.float32), strict=True):
        channels = [
            Image.fromarray(of_image[..., c]).resize((side, side), Image.Resampling[resize.upper()]) for c in range(3)
        ]
        np.testing.assert_allclose(image, np.stack(channels, axis=-1), atol=0.01)
    careless = tf.image.resize(IMAGES, (16, 16), resize).numpy()  # known bad: not antialiased
    assert side != 16 or np.abs(careless - ours).mean() > 10


def test_a_keras_file_and_its_saved_model_see_the_same(file):
    extractor = extractors.load(str(file))
    assert extractor.name == "tiny" and extractor.side == 32
    found = extractor(tf.constant(IMAGES))
    assert found.features.shape == (3, 16) and found.logits.shape == (3, 5)
    np.testing.assert_array_equal(extractor.features(IMAGES), found.features)
    model = keras.models.load_model(file)
    by_hand = model(extractors.resized(tf.cast(IMAGES, tf.float32), 32, "bicubic") / 127.5 - 1)
    np.testing.assert_allclose(found.logits, by_hand["logits"], rtol=1e-5, atol=1e-6)
    folder = file.with_name("tiny_saved")
    model.export(folder, verbose=False)
    again = extractors.load(str(folder))
    np.testing.assert_allclose(again(tf.constant(IMAGES)).logits, found.logits, rtol=1e-5, atol=1e-6)
    assert again.name == "tiny_saved" and again.fingerprint != extractor.fingerprint


def test_at_64_is_seen_through_64_pixels(file):
    extractor = extractors.load(str(file))
    small = extractors.resized(tf.cast(IMAGES, tf.float32), 16, "bilinear")
    expected = extractor.network(extractors.resized(small, 32, "bilinear") / 127.5 - 1).features
    np.testing.assert_allclose(extractor(tf.constant(IMAGES), "bilinear", 16).features, expected, rtol=1e-5)


def test_other_weights_are_another_fingerprint(file, tmp_path):
    other = tmp_path / "tiny.keras"
    keras.utils.set_random_seed(1)
    small_classifier(32, 5, 4, "tiny").save(other)
    assert extractors.load(str(other)).fingerprint != extractors.load(str(file)).fingerprint


def save(path, shape, outputs):
    inputs = keras.Input(shape)
    keras.Model(inputs, outputs(inputs)).save(path)
    return path


@pytest.mark.parametrize(
    ("shape", "outputs", "said"),
    [
        ((784,), keras.layers.Dense(3), "takes inputs of shape (None, 784); must take square images"),
        ((32, 16, 3), keras.layers.Flatten(), "takes inputs of shape (None, 32, 16, 3); must take square images"),
        ((32, 32, 1), keras.layers.Flatten(), "must take square images"),
        ((32, 32, 3), keras.layers.Conv2D(2, 3), "must give features [B, F]"),
        ((32, 32, 3), lambda x: {"logits": keras.layers.Flatten()(x)}, "must give features [B, F]"),
    ],
)
def test_a_network_that_is_no_extractor(tmp_path, shape, outputs, said):
    path = save(tmp_path / "wrong.keras", shape, outputs)
    with pytest.raises(UserError, match=re.escape(said)):
        extractors.load(str(path))


def test_files_that_are_none(tmp_path):
    (tmp_path / "damaged.keras").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "folder").mkdir()
    for name, said in (
        ("missing.keras", "no such file; name inception_v3"),
        ("damaged.keras", "cannot be read as a .keras file or a SavedModel"),
        ("folder", "cannot be read as a .keras file or a SavedModel"),
    ):
        with pytest.raises(UserError, match=said):
            extractors.load(str(tmp_path / name))


def test_no_code_in_a_file_is_run(tmp_path):
    """A lambda in a .keras file is Python bytecode."""
    path = save(tmp_path / "lambda.keras", (32, 32, 3), keras.layers.Lambda(lambda x: x[:, 0, 0]))
    with pytest.raises(UserError, match="cannot be read"):
        extractors.load(str(path))


def test_inception_v3_from_a_file(tmp_path):
    """Weights as Keras publishes them, in a file made here."""
    keras.utils.set_random_seed(0)
    model = keras.applications.InceptionV3(weights=None, classifier_activation=None)
    model.save(tmp_path / "inception.h5")
    extractor = extractors.load("inception_v3", str(tmp_path / "inception.h5"))
    found = extractor(tf.constant(IMAGES[:1]))
    assert found.features.shape == (1, 2048) and found.logits.shape == (1, 1000) and extractor.side == 299
    pixels = extractors.resized(tf.cast(IMAGES[:1], tf.float32), 299, "bicubic") / 127.5 - 1
    np.testing.assert_allclose(found.logits, model(pixels), rtol=1e-3, atol=1e-5)
    (tmp_path / "cut.h5").write_bytes((tmp_path / "inception.h5").read_bytes()[:100_000])
    with pytest.raises(UserError, match="cannot be read as weights of inception_v3"):
        extractors.load("inception_v3", str(tmp_path / "cut.h5"))


def test_weights_belong_to_inception_only(file):
    with pytest.raises(UserError, match="only inception_v3 takes weights"):
        extractors.load(str(file), "weights.h5")


@pytest.mark.parametrize("encoder", ["char_cnn_rnn", "hashing"])
def test_the_joint_encoders_of_a_folder(tmp_path, encoder):
    """Its own text network, or another encoder with the map that was learnt for it."""
    config = JointConfig("shapes", encoder, size=6, width=4, side=32)
    state = JointState(config, (201,) if encoder == "char_cnn_rnn" else (1024,))
    (tmp_path / "encoder.yaml").write_text(yaml.safe_dump(asdict(config)))
    state.text.save_weights(tmp_path / "text.weights.h5")
    state.image.save_weights(tmp_path / "image.weights.h5")
    images, sentences = joint.load(tmp_path)
    assert images.name == sentences.name == f"joint_{encoder}" and images.side == 32
    pixels = extractors.resized(tf.cast(IMAGES, tf.float32), 32, "bicubic") / 127.5 - 1
    np.testing.assert_allclose(images.features(IMAGES), state.image(pixels), rtol=1e-4, atol=1e-5)
    words = ["a red rose", "a blue box"]
    read = characters(words) if encoder == "char_cnn_rnn" else text.load(DataConfig()).encode(words)
    np.testing.assert_allclose(sentences.encode(words), state.text(read), rtol=1e-4, atol=1e-5)
    (tmp_path / "image.weights.h5").unlink()
    with pytest.raises(UserError, match="--joint_encoder=.* is no folder of python -m stackgan_tf.train_text_encoder"):
        joint.load(tmp_path)


def test_figures_grow_with_the_damage(file):
    """Of noised pictures against clean ones; benchmarks/metric_damage.py does so with photographs."""
    rng, dice = np.random.default_rng(1), random.Random(1)
    pictures = np.stack([np.asarray(draw(COMBINATIONS[i % 252], "middle", "middle", dice)) for i in range(240)])
    extractor, fids, kids = extractors.load(str(file)), [], []
    clean = extractor.features(pictures)
    of_clean = Moments.of(clean)
    for deviation in (0, 8, 32, 96):
        noised = np.clip(pictures + deviation * rng.standard_normal(pictures.shape), 0, 255).astype(np.uint8)
        features = extractor.features(noised)
        moments = Moments.of(features)
        fids.append(frechet_distance(of_clean.mean, of_clean.covariance, moments.mean, moments.covariance))
        kids.append(kernel_distance(clean, features))
    assert fids == sorted(fids) and fids[0] == pytest.approx(0, abs=1e-9) and fids[1] > 1e-6
    assert kids == sorted(kids)
