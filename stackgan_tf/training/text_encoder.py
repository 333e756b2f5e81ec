"""Learns a text encoder together with an image encoder: a sentence shall find its class's images, and back.

Source: Reed et al., CVPR 2016, section 3: deep symmetric structured joint embedding.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
import yaml

from stackgan_tf import text
from stackgan_tf.checkpoint import Checkpoints, latest, variables_by_path
from stackgan_tf.config import Config, DataConfig, TrainConfig
from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.preprocess import load_image, scaled
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.extractors.joint import CHAR_CNN_RNN, IMAGE_WEIGHTS, projection
from stackgan_tf.evaluation.zero_shot import zero_shot_accuracy
from stackgan_tf.files import whole, write_whole
from stackgan_tf.losses.joint_embedding import joint_embedding
from stackgan_tf.models.char_cnn_rnn import CharCnnRnn
from stackgan_tf.models.image_encoder import ImageEncoder
from stackgan_tf.text.char_cnn_rnn import CONFIG, WEIGHTS, characters
from stackgan_tf.training.callbacks import Callback, MetricsFile, ProgressBar
from stackgan_tf.training.checks import check_out
from stackgan_tf.training.loop import run_loop

EVALUATED = 256  # images or sentences at once


@dataclass(frozen=True)
class JointConfig:
    """What is learnt, and how."""

    dataset: str
    encoder: str = CHAR_CNN_RNN  # or any other, frozen: then a linear map of its embeddings is learnt, to compare
    text_path: str = ""  # of another encoder's weights
    size: int = 1024  # T, of both embeddings
    width: int = 256  # of the recurrent network
    side: int = 64  # of the images, in pixels
    steps: int = 6000
    batch_size: int = 40  # classes, of each an image and a sentence
    learning_rate: float = 1e-3
    precision: str = "float32"
    seed: int = 0


class JointState(tf.Module):
    """Both networks, their optimizer and the step."""

    def __init__(self, config: JointConfig, text_shape: tuple[int, ...]) -> None:
        super().__init__(name="joint")
        keras.utils.set_random_seed(config.seed)
        self.image = ImageEncoder(config.size, config.side, dtype=config.precision, name="image")
        if config.encoder == CHAR_CNN_RNN:
            self.text = CharCnnRnn(config.size, config.width, dtype=config.precision, name="text")
        else:
            self.text = projection(config.size)
        self.image(np.zeros((1, config.side, config.side, 3), np.float32))
        self.text(np.zeros((1, *text_shape), np.float32))
        rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.steps)
        self.optimizer = keras.optimizers.Adam(rate, global_clipnorm=5.0, name="adam")
        self.optimizer.build(self.variables_to_learn)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")

    @property
    def variables_to_learn(self) -> list[keras.Variable]:
        """Of both networks."""
        return [*self.image.trainable_variables, *self.text.trainable_variables]

    def parts(self) -> dict[str, Any]:
        """What is saved, by name."""
        networks = {"image": self.image, "text": self.text, "optimizer": self.optimizer}
        return {name: variables_by_path(part) for name, part in networks.items()} | {"step": self.step}

    @tf.function(autograph=False)
    def __call__(self, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One update of both: images [B, S, S, 3] and texts [B, ...], a class a row."""
        images, texts = batch
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(joint_embedding(self.image(images, training=True), self.text(texts)))
        variables = self.variables_to_learn
        self.optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        self.step.assign_add(1)
        return {"joint/loss": loss}


class Texts:
    """The captions of a split as the text network reads them."""

    def __init__(self, records: Records, config: JointConfig) -> None:
        records.require_captions()
        self.embeddings = None
        if config.encoder != CHAR_CNN_RNN:
            data = DataConfig(text_encoder=config.encoder, text_path=config.text_path)
            self.embeddings = Embeddings(records, text.load(data))

    def of(self, number: int, captions: np.ndarray, told: tuple[str, ...]) -> np.ndarray:
        """Some captions of a record, by number: [k, 201] uint8 or [k, T] float32."""
        if self.embeddings:
            return self.embeddings.of(number, captions)
        return characters([told[caption] for caption in captions])


class JointPlan:
    """What is in batch number n, drawn from the seed and n alone: different classes, an image and a caption of each."""

    def __init__(self, records: Records, texts: Texts, config: JointConfig) -> None:
        self.records, self.texts, self.config = records, texts, config
        self.members = [np.flatnonzero(records.labels == label) for label in np.unique(records.labels)]
        if len(self.members) < 2:
            raise UserError(f"{records.folder}: has one class only; there is nothing to tell apart")
        self.size = min(config.batch_size, len(self.members))

    def fetch(self, number: int) -> tuple[np.ndarray, ...]:
        """Images, uint8 [B, S, S, 3], and what the text network reads [B, ...]."""
        rng = np.random.default_rng((self.config.seed, number))
        classes = rng.choice(len(self.members), self.size, replace=False)
        chosen = [int(rng.choice(self.members[c])) for c in classes]
        records, dice = self.records.fetch(chosen), rng.random((self.size, 3), np.float32)
        captions = [rng.integers(len(record.captions), size=1) for record in records]
        texts = [self.texts.of(*row)[0] for row in zip(chosen, captions, (r.captions for r in records), strict=True)]
        side = self.config.side
        images = [load_image(r.image, r.box, side, row, True, True) for r, row in zip(records, dice, strict=True)]
        return np.stack(images), np.stack(texts)

    def batches(self, start_step: int) -> tf.data.Dataset:
        """Endless batches from number `start_step` on: images [B, S, S, 3] in [-1, 1] and texts."""
        example = self.fetch(start_step)

        def fetch(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            types = [tf.as_dtype(array.dtype) for array in example]
            fetched = tf.numpy_function(self.fetch, (number,), types, stateful=False)
            images, texts = (tf.ensure_shape(v, array.shape) for v, array in zip(fetched, example, strict=True))
            return scaled(images), texts

        numbers = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
        return numbers.map(fetch, num_parallel_calls=2).prefetch(4)


class ZeroShot(Callback):
    """Accuracy on the classes that are not learnt from; every image and caption of the test split."""

    def __init__(
        self, state: JointState, records: Records, texts: Texts, config: JointConfig, file: MetricsFile
    ) -> None:
        self.state, self.records, self.texts, self.side, self.file = state, records, texts, config.side, file
        self.latest: float | None = None

    def accuracy(self) -> float:
        """The share of test images whose class has the best matching captions."""
        images, texts, text_labels = [], [], []
        for start in range(0, len(self.records), EVALUATED):
            numbers = range(start, min(start + EVALUATED, len(self.records)))
            records = self.records.fetch(numbers)
            shown = [load_image(r.image, r.box, self.side, np.zeros(3), False, False) for r in records]
            images.append(self.state.image(scaled(np.stack(shown))))
            for number, record in zip(numbers, records, strict=True):
                texts.append(self.texts.of(number, np.arange(len(record.captions)), record.captions))
                text_labels.append(np.full(len(record.captions), record.label))
        read = np.concatenate(texts)
        embedded = [self.state.text(read[i : i + EVALUATED]) for i in range(0, len(read), EVALUATED)]
        labels = np.concatenate(text_labels)
        return zero_shot_accuracy(np.concatenate(images), self.records.labels, np.concatenate(embedded), labels)

    def on_sample(self, step: int) -> None:
        self.latest = self.accuracy()
        self.file.append({"step": step, "zero_shot_accuracy": self.latest})


def train_text_encoder(config: JointConfig, builder: tfds.core.DatasetBuilder, folder: Path) -> float | None:
    """Trains, or goes on; leaves the networks in `folder`.

    Returns:
        Zero-shot accuracy on the test split's classes; None when interrupted (it is saved then).

    Raises:
        UserError: the folder holds something else, or the data have no captions or only one class.
    """
    said = yaml.safe_dump(asdict(config), sort_keys=False)
    check_out(folder, CONFIG, said)
    train = Records(builder, "train")
    plan = JointPlan(train, Texts(train, config), config)
    test = Records(builder, "test")
    state = JointState(config, plan.fetch(0)[1].shape[1:])
    checkpoints = Checkpoints(folder, state.parts(), keep=1)
    if latest(folder):
        checkpoints.restore()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / CONFIG, said)
    start = int(state.step.numpy())
    loop = TrainConfig(steps=config.steps, batch_size=plan.size, sample_every_steps=1000, log_every_steps=20)
    metrics = MetricsFile(folder / "metrics.jsonl", start)
    judge = ZeroShot(state, test, Texts(test, config), config, metrics)
    batches = plan.batches(start)
    callbacks = [ProgressBar(start, Config(train=loop)), metrics, judge]
    if not run_loop(state, state, iter(batches), loop, checkpoints, callbacks):
        return None
    for network, file in ((state.text, WEIGHTS), (state.image, IMAGE_WEIGHTS)):
        with whole(folder / file) as made:
            network.save_weights(made)
    return judge.accuracy() if judge.latest is None else judge.latest  # None: there was nothing left to do
