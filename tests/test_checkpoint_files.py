"""Whatever happens to a save or to its files, the newest whole checkpoint is found, and told of."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import checkpoint_files
from stackgan_tf.checkpoint import Checkpoints, latest
from stackgan_tf.errors import UserError
from tests.conftest import full_disk
from tests.saving_process import parts_of, value_in

HOUR = 3600


class Run:
    """A run directory whose every saved number is the step."""

    def __init__(self, folder, keep=3, hours=0.0):
        self.folder = folder
        self.parts = parts_of(size=1000)
        self.checkpoints = Checkpoints(folder, self.parts, keep, hours)

    def save(self, step, **options):
        for variable in tf.nest.flatten(self.parts):
            variable.assign(tf.fill(variable.shape, tf.cast(step, variable.dtype)))
        self.checkpoints.save(**options)

    def restored(self):
        """The step that a fresh process would go on from."""
        fresh = Run(self.folder)
        fresh.checkpoints.restore()
        (value,) = {float(v) for variable in tf.nest.flatten(fresh.parts) for v in np.ravel(variable.numpy())}
        return int(value)

    def file(self, name):
        return self.folder / "checkpoints" / name

    def files(self):
        return sorted(path.name for path in self.file(".").iterdir())

    def steps(self):
        return sorted(int(path.stem.split("-")[1]) for path in self.file(".").glob("*.index"))


@pytest.fixture
def run(tmp_path):
    """Of three checkpoints: 1, 2 and 3."""
    run = Run(tmp_path / "run")
    for step in (1, 2, 3):
        run.save(step)
    return run


DATA, INDEX = "ckpt-3.data-00000-of-00001", "ckpt-3.index"
DAMAGE = {
    "truncated": (DATA, lambda path: os.truncate(path, 1000)),
    "empty": (DATA, lambda path: os.truncate(path, 0)),
    "a flipped bit": (DATA, lambda path: flip(path, 3000)),
    "missing": (DATA, os.unlink),
    "truncated index": (INDEX, lambda path: os.truncate(path, 100)),
    "empty index": (INDEX, lambda path: os.truncate(path, 0)),
    "a flipped bit in the index": (INDEX, lambda path: flip(path, 40)),
    "missing index": (INDEX, os.unlink),
    "a folder in its place": (DATA, lambda path: (path.unlink(), path.mkdir())),
}


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_newest_is_passed_over_and_told_of(run, how, caplog):
    name, damage = DAMAGE[how]
    damage(run.file(name))
    before = run.files()
    assert run.restored() == 2
    (line,) = caplog.messages
    assert line.startswith(f"damaged: {run.file('ckpt-3')} (") and "\n" not in line
    assert line.endswith(f"{run.file('ckpt-2')}, the newest that is whole, is taken instead")
    assert run.files() == before, "reading changes nothing"


def test_every_flipped_byte_is_noticed(run):
    """Of the values: in front of each there is a checksum in the index."""
    good = run.file(DATA).read_bytes()
    for place in range(0, len(good), 41):
        flip(run.file(DATA), place)
        assert run.restored() == 2, place
        run.file(DATA).write_bytes(good)
    assert run.restored() == 3


def test_the_damaged_one_goes_when_the_next_is_saved(run):
    os.truncate(run.file(DATA), 1000)
    resumed = Run(run.folder)
    resumed.checkpoints.restore()
    resumed.parts["step"].assign(2)
    resumed.checkpoints.save()
    assert run.steps() == [1, 2, 3], "step 2 is there already"
    resumed.save(4)
    assert run.steps() == [1, 2, 4] and run.restored() == 4, "it takes the place of none that is whole"
    again = Run(run.folder, keep=1)
    os.truncate(run.file("ckpt-4.index"), 0)
    again.checkpoints.restore()
    assert again.checkpoints.saved == 2


def test_back_at_the_damaged_step_it_is_saved_anew(run):
    os.truncate(run.file(DATA), 1000)
    resumed = Run(run.folder)
    resumed.checkpoints.restore()
    resumed.save(3)
    assert run.restored() == 3


def test_one_step_can_be_asked_for(run):
    run.checkpoints.restore(2)
    assert run.checkpoints.saved == 2 and int(run.parts["step"].numpy()) == 2
    with pytest.raises(UserError, match="no checkpoint is whole: .*ckpt-7"):
        run.checkpoints.restore(7)


def test_what_lies_beyond_goes(run):
    """Training that went back, past a damaged checkpoint or a bad batch, does not meet its former future again."""
    os.truncate(run.file(DATA), 1000)
    run.file("ckpt-2.index").unlink()
    resumed = Run(run.folder)
    resumed.checkpoints.restore()
    assert resumed.checkpoints.saved == 1
    resumed.parts["step"].assign(1)
    resumed.checkpoints.stale = True
    resumed.checkpoints.save()
    assert run.steps() == [1] and not list(run.file(".").glob("ckpt-[23]*"))


@pytest.mark.parametrize("listed", ["}{", "", None, 'model_checkpoint_path: "ckpt-1"\n'])
def test_the_list_of_tensorflow_does_not_matter(run, listed, caplog):
    run.file("checkpoint").unlink() if listed is None else run.file("checkpoint").write_text(listed)
    assert run.restored() == 3 and not caplog.messages


def test_tensorflow_finds_the_newest_itself(run):
    assert tf.train.latest_checkpoint(run.file(".")) == latest(run.folder) == str(run.file("ckpt-3"))


def test_none_is_whole(run):
    for path in run.file(".").glob("*.data*"):
        os.truncate(path, 10)
    before = run.files()
    with pytest.raises(UserError, match="no checkpoint is whole: .*ckpt-3 .*ckpt-2 .*ckpt-1 .*start anew") as error:
        run.restored()
    assert "\n" not in str(error.value) and run.files() == before


def test_no_memory_and_no_permission_are_no_damage(run, monkeypatch):
    def read(path):
        raise tf.errors.ResourceExhaustedError(None, None, "no memory")

    with pytest.raises(tf.errors.ResourceExhaustedError):
        checkpoint_files.read_newest(run.folder, read)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match="ckpt-3: cannot be read .Permission denied"):
        run.restored()


def test_a_checkpoint_of_an_older_version(tmp_path):
    """By TensorFlow's own manager: it counts its saves in the file."""
    run = Run(tmp_path)
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(**run.parts), str(run.file(".")), max_to_keep=3)
    manager.save(checkpoint_number=0)
    assert run.restored() == 0
    run.save(1)
    assert run.restored() == 1


def test_a_checkpoint_from_before_the_position_was_saved(tmp_path):
    Run(tmp_path).save(7)
    newer = Checkpoints(tmp_path, parts_of(size=1000) | {"position": tf.Variable(0, dtype=tf.int64)}, keep=1)
    newer.restore()
    assert int(newer.parts["position"]) == 7


@pytest.mark.parametrize(
    "change, told",
    [
        ({"network": {"layer/kernel": tf.zeros([5])}}, r"network/layer/kernel is \[1000\] there, \[5\] here"),
        ({"network": {"layer/bias": tf.zeros([5])}}, r"network/layer/bias is missing there, \[5\] here"),
        ({"optimizers": []}, r"optimizers/0/m is \[1000\] there, missing here"),
    ],
)
def test_another_network_is_told_by_the_first_difference(run, change, told):
    parts = run.parts | {
        name: tf.nest.map_structure(tf.Variable, part) if part else part for name, part in change.items()
    }
    with pytest.raises(UserError, match=f"ckpt-3: is the checkpoint of another network .*: {told}"):
        Checkpoints(run.folder, parts, keep=3).restore()


class TestWhatStays:
    def save_at(self, run, step, hours):
        """Saves as if at some time."""
        run.save(step)
        os.utime(run.file(f"ckpt-{step}.index"), (hours * HOUR, hours * HOUR))

    def test_the_newest_few(self, tmp_path):
        run = Run(tmp_path, keep=2)
        for step in range(1, 6):
            run.save(step)
        assert run.steps() == [4, 5] and len(run.files()) == 5, "and the list of TensorFlow"

    def test_one_every_so_many_hours_for_ever(self, tmp_path):
        """Saved every half hour, by a new process each time; the list of TensorFlow is lost on the way."""
        for step in range(1, 12):
            run = Run(tmp_path, keep=2, hours=2.0)
            self.save_at(run, step, 100 + step / 2)
            run.file("checkpoint").unlink()
        assert run.steps() == [1, 5, 9, 10, 11]
        for step in (12, 13):
            self.save_at(Run(tmp_path, keep=1), step, 110 + step)
        assert run.steps() == [1, 5, 9, 13], "what was kept stays, though the flag is gone"

    def test_the_hand_of_the_user_keeps_too(self, run):
        run.file("ckpt-1.keep").touch()
        for step in (4, 5, 6):
            run.save(step)
        assert run.steps() == [1, 4, 5, 6]


class TestFullDisk:
    def test_what_was_saved_stays_and_the_next_save_succeeds(self, run, tmp_path, caplog):
        with full_disk(run.folder) as free:
            run.save(4)
            assert run.steps() == [1, 2, 3] and not list(run.file(".").glob(".*"))
            (line,) = caplog.messages
            assert f"{run.file('.').parent}/checkpoints: step 4 is not saved (" in line and "No space left" in line
            assert f"the last good one is {run.file('ckpt-3')}, 0 h 0 min old; training goes on" in line
            with pytest.raises(UserError, match="step 5 is not saved .*last good one is .*ckpt-3, .*make room"):
                run.save(5, last=True)
            free()
            run.save(6, last=True)
        assert run.steps() == [2, 3, 6] and run.restored() == 6

    def test_nothing_was_saved_yet(self, tmp_path):
        run = Run(tmp_path / "run")
        run.folder.mkdir()
        with full_disk(run.folder), pytest.raises(UserError, match="step 1 is not saved .*; there is none; make room"):
            run.save(1, last=True)

    @pytest.mark.parametrize(
        "error",
        [OSError(28, "No space left"), tf.errors.ResourceExhaustedError(None, None, "no space left\n somewhere")],
    )
    def test_an_error_at_any_moment(self, run, monkeypatch, error, caplog):
        def fail(*_):
            raise error

        for module, name in ((tf.train.Checkpoint, "write"), (checkpoint_files, "_to_disk"), (os, "replace")):
            with monkeypatch.context() as patch:
                patch.setattr(module, name, fail)
                run.save(4)
            assert run.steps() == [1, 2, 3] and not list(run.file(".").glob(".*"))
        assert [("4 is not saved (No space left" in m or "(no space left)" in m) for m in caplog.messages] == [True] * 3
        run.save(4)
        assert run.restored() == 4


def moments(folder, save):
    """Copies of a folder as it is before each of the file operations of `save`, and at the end."""
    seen, on = [], [True]

    def look(event, _):
        if on[0] and (event.split(".")[0] in ("os", "shutil", "tempfile") or event == "open"):
            on[0] = False  # the copying itself is not looked at
            seen.append(folder.parent / f"moment_{len(seen)}")
            shutil.copytree(folder, seen[-1])
            on[0] = True

    sys.addaudithook(look)  # there is no way to take one away again
    try:
        save()
    finally:
        on[0] = False
    shutil.copytree(folder, folder.parent / "end")
    return [*seen, folder.parent / "end"]


def is_whole(folder, steps):
    """Whether the newest checkpoint itself, not one before it, is one of these."""
    step = checkpoint_files.checkpoint_step(latest(folder))
    try:
        return step in steps and value_in(latest(folder)) == step
    except (tf.errors.OpError, ValueError, IndexError):
        return False


def test_at_every_moment_of_a_save_the_newest_is_whole(run):
    """A kill between any two file operations."""
    seen = moments(run.folder, lambda: run.save(4))
    assert len(seen) > 10 and is_whole(seen[0], [3]) and is_whole(seen[-1], [4])
    assert all(is_whole(folder, (3, 4)) for folder in seen)


def test_at_every_moment_that_a_damaged_one_is_replaced(run):
    os.truncate(run.file(DATA), 1000)
    run.checkpoints.saved = None
    found = [Run(folder).restored() for folder in moments(run.folder, lambda: run.save(3))]
    assert found == sorted(found) and set(found) == {2, 3}


def test_at_every_moment_of_removing_the_newest_is_whole(run):
    seen = moments(run.folder, lambda: checkpoint_files.remove_old(run.folder, 1, keep=1, keep_every_hours=0))
    assert run.steps() == [1] and all(is_whole(folder, (1, 2, 3)) for folder in seen)


def test_a_step_is_saved_once_and_what_a_kill_left_is_cleared_away(run):
    run.file(".ckpt-3.killed").mkdir()
    first = run.file(INDEX).stat().st_ino
    run.save(3)
    assert run.file(INDEX).stat().st_ino == first and ".ckpt-3.killed" in run.files()
    run.save(4)
    assert not [name for name in run.files() if name.startswith(".")]


def test_a_saver_that_writes_in_place_is_seen(run):
    """The known-bad twin."""

    def save():
        for name in (DATA, INDEX):
            whole = run.file(name).read_bytes()
            new = run.file(name.replace("3", "4"))
            new.write_bytes(whole[: len(whole) // 2])
            new.write_bytes(whole)

    assert not all(is_whole(folder, (3, 4)) for folder in moments(run.folder, save))


@pytest.mark.slow
def test_fifty_kills(tmp_path):
    """`kill -9` at a random moment of saving: the newest is whole, and no older than what was said to be saved."""
    rng = random.Random(0)
    cut_short, saved = 0, 0
    for _ in range(50):
        command = [sys.executable, "-m", "tests.saving_process", str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
        told = int(process.stdout.readline())
        try:
            process.wait(rng.uniform(0, 0.3))
        except subprocess.TimeoutExpired:
            pass
        process.send_signal(signal.SIGKILL)
        told = max([told, *map(int, process.stdout.read().split())])
        process.wait()
        step = checkpoint_files.checkpoint_step(latest(tmp_path))
        assert value_in(latest(tmp_path)) == step and told <= step <= told + 1 and step >= saved
        cut_short += any((tmp_path / "checkpoints").glob(".ckpt-*"))
        saved = step
    print(f"50 kills, {cut_short} in the midst of a save, {saved} saves")  # noqa: T201
    assert cut_short > 10, "the kills hit saves"
