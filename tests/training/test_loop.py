"""The loop on a full disk and under signals; with a step that only counts."""

import gc
import itertools
import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import interrupts
from stackgan_tf.checkpoint import Checkpoints, latest
from stackgan_tf.config import TrainConfig
from stackgan_tf.errors import UserError
from stackgan_tf.training.callbacks import Callback, MetricsFile, Samples, TensorBoard
from stackgan_tf.training.loop import MetricsWindow, run_loop
from tests.conftest import fill, full_disk

EVERY_STEP = {"log_every_steps": 1, "sample_every_steps": 1, "checkpoint_every_steps": 1}


class Counter(tf.Module):
    """A state and its step."""

    def __init__(self, at=None):
        super().__init__()
        self.step = tf.Variable(0, dtype=tf.int64)
        self.at = at or {}

    def __call__(self, batch):
        if action := self.at.get(int(self.step)):
            action()
        self.step.assign_add(1)
        return {"g/loss": tf.cast(batch, tf.float32)}


class At(Callback):
    """Does something in the midst of the loop."""

    def __init__(self, **actions):
        self.actions = actions

    def on_log(self, step, metrics):
        self.actions.get(f"log_{step}", lambda: None)()

    def on_sample(self, step):
        self.actions.get(f"sample_{step}", lambda: None)()


class Artist:
    encoder = None

    def __call__(self, asked):
        return {64: np.random.default_rng(0).integers(0, 255, (asked, 64, 64, 3), np.uint8)}


def go(folder, state, callbacks, steps=4, **changes):
    config = TrainConfig(steps=steps, batch_size=1, **EVERY_STEP | changes)
    checkpoints = Checkpoints(folder, {"step": state.step}, keep=3)
    return run_loop(state, state, iter(tf.data.Dataset.range(100)), config, checkpoints, callbacks)


def writers(folder):
    return [MetricsFile(folder / "metrics.jsonl", 0), TensorBoard(folder), Samples(folder, Artist(), [""] * 2)]


def readable_scalars(folder):
    """How many records of TensorBoard's files can be read, up to the first broken one of each."""
    count = 0
    for path in (folder / "tensorboard").iterdir():
        try:
            for record in tf.data.TFRecordDataset(str(path)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                count += any(value.tag == "g/loss" for value in event.summary.value)
        except tf.errors.DataLossError:
            pass
    return count


def test_a_full_disk_does_not_end_the_training(tmp_path, caplog):
    """Full all the time: every writer is told of once, every save, and at the end it is an error."""
    folder = tmp_path / "run"
    folder.mkdir()
    callbacks = writers(folder)
    with full_disk(folder):
        with pytest.raises(UserError, match="step 4 is not saved .*No space left.*there is none; make room"):
            go(folder, Counter(), callbacks)
        assert not (folder / "metrics.jsonl").read_text() and not list((folder / "samples").iterdir())
    told = [message.split(":")[0] for message in caplog.messages if "training goes on, and it is tried" in message]
    assert sorted(told) == ["MetricsFile", "Samples", "TensorBoard"]
    assert sum("is not saved" in message for message in caplog.messages) == 3


def test_when_there_is_room_again_everything_is_written_again(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    callbacks = writers(folder)
    with full_disk(folder) as free:
        assert go(folder, Counter(), [At(sample_3=free), *callbacks], steps=6)
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [4, 5, 6], "no line is cut short"
        assert sorted(path.name for path in (folder / "samples").iterdir())[-1] == "step_0000006.png"
        assert latest(folder).endswith("ckpt-6") and readable_scalars(folder) >= 3


def test_what_is_cut_short_by_a_full_disk_harms_nothing_else(tmp_path):
    """A record begins in the room that its file has left, and ends nowhere."""
    folder = tmp_path / "run"
    folder.mkdir()
    with full_disk(folder) as free:
        free()
        metrics, board = MetricsFile(folder / "metrics.jsonl", 0), TensorBoard(folder)
        for callback in (metrics, board):
            callback.on_log(1, {"g/loss": 1.0})
        fill(folder)
        before = (folder / "metrics.jsonl").read_text()
        for callback in (metrics, board):
            with pytest.raises(OSError, match="No space left"):
                for step in range(2, 100):
                    callback.on_log(step, {f"{'long' * 20}_{number}": 1.0 for number in range(100)})
        assert (folder / "metrics.jsonl").read_text() == before
        free()
        for callback in (metrics, board):
            callback.on_log(100, {"g/loss": 1.0})
            callback.on_end()
        assert [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()] == [1, 100]
        assert readable_scalars(folder) == 2


def test_one_that_cannot_write_does_not_hinder_the_others(tmp_path, caplog):
    """The same where nothing may be mounted."""

    class Broken(Callback):
        def on_log(self, step, metrics):
            raise OSError(28, "No space left on device")

    assert go(tmp_path, Counter(), [Broken(), MetricsFile(tmp_path / "metrics.jsonl", 0)])
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 4, "the others are called all the same"
    (line,) = caplog.messages
    assert line.startswith("Broken: cannot write ([Errno 28] No space left on device); training goes on")


def test_what_is_no_matter_of_writing_ends_the_training(tmp_path):
    class Wrong(Callback):
        def on_log(self, step, metrics):
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        go(tmp_path, Counter(), [Wrong()])


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
@pytest.mark.parametrize("when", ["step", "log_2", "sample_2"])
def test_a_signal_at_any_moment_saves(tmp_path, number, code, when):
    """In a step it ends after that step, in a callback with the step that the callback is of."""

    def send():
        os.kill(os.getpid(), number)

    state = Counter({1: send} if when == "step" else {})
    assert not go(tmp_path, state, [At(**{when: send})], checkpoint_every_steps=100)
    assert latest(tmp_path).endswith("ckpt-2") and interrupts.exit_code() == code


def test_in_the_first_step_it_ends_at_once(tmp_path):
    """Nothing is done yet; its tracing alone may take a minute."""
    state = Counter({0: lambda: os.kill(os.getpid(), signal.SIGINT)})
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, state, [])
    assert latest(tmp_path) is None and int(state.step) == 0


def test_at_the_last_step_the_end_is_reached(tmp_path):
    assert go(tmp_path, Counter({3: lambda: os.kill(os.getpid(), signal.SIGTERM)}), [])
    assert latest(tmp_path).endswith("ckpt-4")


def test_a_step_that_was_skipped_leaves_the_means_of_the_others(tmp_path):
    window = MetricsWindow(batch_size=1)
    for loss, norm in ((1.0, np.inf), (3.0, np.nan)):
        window.add({"g/loss": tf.constant(loss), "g/gradient_norm": tf.constant(norm)})
    window.add({"g/loss": tf.constant(np.inf), "g/gradient_norm": tf.constant(np.inf)})
    means = window.means()
    assert means["g/loss"] == 2 and np.isnan(means["g/gradient_norm"])
    MetricsFile(tmp_path / "metrics.jsonl", 0).on_log(3, means)
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["g/loss"] == 2 and "gradient_norm" not in line


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc")
def test_what_is_logged_does_not_stay_in_memory(tmp_path):
    """TensorFlow keeps every number of Python's that it has met, 0.7 kB each."""
    board, numbers = TensorBoard(tmp_path), itertools.count()
    own = {}
    for step in range(1, 501):
        board.on_log(step, {f"term {i}": 1 / (3 + next(numbers)) for i in range(30)})
        if step in (100, 500):
            gc.collect()
            own[step] = int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text()).group(1))
    board.on_end()
    assert own[500] - own[100] < 3_000  # kB; 9,000 if they are kept
