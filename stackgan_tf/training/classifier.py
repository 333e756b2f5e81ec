"""Learns to tell the classes of a data set apart: InceptionV3, fine-tuned, as the papers did, or a small network.

Source: StackGAN section 4.1: the Inception Score of birds and flowers is that of a network fine-tuned on them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
import yaml

from stackgan_tf.checkpoint import Checkpoints, latest
from stackgan_tf.config import Config, TrainConfig
from stackgan_tf.data.preprocess import load_image, scaled
from stackgan_tf.data.records import Record, Records
from stackgan_tf.errors import UserError
from stackgan_tf.files import whole, write_whole
from stackgan_tf.models.classifier import fine_tuned_inception, small_classifier
from stackgan_tf.training.callbacks import Callback, MetricsFile, ProgressBar
from stackgan_tf.training.checks import check_out
from stackgan_tf.training.loop import run_loop

CONFIG = "classifier.yaml"
HELD_OUT = 5  # every so many-th image of a class is not learnt from, but asked about
EVALUATED = 64  # images at once
SMOOTHING = 0.1  # of the labels


@dataclass(frozen=True)
class ClassifierConfig:
    """What is learnt, and how."""

    dataset: str
    network: str  # small, or inception_v3
    weights: str = "imagenet"  # of inception_v3, or a file of them without the top
    side: int = 128  # of the images, in pixels
    width: int = 32  # of small: channels at half of the side
    steps: int = 3000
    batch_size: int = 32
    learning_rate: float = 1e-3
    precision: str = "float32"
    seed: int = 0

    @property
    def name(self) -> str:
        """As in the names of protocols."""
        return f"{self.dataset}_{self.network}"


class LabelledImages:
    """The images of the classes that are compared: those of the test split, or of the only one.

    Classes are numbered from 0 in the order of their labels; every fifth image of each is held out.

    Raises:
        UserError: there is only one class, or one has too few images.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, config: ClassifierConfig) -> None:
        self.config = config
        parts = [Records(builder, split) for split in ("test", "train") if split in builder.info.splits]
        self.classes = np.unique(parts[0].labels)
        if len(self.classes) < 2:
            raise UserError(f"{parts[0].folder}: has one class only; there is nothing to tell apart")
        listed = [(part, i) for part in parts for i in np.flatnonzero(np.isin(part.labels, self.classes))]
        labels = np.searchsorted(self.classes, [part.labels[i] for part, i in listed])
        held_out = np.zeros(len(labels), bool)
        for label in range(len(self.classes)):
            held_out[np.flatnonzero(labels == label)[HELD_OUT - 1 :: HELD_OUT]] = True
        self.learnt, self.asked = (
            [(*listed[i], int(labels[i])) for i in np.flatnonzero(chosen)] for chosen in (~held_out, held_out)
        )
        if not self.asked:
            raise UserError(f"{parts[0].folder}: no class has {HELD_OUT} images; too few to hold any out")

    def fetch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch `number`, drawn from the seed and it alone: uint8 [B, S, S, 3] and classes [B]."""
        rng = np.random.default_rng((self.config.seed, number))
        chosen = [self.learnt[i] for i in rng.integers(len(self.learnt), size=self.config.batch_size)]
        dice = rng.random((len(chosen), 3), np.float32)
        images = [self._load(part.fetch([i])[0], row, True) for (part, i, _), row in zip(chosen, dice, strict=True)]
        return np.stack(images), np.array([label for *_, label in chosen])

    def _load(self, record: Record, dice: np.ndarray, learning: bool) -> np.ndarray:
        return np.asarray(load_image(record.image, record.box, self.config.side, dice, learning, learning))

    def batches(self, start_step: int) -> tf.data.Dataset:
        """Endless batches from number `start_step` on: images [B, S, S, 3] in [-1, 1] and classes [B]."""
        side, size = self.config.side, self.config.batch_size

        def fetch(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            images, classes = tf.numpy_function(self.fetch, (number,), (tf.uint8, tf.int64), stateful=False)
            return scaled(tf.ensure_shape(images, (size, side, side, 3))), tf.ensure_shape(classes, (size,))

        numbers = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
        return numbers.map(fetch, num_parallel_calls=2).prefetch(4)

    def held_out(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All that is not learnt from, some at a time: images in [-1, 1] and classes."""
        for start in range(0, len(self.asked), EVALUATED):
            some = self.asked[start : start + EVALUATED]
            images = [self._load(part.fetch([i])[0], np.full(3, 0.5), False) for part, i, _ in some]
            yield scaled(tf.constant(np.stack(images))), np.array([label for *_, label in some])


class ClassifierState(tf.Module):
    """The network, its optimizer and the step."""

    def __init__(self, config: ClassifierConfig, classes: int) -> None:
        super().__init__(name="classifier")
        keras.utils.set_random_seed(config.seed)
        self.network = build(config, classes, config.precision)
        rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.steps)
        self.optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01, global_clipnorm=1.0, name="adam")
        self.optimizer.build(self.network.trainable_variables)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")

    def parts(self) -> dict[str, Any]:
        """What is saved, by number: Keras names the layers of its InceptionV3 anew each time."""
        parts = {"network": self.network, "optimizer": self.optimizer}
        named = {name: {str(i): v.value for i, v in enumerate(part.variables)} for name, part in parts.items()}
        return named | {"step": self.step}

    @tf.function(autograph=False)
    def __call__(self, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One update: images [B, S, S, 3] and classes [B]."""
        images, classes = batch
        variables = self.network.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.network(images, training=True)["logits"]
            targets = tf.one_hot(classes, logits.shape[1]) * (1 - SMOOTHING) + SMOOTHING / logits.shape[1]
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
        self.optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        self.step.assign_add(1)
        return {"classifier/loss": loss}


class Accuracy(Callback):
    """The share of the held-out images whose class has the largest logit."""

    def __init__(self, state: ClassifierState, images: LabelledImages, file: MetricsFile) -> None:
        self.network, self.images, self.file = state.network, images, file

    def measure(self) -> float:
        """From 0 to 1."""
        hits = [
            np.argmax(self.network(images, training=False)["logits"], axis=1) == classes
            for images, classes in self.images.held_out()
        ]
        return float(np.concatenate(hits).mean())

    def on_sample(self, step: int) -> None:
        self.file.append({"step": step, "accuracy": self.measure()})


def build(config: ClassifierConfig, classes: int, precision: str) -> keras.Model:
    """The network, in a precision of Keras.

    Raises:
        UserError: the weights of InceptionV3 cannot be had.
    """
    with _policy(precision):
        if config.network == "small":
            return small_classifier(config.side, classes, config.width, config.name)
        try:
            return fine_tuned_inception(classes, config.weights, config.name)
        except Exception as error:  # of the network, of the file system, of h5py: whatever fetching or reading leads to
            reason = " ".join(str(error).split())[:150]
            raise UserError(
                f"--weights={config.weights}: the weights of InceptionV3 cannot be had ({reason}); name a copy of "
                "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5, or use --network=small"
            ) from None


@contextmanager
def _policy(precision: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def train_classifier(config: ClassifierConfig, builder: tfds.core.DatasetBuilder, folder: Path) -> float | None:
    """Trains, or goes on; leaves `<name>.keras`, an extractor, in `folder`.

    Returns:
        Accuracy on the held-out images; None when interrupted (it is saved then).

    Raises:
        UserError: the folder holds something else, the data have one class only, or the weights cannot be had.
    """
    said = yaml.safe_dump(asdict(config), sort_keys=False)
    check_out(folder, CONFIG, said)
    images = LabelledImages(builder, config)
    state = ClassifierState(config, len(images.classes))
    checkpoints = Checkpoints(folder, state.parts(), keep=1)
    if latest(folder):
        checkpoints.restore()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / CONFIG, said)
    start = int(state.step.numpy())
    loop = TrainConfig(steps=config.steps, batch_size=config.batch_size, log_every_steps=20)
    metrics = MetricsFile(folder / "metrics.jsonl", start)
    accuracy = Accuracy(state, images, metrics)
    callbacks = [ProgressBar(start, Config(train=loop)), metrics, accuracy]
    if not run_loop(state, state, iter(images.batches(start)), loop, checkpoints, callbacks):
        return None
    network = build(config, len(images.classes), "float32")
    network.set_weights(state.network.get_weights())
    with whole(folder / f"{config.name}.keras") as made:
        network.save(made)
    return accuracy.measure()
