"""Two runs in one run directory: the second is refused for as long as the first lives, and no longer."""

import fcntl
import signal
import subprocess
import sys

import pytest

from stackgan_tf.errors import UserError
from stackgan_tf.training.lock import locked

HOLD = """
import sys
from pathlib import Path
from stackgan_tf.training.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder):
    command = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_refused_until_the_first_is_gone(tmp_path):
    """Killed: nothing of it is left to clear away."""
    process = hold(tmp_path / "run")
    with (
        pytest.raises(UserError, match="run: another process trains in it; wait for its end"),
        locked(tmp_path / "run"),
    ):
        pytest.fail("it went on")
    assert (tmp_path / "run").is_dir(), "the first one's, though empty still"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for _ in range(2):
        with locked(tmp_path / "run"):
            pass


def test_a_program_that_begins_anew_has_it_again(tmp_path):
    """As a worker does by os.execv: the lock does not go with it, nor does it lock itself out."""
    again = f"os.execv(sys.executable, [sys.executable, '-c', {HOLD!r}, sys.argv[1]])"
    twice = "import os\n" + HOLD.replace('print("held", flush=True)', again)
    command = [sys.executable, "-c", twice, str(tmp_path)]
    assert subprocess.run(command, input="", capture_output=True, text=True).stdout == "held\n"


def test_what_nothing_came_of_is_gone(tmp_path):
    with pytest.raises(ValueError), locked(tmp_path / "run"):
        raise ValueError
    assert not (tmp_path / "run").exists()
    with locked(tmp_path / "run"):
        (tmp_path / "run/config.yaml").touch()
    assert (tmp_path / "run/config.yaml").exists()
    (tmp_path / "mine").mkdir()
    with locked(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").exists()


def test_without_locks_it_goes_on(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path):
        pass
    assert caplog.messages == [
        f"{tmp_path}: cannot be locked (Operation not supported); do not begin a second run in it"
    ]
