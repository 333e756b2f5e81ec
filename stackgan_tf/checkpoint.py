"""Checkpoints of the whole state, and what is read back from them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from stackgan_tf import checkpoint_files, pretrained
from stackgan_tf.checkpoint_files import FOLDER, checkpoint_step, latest, read_newest, reason_of
from stackgan_tf.errors import UserError

__all__ = ["AVERAGE", "FOLDER", "LIVE", "Checkpoints", "checkpoint_step", "latest"]

AVERAGE, LIVE = "average", "generator"  # the two generators in a checkpoint
UNPUBLISHED = {"discriminators", "generator_optimizer", "discriminator_optimizers"}  # an imported run lacks them
OPTIONAL = UNPUBLISHED | {"position"}  # in the data; it was the step before it was saved
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"  # TensorFlow's ending of a variable's name

Shapes = Mapping[str, tuple[int, ...]]


class Checkpoints:
    """Saves the state of a run and restores it.

    Args:
        parts: what is saved, by name; `step`, a variable, among it.
        keep: the newest so many stay.
        keep_every_hours: of the older ones, one every so many hours stays for ever; 0: none.
    """

    def __init__(self, run_dir: Path, parts: Mapping[str, Any], keep: int, keep_every_hours: float = 0.0) -> None:
        self.run_dir, self.parts, self.step = run_dir, parts, parts["step"]
        self.keep, self.keep_every_hours = keep, keep_every_hours
        self.saved: int | None = None  # the step that is in the folder, and whole
        self.stale = False  # whether something else than the step has moved since

    def save(self, last: bool = False) -> None:
        """Saves under the current step, once. Where that fails it is told, and what was saved before stays.

        Args:
            last: there is no later save to hope for.

        Raises:
            UserError: it failed and was the last.
        """
        step = int(self.step.numpy())
        if self.saved == step and not self.stale:
            return
        try:
            write(self.run_dir, self.parts)
        except (OSError, tf.errors.OpError) as error:
            told = f"{self.run_dir / FOLDER}: step {step} is not saved ({reason_of(error)}); {self._last_good()}"
            if last:
                raise UserError(f"{told}; make room and give the same command again") from None
            logging.warning("%s; training goes on, and the next save tries again", told)
            return
        before, self.saved, self.stale = self.saved, step, False
        try:
            checkpoint_files.remove_old(self.run_dir, step, self.keep, self.keep_every_hours, before)
        except OSError as error:
            logging.warning("%s: old checkpoints cannot be removed (%s)", self.run_dir / FOLDER, reason_of(error))

    def _last_good(self) -> str:
        if self.saved is None:
            return "there is none"
        path = checkpoint_files.path_of(self.run_dir, self.saved)
        return f"the last good one is {path}, {checkpoint_files.age(path, time.time())} old"

    def restore(self, step: int | None = None) -> None:
        """Goes back to the newest checkpoint that is whole. One of imported networks lacks what nobody published.

        Args:
            step: goes back to the one of this step instead.

        Raises:
            UserError: none is whole, or it is of another network.
        """
        self.saved = read_newest(self.run_dir, self._restore, step)

    def _restore(self, path: str) -> int:
        there = _saved_shapes(path)
        present = {key.split("/")[0] for key in there}
        parts = {name: part for name, part in self.parts.items() if name in present or name not in OPTIONAL}
        here = {key: tuple(variable.shape) for key, variable in _by_key(parts)}
        _check_same(path, {key: shape for key, shape in there.items() if key.split("/")[0] in parts}, here)
        if anew := [name for name in self.parts if name in UNPUBLISHED - present]:
            logging.warning("%s has no %s: these start anew", path, ", ".join(anew))
        tf.train.Checkpoint(**parts).read(path).expect_partial()  # older versions saved a count besides
        if "position" in self.parts and "position" not in present:
            self.parts["position"].assign(self.step)
        return checkpoint_step(path)


class ReadOnlyCheckpoints(Checkpoints):
    """Of a worker that is not the chief: restores the same state and saves nothing."""

    def save(self, last: bool = False) -> None:
        """Leaves it to the chief."""


def write(run_dir: Path, parts: Mapping[str, Any]) -> None:
    """A checkpoint of the parts under their `step`, all of it or nothing.

    Raises:
        OSError, tf.errors.OpError: it cannot be written.
    """
    with checkpoint_files.new(run_dir, int(parts["step"].numpy())) as path:
        tf.train.Checkpoint(**parts).write(path)


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


def restore_generator(generator: keras.Model, run_dir: Path, part: str = AVERAGE, step: int | None = None) -> int:
    """Gives a generator the weights in a run's newest checkpoint, on any Keras backend; returns its step.

    Args:
        part: `average`, or `generator` for the live weights.
        step: takes the checkpoint of this step instead.

    Raises:
        UserError: as `saved_generator`.
    """
    found, values = saved_generator(run_dir, shapes_by_path(generator), part, step)
    for variable in generator.variables:
        variable.assign(values[variable.path])
    return found


def saved_generator(
    run_dir: Path, shapes: Shapes, part: str = AVERAGE, step: int | None = None
) -> tuple[int, dict[str, np.ndarray]]:
    """The step of a run's newest whole checkpoint and a generator in it: each variable's value by its path.

    Args:
        shapes: of the variables that there must be.
        part: `average`, or `generator` for the live weights.
        step: takes the checkpoint of this step instead.

    Raises:
        UserError: there is no checkpoint, or none that is whole, or one of another network.
    """
    if pretrained.is_pretrained(run_dir):
        if part != AVERAGE or step is not None:
            raise UserError(f"{run_dir}: has the averaged weights of one step only; leave --step and --noema out")
        return pretrained.generator(run_dir, shapes)
    there = checkpoint_files.steps(run_dir)
    if step is not None and there and step not in there:
        raise UserError(f"{run_dir}: has no checkpoint of step {step}; there are {', '.join(map(str, there))}")

    def read(path: str) -> tuple[int, dict[str, np.ndarray]]:
        return checkpoint_step(path), _read_parts(path, {part: shapes})[part]

    return read_newest(run_dir, read, step)


def saved_discriminators(run_dir: Path, shapes: Sequence[Shapes]) -> list[dict[str, np.ndarray]] | None:
    """As `saved_generator`, the discriminators, coarsest first; None where the run has none."""
    if pretrained.is_pretrained(run_dir):
        return pretrained.discriminators(run_dir, shapes)

    def read(path: str) -> list[dict[str, np.ndarray]] | None:
        if not any(key.startswith("discriminators/") for key in _saved_shapes(path)):
            return None
        return _read_parts(path, {"discriminators": list(shapes)})["discriminators"]

    return read_newest(run_dir, read)


def _read_parts(path: str, shapes: Any) -> Any:
    """The value of every variable of these parts, in a tree like that of their shapes."""
    there = {key: shape for key, shape in _saved_shapes(path).items() if key.split("/")[0] in shapes}
    wanted = dict(_by_key(shapes))
    _check_same(path, there, wanted)
    reader = tf.train.load_checkpoint(path)
    return _with_leaves(shapes, map(reader.get_tensor, wanted))


def _with_leaves(tree: Any, leaves: Iterator[Any]) -> Any:
    """A tree like this one with others for its leaves, in the order of `_by_key`."""
    if isinstance(tree, Mapping):
        return {name: _with_leaves(branch, leaves) for name, branch in tree.items()}
    return [_with_leaves(branch, leaves) for branch in tree] if isinstance(tree, list) else next(leaves)


def _by_key(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of parts under the names that TensorFlow gives them in a file."""
    if not isinstance(tree, (Mapping, list)):
        yield key + VALUE, tree
        return
    for name, branch in tree.items() if isinstance(tree, Mapping) else enumerate(tree):
        escaped = str(name).replace(".", "..").replace("/", ".S")
        yield from _by_key(branch, f"{key}/{escaped}" if key else escaped)


def _saved_shapes(path: str) -> dict[str, tuple[int, ...]]:
    """The shape of every variable in a checkpoint by its key."""
    shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    return {key: tuple(shape) for key, shape in sorted(shapes.items()) if key.endswith(VALUE)}


def _check_same(path: str, there: Shapes, here: Shapes) -> None:
    """Whether a checkpoint has just the variables that are wanted.

    Raises:
        UserError: it has not; names the first that differs.
    """
    for key in (*here, *there):
        if there.get(key) != here.get(key):
            name = key.removesuffix(VALUE).replace(".S", "/").replace("..", ".")
            told = [f"{list(shapes[key])}" if key in shapes else "missing" for shapes in (there, here)]
            raise UserError(
                f"{path}: is the checkpoint of another network than config.yaml describes: "
                f"{name} is {told[0]} there, {told[1]} here"
            )
