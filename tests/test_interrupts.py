"""Signals: the first is a question where there is something to save, and the exit code tells which it was."""

import os
import signal
import subprocess
import sys

import pytest

from stackgan_tf import interrupts
from stackgan_tf.interrupts import Terminated, catch_interrupts

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 0}


@pytest.fixture(autouse=True)
def handlers():
    """Both as they were, afterwards too."""
    former = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number, code", SIGNALS.items())
def test_the_first_is_a_question(number, code):
    interrupts.raise_on_sigterm()
    of_ctrl_c = signal.getsignal(signal.SIGINT)
    with catch_interrupts() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), number)
        assert interrupted()
        os.kill(os.getpid(), signal.SIGTERM)  # of the group, and handed on by a process of it
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)  # as late as when all is saved
    assert interrupts.exit_code() == code and signal.getsignal(signal.SIGINT) == of_ctrl_c


def test_without_one_all_is_as_before():
    interrupts.raise_on_sigterm()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    with catch_interrupts():
        pass
    assert {number: signal.getsignal(number) for number in SIGNALS} == handlers


def test_a_worker_that_was_not_told_itself_ends_well():
    """It stopped because another one was told to, and has saved."""
    assert interrupts.exit_code() == 0


def test_it_is_not_forgotten_when_another_loop_begins():
    """As where training went back to a checkpoint meanwhile."""
    with catch_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
    with catch_interrupts() as interrupted:
        assert interrupted()


@pytest.mark.parametrize("number, error", [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_before_there_is_something_to_save_it_ends_at_once(number, error):
    interrupts.raise_on_sigterm()
    with pytest.raises(KeyboardInterrupt) as raised, catch_interrupts(when=lambda: False):
        os.kill(os.getpid(), number)
        pytest.fail("it went on")
    assert raised.type is error


@pytest.mark.parametrize("code, expected", [("raise Terminated", 0), ("raise KeyboardInterrupt", 130)])
def test_what_a_program_ends_with(code, expected):
    program = f"from stackgan_tf.interrupts import Terminated\ndef main(): {code}\n"
    program += "from stackgan_tf import program; program.run(main)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == expected and len(result.stderr.splitlines()) == 1, result.stderr


def test_sigterm_waits_for_a_library_that_takes_it():
    """In a process of its own: a thread that is there before would take it."""
    program = "\n".join(
        [
            "import os, signal",
            "from stackgan_tf import interrupts",
            "interrupts.raise_on_sigterm()",
            "try:",
            "    with interrupts.sigterm_later():",
            "        signal.signal(signal.SIGTERM, lambda *_: print('lost'))",
            "        os.kill(os.getpid(), signal.SIGTERM)",
            "        print('done')",
            "except interrupts.Terminated:",
            "    print('terminated')",
        ]
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "done\nterminated\n", result.stderr


def test_a_second_sigterm_does_not_hinder_the_cleaning_up():
    interrupts.raise_on_sigterm()
    with pytest.raises(Terminated):
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("it went on")
    os.kill(os.getpid(), signal.SIGTERM)
