"""A training run from a configuration to a finished run directory."""

import json
import platform
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

import stackgan_tf
from stackgan_tf import config as configs
from stackgan_tf import text
from stackgan_tf.config import Config
from stackgan_tf.data.pipeline import training_batches
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.shape_attributes import held_out_accuracy, table
from stackgan_tf.generation import TextToImage, load_generator, run_config
from stackgan_tf.training import checkpoint
from stackgan_tf.training.callbacks import MetricsFile, ProgressBar, Samples
from stackgan_tf.training.checkpoint import Checkpoints
from stackgan_tf.training.distribution import make_strategy
from stackgan_tf.training.ema import copy_weights
from stackgan_tf.training.loop import run_loop
from stackgan_tf.training.state import TrainState
from stackgan_tf.training.step import make_train_step

SAMPLE_COUNT = 12
# What may change when a run goes on: how long it goes and what it writes.
RESUMABLE = (
    "train.steps",
    "train.log_every_steps",
    "train.sample_every_steps",
    "train.checkpoint_every_steps",
    "train.keep_checkpoints",
)


def check_run_dir(run_dir: Path, config: Config, resume: str) -> bool:
    """Whether the run directory holds a run to go on with. Writes nothing.

    Args:
        resume: `auto` goes on where there is a checkpoint, `must` insists on one, `never` on a new directory.

    Raises:
        UserError: `resume` cannot be followed, or the directory is of another configuration.
    """
    if run_dir.exists() and not run_dir.is_dir():
        raise UserError(f"--run_dir={run_dir}: is a file; name a folder")
    used = run_dir.is_dir() and any(run_dir.iterdir())
    if used and not (run_dir / "config.yaml").is_file():
        raise UserError(f"--run_dir={run_dir}: holds other files and no config.yaml; name a new or empty folder")
    if used and resume == "never":
        raise UserError(f"--run_dir={run_dir}: holds a run; name another folder, or go on with --resume=auto")
    if used:
        changed = {
            name: values
            for name, values in configs.differences(run_config(run_dir), config).items()
            if name not in RESUMABLE
        }
        if changed:
            listed = ", ".join(f"{name} was {old!r}, now {new!r}" for name, (old, new) in changed.items())
            raise UserError(
                f"--run_dir={run_dir}: holds a run of another configuration ({listed}); name another folder"
            )
    found = used and checkpoint.latest(run_dir) is not None
    if resume == "must" and not found:
        raise UserError(
            f"--run_dir={run_dir}: --resume=must finds no checkpoint there; name the run, or use --resume=auto"
        )
    return found


def train(config: Config, builder: tfds.core.DatasetBuilder, run_dir: Path, resume: str) -> bool:
    """Trains, or goes on; leaves everything in `run_dir`.

    Returns:
        Whether the run reached its end; False when it was interrupted (it is saved then).

    Raises:
        UserError: as `check_run_dir`, or replicas that do not divide the batch, or a Stage-I run that does not fit.
    """
    going_on = check_run_dir(run_dir, config, resume)
    strategy = make_strategy(config.train.batch_size)
    stage1 = finished_stage1(config) if config.model.family == "v1_stage2" and not going_on else None
    records, test = Records(builder, "train"), Records(builder, "test")
    if len(records) < config.train.batch_size:
        raise UserError(
            f"train.batch_size={config.train.batch_size}: the training split has {len(records)} images only"
        )
    encoder = text.load(config.data.text_encoder, config.data.text_size) if config.model.conditional else None
    state = TrainState(config, strategy, steps_per_epoch=len(records) // config.train.batch_size)
    if stage1:
        copy_weights(state.generator.stage1, stage1)
        copy_weights(state.average.stage1, stage1)
    checkpoints = Checkpoints(run_dir, state, config.train.keep_checkpoints)
    if going_on:
        checkpoints.restore()
    start_step = int(state.step.numpy())
    if start_step >= config.train.steps:
        logging.info("%s: has its %d steps already", run_dir, start_step)

    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "config.yaml").write_text(configs.dump(config), encoding="utf-8")
    (run_dir / "environment.json").write_text(json.dumps(environment(strategy), indent=2) + "\n", encoding="utf-8")
    artist = TextToImage(config, state.average)
    captions = test.told(SAMPLE_COUNT)[1] if encoder else [""] * SAMPLE_COUNT
    metrics_file = MetricsFile(run_dir / "metrics.jsonl", start_step)
    callbacks = [ProgressBar(start_step, config), metrics_file, Samples(run_dir, artist, captions)]
    batches = strategy.experimental_distribute_dataset(training_batches(records, config, encoder, start_step))
    step = make_train_step(state, strategy, config)
    finished = run_loop(state, step, iter(batches), config.train, checkpoints, callbacks)
    if finished and config.data.dataset == "shapes" and encoder:
        scores = held_out_accuracy(artist, test)
        metrics_file.append({"step": config.train.steps, "held_out_accuracy": scores})
        sys.stdout.write(table(scores))
    return finished


def finished_stage1(config: Config) -> keras.Model:
    """The averaged generator of the Stage-I run that Stage-II starts from.

    Raises:
        UserError: none is named, it is no Stage-I run, it did not end, or its sizes or texts are others.
    """
    run_dir = Path(config.train.stage1_run_dir)
    if not config.train.stage1_run_dir:
        raise UserError(
            "train.stage1_run_dir='': Stage-II starts from a Stage-I run; name it with --stage1_run_dir=DIR"
        )
    stage1 = run_config(run_dir)
    if stage1.model.family != "v1_stage1":
        raise UserError(f"--stage1_run_dir={run_dir}: is a run of {stage1.model.family}, not of v1_stage1")
    for name, (theirs, ours) in configs.differences(stage1, config).items():
        if name in ("model.gf", "model.condition_size", "model.noise_size", "model.base_size") or (
            name in ("data.dataset", "data.text_encoder", "data.text_size")
        ):
            raise UserError(
                f"--stage1_run_dir={run_dir}: has {name}={theirs!r}, Stage-II {ours!r}; they must be the same"
            )
    path = checkpoint.latest(run_dir)
    step = checkpoint.checkpoint_step(path) if path else 0
    if step < stage1.train.steps:
        raise UserError(
            f"--stage1_run_dir={run_dir}: is at step {step} of {stage1.train.steps}; finish it first, "
            f"or declare it finished by training it with --steps={step}"
        )
    return load_generator(run_dir).generator


def environment(strategy: tf.distribute.Strategy) -> dict:
    """Versions and devices, as they bear on the numbers."""
    devices = strategy.extended.worker_devices
    gpus = [
        tf.config.experimental.get_device_details(d).get("device_name") for d in tf.config.list_physical_devices("GPU")
    ]
    return {
        "stackgan_tf": stackgan_tf.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "tensorflow_datasets": tfds.__version__,
        "numpy": np.__version__,
        "devices": list(devices),
        "gpus": gpus,
    }
