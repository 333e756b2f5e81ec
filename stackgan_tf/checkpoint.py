"""Checkpoints of the whole state, and what is read back from them."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from stackgan_tf.errors import UserError

FOLDER = "checkpoints"
AVERAGE, LIVE = "average", "generator"  # the two generators in a checkpoint
UNPUBLISHED = {"discriminators", "generator_optimizer", "discriminator_optimizers"}  # parts that may be missing


class Checkpoints:
    """Saves the state of a run and restores it; keeps the newest few.

    Args:
        parts: what is saved, by name; `step`, a variable, among it.
    """

    def __init__(self, run_dir: Path, parts: Mapping[str, Any], keep: int) -> None:
        self.run_dir, self.parts, self.step = run_dir, parts, parts["step"]
        self.checkpoint = tf.train.Checkpoint(**parts)
        self.manager = tf.train.CheckpointManager(self.checkpoint, str(run_dir / FOLDER), max_to_keep=keep)

    def save(self) -> None:
        """Saves under the current step, once."""
        step = int(self.step.numpy())
        if self.manager.latest_checkpoint is None or checkpoint_step(self.manager.latest_checkpoint) != step:
            self.manager.save(checkpoint_number=step)

    def restore(self) -> None:
        """Goes back to the newest checkpoint. One of imported networks lacks the parts that nobody published.

        Raises:
            UserError: it is damaged or of another network.
        """
        path = latest(self.run_dir)
        with _told_of(path):
            present = {name.split("/")[0] for name in tf.train.load_checkpoint(path).get_variable_to_shape_map()}
        missing = [name for name in self.parts if name not in present]
        if not UNPUBLISHED.issuperset(missing):
            raise _of_another_network(path)
        checkpoint = self.checkpoint
        if missing:
            logging.warning("%s has no %s: these start anew", path, ", ".join(missing))
            checkpoint = tf.train.Checkpoint(**{name: self.parts[name] for name in self.parts if name in present})
        with _told_of(path):
            status = checkpoint.restore(path)
            try:
                status.assert_consumed()
            finally:
                status.expect_partial()  # else TensorFlow logs a line for each value that was not used


class ReadOnlyCheckpoints(Checkpoints):
    """Of a worker that is not the chief: restores the same state and saves nothing."""

    def save(self) -> None:
        """Leaves it to the chief."""


def latest(run_dir: Path) -> str | None:
    """The newest checkpoint of a run, None where there is none.

    Raises:
        UserError: files of checkpoints, but no readable index of them.
    """
    folder = run_dir / FOLDER
    path = tf.train.latest_checkpoint(str(folder))
    if path is None and (any(folder.glob("*.index")) or (folder / "checkpoint").exists()):
        raise UserError(
            f"{folder}: holds files but no readable newest checkpoint; its index 'checkpoint' is damaged: restore it "
            f"or move the folder away and train with --resume=never in another --run_dir"
        )
    return path


def checkpoint_step(path: str) -> int:
    """The step in a checkpoint's name."""
    return int(re.search(r"-(\d+)$", path)[1])


def variables_by_path(part: keras.Model | keras.optimizers.Optimizer) -> dict[str, tf.Variable]:
    """Every variable under its name, to be saved.

    `tf.train.Checkpoint(model)` leaves out, without a word, the layers that a Keras 3 model keeps in lists.
    """
    variables = {v.path: v.value for v in part.variables}
    if len(variables) != len(part.variables):
        raise ValueError(f"{part.name}: two variables of one name")
    return variables


def shapes_by_path(model: keras.Model) -> dict[str, tuple[int, ...]]:
    """The shape of every variable under its name."""
    return {v.path: tuple(v.shape) for v in model.variables}


def restore_generator(generator: keras.Model, run_dir: Path, part: str = AVERAGE) -> int:
    """Gives a generator the weights in a run's newest checkpoint, on any Keras backend; returns its step.

    Args:
        part: `average`, or `generator` for the live weights.

    Raises:
        UserError: as `saved_generator`.
    """
    step, values = saved_generator(run_dir, shapes_by_path(generator), part)
    for variable in generator.variables:
        variable.assign(values[variable.path])
    return step


def saved_generator(
    run_dir: Path, shapes: Mapping[str, tuple[int, ...]], part: str = AVERAGE
) -> tuple[int, dict[str, np.ndarray]]:
    """The step of a run's newest checkpoint and a generator in it: each variable's value by its path.

    Args:
        shapes: of the variables that there must be.
        part: `average`, or `generator` for the live weights.

    Raises:
        UserError: there is no checkpoint, or a damaged one, or one of another network.
    """
    path = latest(run_dir)
    if path is None:
        raise UserError(f"{run_dir}: has no checkpoint yet; let python -m stackgan_tf.train save one")
    with _told_of(path):
        reader = tf.train.load_checkpoint(path)
        saved = (
            re.fullmatch(rf"{part}/(.+)/\.ATTRIBUTES/VARIABLE_VALUE", name)
            for name in reader.get_variable_to_shape_map()
        )
        # TensorFlow writes a slash within a name as ".S"
        values = {found[1].replace(".S", "/"): reader.get_tensor(found[0]) for found in saved if found}
    if {name: value.shape for name, value in values.items()} != shapes:
        raise _of_another_network(path)
    return checkpoint_step(path), values


def _of_another_network(path: str) -> UserError:
    return UserError(f"{path}: is the checkpoint of another network than config.yaml describes")


@contextmanager
def _told_of(path: str) -> Iterator[None]:
    """Turns whatever reading a checkpoint leads to into a user's error."""
    try:
        yield
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError, AssertionError) as error:
        if isinstance(error, AssertionError) or "incompatible tensor" in str(error):
            raise _of_another_network(path) from None
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: the checkpoint is damaged ({reason}); move its files away and write the name of an older one "
            f"into {Path(path).parent / 'checkpoint'}"
        ) from None
