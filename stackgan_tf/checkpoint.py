"""Checkpoints of the whole state, and what is read back from them."""

import re
from pathlib import Path

import keras
import tensorflow as tf

from stackgan_tf.errors import UserError

FOLDER = "checkpoints"


class Checkpoints:
    """Saves the state of a run and restores it; keeps the newest few."""

    def __init__(self, run_dir: Path, checkpoint: tf.train.Checkpoint, step: tf.Variable, keep: int) -> None:
        self.run_dir, self.checkpoint, self.step = run_dir, checkpoint, step
        self.manager = tf.train.CheckpointManager(checkpoint, str(run_dir / FOLDER), max_to_keep=keep)

    def save(self) -> None:
        """Saves under the current step, once."""
        step = int(self.step.numpy())
        if self.manager.latest_checkpoint is None or checkpoint_step(self.manager.latest_checkpoint) != step:
            self.manager.save(checkpoint_number=step)

    def restore(self) -> None:
        """Goes back to the newest checkpoint.

        Raises:
            UserError: it is damaged or of another network.
        """
        path = latest(self.run_dir)
        _read(self.checkpoint, path, complete=True)


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


def restore_average(generator: keras.Model, run_dir: Path) -> int:
    """Gives a generator the averaged weights of a run's newest checkpoint; returns its step.

    Raises:
        UserError: there is no checkpoint, or a damaged one.
    """
    path = latest(run_dir)
    if path is None:
        raise UserError(f"{run_dir}: has no checkpoint yet; let python -m stackgan_tf.train save one")
    _read(tf.train.Checkpoint(average=variables_by_path(generator)), path, complete=False)
    return checkpoint_step(path)


def _read(checkpoint: tf.train.Checkpoint, path: str, complete: bool) -> None:
    another = UserError(f"{path}: is the checkpoint of another network than config.yaml describes")
    try:
        status = checkpoint.restore(path)
        try:
            status.assert_consumed() if complete else status.assert_existing_objects_matched()
        finally:
            status.expect_partial()  # else TensorFlow logs a line for each value that was not used
    except AssertionError:
        raise another from None
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as error:
        if "incompatible tensor" in str(error):
            raise another from None
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: the checkpoint is damaged ({reason}); move its files away and write the name of an older one "
            f"into {Path(path).parent / 'checkpoint'}"
        ) from None
