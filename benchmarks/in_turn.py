"""Processes that are measured in turn: all are started first, then each waits while another one has its turn."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn


class Process:
    """This same benchmark, started with more flags and environment. It must come to `answer`.

    It starts at once, and is ready when `ready` returns.
    """

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen([sys.executable, *sys.argv, *arguments], env=environment, text=True, **pipes)

    def ready(self) -> None:
        """Waits until it can be measured."""
        self._line()

    def begin(self) -> None:
        """Gives it a turn."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def measured(self) -> Any:
        """What it measured in its turn."""
        return json.loads(self._line())

    def close(self) -> None:
        """Lets it go, without waiting for its end."""
        self._process.stdin.close()

    def wait(self) -> None:
        """Until it has ended."""
        self._process.wait()

    def _line(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            sys.exit(self._process.wait())  # it has said why
        return line


def end(processes: Collection[Process]) -> None:
    """Lets all go at once: those of a cluster must not see each other leave."""
    for process in processes:
        process.close()
    for process in processes:
        process.wait()


def answer(measure: Callable[[], Any]) -> NoReturn:
    """What a measured process does: says that it is ready, then for each turn what it measured, as JSON."""
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)
    os._exit(0)  # an input pipeline's threads may hold the interpreter's own end
