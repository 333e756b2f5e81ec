"""Text encoders are learnt."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf.checkpoint import latest
from stackgan_tf.config import DataConfig
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.zero_shot import zero_shot_accuracy
from stackgan_tf.losses.joint_embedding import joint_embedding
from stackgan_tf.text import load
from stackgan_tf.training.text_encoder import JointConfig, JointPlan, JointState, Texts, train_text_encoder

SMALL = {"dataset": "shapes", "size": 16, "width": 8, "side": 32, "batch_size": 6, "steps": 3}


@pytest.fixture(scope="session")
def builder(shapes_data_dir):
    return prepare("shapes", Path(shapes_data_dir))


def test_the_loss_by_hand():
    """F = v . t: [[2, 1], [0, 3]]; hinges of images 0 and 0 (1 + 0 - 3 < 0), of texts 0 (1 + 0 - 2 < 0) and 0."""
    images, texts = np.array([[2.0, 0.0], [0.0, 3.0]]), np.array([[1.0, 0.0], [0.5, 1.0]])
    np.testing.assert_allclose(joint_embedding(images, texts), [0, 0])
    closer = np.array([[1.0, 0.0], [0.9, 0.2]])  # F = [[2, 1.8], [0, 0.6]]
    np.testing.assert_allclose(joint_embedding(images, closer), [0.4, 0.2 + 1.1], rtol=1e-6)


def test_zero_shot_accuracy_by_hand():
    texts, text_labels = np.array([[1.0, 0], [3.0, 0], [0, 1.0]]), np.array([7, 7, 9])
    images, labels = np.array([[1.0, 1.5], [1.0, 2.5], [1.0, 3.0]]), np.array([7, 7, 9])
    assert zero_shot_accuracy(images, labels, texts, text_labels) == pytest.approx(2 / 3), "the mean of [1, 0], [3, 0]"


@pytest.mark.parametrize("encoder", ["char_cnn_rnn", "hashing"])
def test_a_batch_has_an_image_and_a_caption_of_different_classes(builder, encoder):
    config = JointConfig(**SMALL, encoder=encoder)
    records = Records(builder, "train")
    plan = JointPlan(records, Texts(records, config), config)
    first, again, other = plan.fetch(5), plan.fetch(5), plan.fetch(6)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    images, texts = first
    assert images.shape == (6, 32, 32, 3) and not np.array_equal(texts, other[1])
    read = Texts(records, config)
    owners = [
        label
        for number, (record, label) in enumerate(zip(records.fetch(range(len(records))), records.labels, strict=True))
        for row in read.of(number, np.arange(len(record.captions)), record.captions)
        if (texts == row).all(axis=1).any()
    ]
    assert len(set(owners)) == 6, "each of another class"


def test_both_networks_learn(builder):
    state = JointState(JointConfig(**SMALL | {"steps": 200}), (201,))
    before = [v.numpy() for v in state.variables_to_learn]
    rng = np.random.default_rng(0)
    batch = (
        tf.constant(rng.uniform(-1, 1, (6, 32, 32, 3)), tf.float32),
        rng.integers(0, 71, (6, 201)).astype(np.uint8),
    )
    losses = [float(state(batch)["joint/loss"]) for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]
    for old, new in zip(before, state.variables_to_learn, strict=True):
        assert np.any(old != new.numpy()), new.path


def test_what_is_left_is_an_encoder(builder, tmp_path):
    accuracy = train_text_encoder(JointConfig(**SMALL), builder, tmp_path / "whole")
    assert 0 <= accuracy <= 1
    encoder = load(DataConfig(text_encoder="char_cnn_rnn", text_path=str(tmp_path / "whole")))
    assert encoder.size == 16 and encoder.encode(["a red square"]).shape == (1, 16)
    assert latest(tmp_path / "whole").endswith("ckpt-3")
    again = train_text_encoder(JointConfig(**SMALL), builder, tmp_path / "whole")
    assert again == accuracy, "restored, with nothing left to do"
    with pytest.raises(UserError, match="holds a network of another configuration"):
        train_text_encoder(JointConfig(**SMALL | {"side": 64}), builder, tmp_path / "whole")


def test_one_class_cannot_be_told_apart(builder):
    class One:
        folder = "here"
        labels = np.zeros(5, np.int64)

    with pytest.raises(UserError, match="has one class only"):
        JointPlan(One(), None, JointConfig(**SMALL))
