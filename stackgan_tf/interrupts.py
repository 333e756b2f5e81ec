"""Ctrl-C and SIGTERM as a question, so that what is under way can be saved."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_noted: list[int] = []  # every signal that a question was made of, in this process: one loop may follow another


class Terminated(KeyboardInterrupt):
    """SIGTERM as an exception: what cleans up after Ctrl-C does so after it too."""


def raise_on_sigterm() -> None:
    """From now on SIGTERM raises `Terminated`, once."""

    def handle(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Terminated

    signal.signal(signal.SIGTERM, handle)


@contextmanager
def sigterm_later() -> Iterator[None]:
    """SIGTERM waits for the end of what follows, and then acts as before, whatever handler a library has set."""
    handler = signal.getsignal(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # of the threads begun meanwhile too, and for good
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


@contextmanager
def catch_interrupts(when: Callable[[], bool] = lambda: True) -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C or SIGTERM into an answer to ask for; a second Ctrl-C acts as ever.

    A second SIGTERM does nothing, however late: it is the same one, sent to a group of processes and handed on by one
    of them.

    Args:
        when: whether there is something to save yet; before that a signal acts as ever.
    """
    former = {}

    def restore() -> None:
        for name, handler in former.items():
            if name == signal.SIGINT or not _noted:
                signal.signal(name, handler)

    def note(number: int, _: object) -> None:
        if not when():
            restore()
            signal.raise_signal(number)
            return
        _noted.append(number)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # first, and at once: the second one may be here already
        signal.signal(signal.SIGINT, former[signal.SIGINT])

    for name in (signal.SIGINT, signal.SIGTERM):
        former[name] = signal.signal(name, note)
    try:
        yield noted
    finally:
        restore()


def noted() -> bool:
    """Whether a signal was made a question of, since this process began."""
    return bool(_noted)


def exit_code() -> int:
    """Of a program that was interrupted and has saved: 130 after Ctrl-C; 0 after SIGTERM, of here or another worker."""
    return 130 if _noted[-1:] == [signal.SIGINT] else 0
