"""Ctrl-C and SIGTERM as a question, so that what is under way can be saved."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def catch_interrupts() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C or SIGTERM into an answer to ask for; the second acts as ever."""
    received: list[int] = []
    former = {}

    def note(number: int, _: object) -> None:
        received.append(number)
        for name, handler in former.items():
            signal.signal(name, handler)

    for name in (signal.SIGINT, signal.SIGTERM):
        former[name] = signal.signal(name, note)
    try:
        yield lambda: bool(received)
    finally:
        for name, handler in former.items():
            signal.signal(name, handler)
