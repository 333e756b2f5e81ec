"""A training run from a configuration to a finished run directory."""

import json
import os
import platform
import shutil
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

import stackgan_tf
from stackgan_tf import config as configs
from stackgan_tf import text, workers
from stackgan_tf.checkpoint import FOLDER as CHECKPOINTS
from stackgan_tf.checkpoint import Checkpoints, ReadOnlyCheckpoints, checkpoint_step, latest
from stackgan_tf.config import Config
from stackgan_tf.data.embeddings import Embeddings, told_embeddings
from stackgan_tf.data.pipeline import BatchPlan, training_batches
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.shape_attributes import held_out_accuracy, table
from stackgan_tf.files import whole, write_whole
from stackgan_tf.generation import TextToImage
from stackgan_tf.training.callbacks import Callback, MetricsFile, ProgressBar, Samples, TensorBoard
from stackgan_tf.training.checks import check_run_dir, stage1_generator
from stackgan_tf.training.divergence import Diverged, Guard
from stackgan_tf.training.ema import copy_weights
from stackgan_tf.training.loop import run_loop
from stackgan_tf.training.memory import Tell
from stackgan_tf.training.start import start, started_at
from stackgan_tf.training.state import TrainState
from stackgan_tf.training.step import TrainStep

SAMPLE_COUNT = 12
METRICS = "metrics.jsonl"


def train(
    config: Config,
    encoder: text.TextEncoder | None,
    builder: tfds.core.DatasetBuilder,
    run_dir: Path,
    resume: str,
    strategy: tf.distribute.Strategy,
    tell: Tell,
) -> bool:
    """Trains, or goes on; leaves everything in `run_dir`, which is there.

    Args:
        encoder: the configuration's; None without text.
        strategy: of `make_strategy` or `workers.join`.
        tell: is called before the first step with it, and with what its batches are.

    Returns:
        Whether the run reached its end; False when it was interrupted (it is saved then).

    Raises:
        UserError: as `check`, or fewer images than one batch, or the data cannot be read any more, or as
            `Guard.recover`.
    """
    going_on = check_run_dir(run_dir, config, resume)
    chief = workers.is_chief(strategy)
    with workers.chief_first(strategy):
        records = Records(builder, "train")
        if len(records) < config.train.batch_size:
            raise UserError(
                f"train.batch_size={config.train.batch_size}: the training split has {len(records)} images only"
            )
        test, embeddings = None, None
        if encoder:
            embeddings, test = Embeddings(records, encoder), Records(builder, "test")
    workers.agree(strategy, _inputs(config, records, embeddings, run_dir if going_on else None))
    state = TrainState(config, strategy, steps_per_epoch=len(records) // config.train.batch_size)
    kind = Checkpoints if chief else ReadOnlyCheckpoints
    checkpoints = kind(run_dir, state.parts(), config.train.keep_checkpoints, config.train.keep_every_hours)

    def restore() -> None:
        """All workers go back to the checkpoint that the chief finds whole."""
        with workers.together(strategy):
            if chief:
                checkpoints.restore()
        step = int(workers.exchange(strategy, {"step": str(checkpoints.saved)})[0]["step"])
        with workers.together(strategy):
            if not chief:
                checkpoints.restore(step)

    if going_on:
        restore()
    else:
        with workers.together(strategy):
            _begin(state, config)

    if chief:
        _describe(run_dir, config, encoder, strategy)
    artist = TextToImage(config, state.average, encoder)
    plan = BatchPlan(records, config, embeddings)
    guard = Guard(state, config, run_dir, plan, restore, writes=chief)
    step, on_any = TrainStep(state, strategy, config), workers.on_any(strategy)

    def batches(position: int) -> tf.distribute.DistributedDataset:
        return strategy.distribute_datasets_from_function(partial(training_batches, plan, position))

    tell(step, batches(0).element_spec)
    finished = None
    while finished is None:
        position, start_step = int(state.position.numpy()), int(state.step.numpy())
        callbacks = _callbacks(run_dir, config, artist, test, start_step) if chief else []
        try:
            finished = run_loop(
                state, step, iter(batches(position)), config.train, checkpoints, callbacks, guard.check, on_any
            )
        except Diverged as diverged:
            guard.recover(diverged)
            checkpoints.stale = True  # the position is another one
        except tf.errors.OpError:
            if plan.failure:
                raise plan.failure from None
            raise
    if finished and chief and config.data.dataset == "shapes" and test:
        scores = held_out_accuracy(artist, test)
        if start_step < config.train.steps:
            MetricsFile(run_dir / METRICS, config.train.steps).append(
                {"step": config.train.steps, "held_out_accuracy": scores}
            )
        sys.stdout.write(table(scores))
    workers.end_together(strategy, lambda: checkpoint_step(latest(run_dir) or "-0") == int(state.step.numpy()))
    return finished


def _inputs(config: Config, records: Records, embeddings: Embeddings | None, resumed: Path | None) -> dict[str, str]:
    """What all workers must see alike."""
    return configs.said(config) | {
        "the training split": f"{len(records)} images, {records.index.digest[:16]}",
        "the embeddings": embeddings.file.parent.name if embeddings else "none",
        "the newest checkpoint": str(resumed and checkpoint_step(latest(resumed))),
        "train.start_from": started_at(config),
    }


def _begin(state: TrainState, config: Config) -> None:
    """Gives a new run the weights of what it starts from, where it starts from something."""
    if config.train.start_from:
        start(state, config)
    elif config.model.family == "v1_stage2":
        stage1 = stage1_generator(config)
        copy_weights(state.generator.stage1, stage1)
        copy_weights(state.average.stage1, stage1)


def _describe(
    run_dir: Path, config: Config, encoder: text.TextEncoder | None, strategy: tf.distribute.Strategy
) -> None:
    """All that the run directory says before the first step."""
    write_whole(run_dir / "config.yaml", configs.dump(config))
    if encoder and encoder.weights:
        _carry(encoder.weights, run_dir / text.FOLDER)
    write_whole(run_dir / "environment.json", json.dumps(environment(strategy), indent=2) + "\n")


def _callbacks(run_dir: Path, config: Config, artist: TextToImage, test: Records | None, step: int) -> list[Callback]:
    captions, told = [""] * SAMPLE_COUNT, None
    if test:
        shown, captions = test.told(SAMPLE_COUNT)
        told = told_embeddings(artist.encoder, shown, captions)
    samples = Samples(run_dir, artist, captions, told)
    return [ProgressBar(step, config), MetricsFile(run_dir / METRICS, step), TensorBoard(run_dir), samples]


def _carry(weights: Path, folder: Path) -> None:
    """A copy of a text encoder's weights, without what its training needs to go on."""
    if folder.is_dir():
        return
    try:
        with whole(folder) as made:
            shutil.copytree(weights, made, ignore=shutil.ignore_patterns(CHECKPOINTS))
    except OSError as error:  # of copytree: a list of what failed
        raise UserError(f"{folder}: the text encoder cannot be copied from {weights} ({error})") from None


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
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "devices": list(devices),
        "replicas": strategy.num_replicas_in_sync,
        "gpus": gpus,
    }
