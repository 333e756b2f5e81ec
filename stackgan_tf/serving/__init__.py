"""What a model server is asked over the network; how, one protocol a file, found by the file's name."""

import dataclasses
import importlib
import itertools
import pkgutil
import random
import re
import textwrap
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from absl import logging

from stackgan_tf.errors import UserError

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds, at most, before the first retry and before any
HOST = re.compile(r"(?P<name>[\w.-]+|\[[\da-fA-F:.]+\])(:(?P<port>\d{1,5}))?", re.ASCII)
MESSAGE = 300  # characters of what a server says

Answer = TypeVar("Answer")


class Busy(Exception):
    """The server cannot answer now, and may later."""


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a model is served; with neither version nor label, the server's newest version of it.

    Raises:
        UserError: a value that no server could have.
    """

    host: str  # HOST or HOST:PORT
    model: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        match = HOST.fullmatch(self.host)
        if not match or int(match["port"] or 1) not in range(1, 2**16):
            raise UserError(f"--host={self.host}: must be HOST or HOST:PORT, as in localhost:8500")
        if not self.model or not self.model.isprintable() or set(self.model) & set("/:"):
            raise UserError(f"--model={self.model!r}: must be a name without / and :")
        if self.label is not None and not re.fullmatch(r"\w+", self.label, re.ASCII):
            raise UserError(f"--label={self.label!r}: must be of letters, digits and _")
        if self.version is not None and self.label is not None:
            raise UserError("--version, --label: give one of the two, or neither for the newest version")

    def __str__(self) -> str:
        asked = {"model": self.model, "version": self.version, "label": self.label}
        return " ".join(f"--{name}={value}" for name, value in asked.items() if value is not None)

    def place(self, port: int) -> str:
        """HOST:PORT, with this port where none is given."""
        return self.host if HOST.fullmatch(self.host)["port"] else f"{self.host}:{port}"


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a model can be asked under one name: shapes of the inputs, -1 of any size, and names of the outputs."""

    name: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Sequence[str]


class Server(ABC):
    """A model of a server. Each file has a subclass `Client`.

    Args:
        deadline_seconds: of one request with all of its retries.
    """

    PORT: int  # of TensorFlow Serving, where the address has none

    def __init__(self, address: Address, deadline_seconds: float) -> None:
        self.address, self.place = address, address.place(self.PORT)
        self._deadline = deadline_seconds

    def signatures(self) -> dict[str, Signature]:
        """The model's signatures by name.

        Raises:
            UserError: the server does not have the model, or does not answer in time or as a model server does.
        """
        return read_signatures(self._patiently(self._metadata), self.place)

    def png_files(self, signature: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, list[bytes]]:
        """Asks one batch: `{input: [B, ...]}`, text as bytes -> `{output: B files}`.

        Raises:
            UserError: the server refuses, or does not answer in time or with files.
        """
        return self._patiently(lambda seconds: self._predict(signature, inputs, seconds))

    def refusal(self, why: str, message: str) -> UserError:
        """What the server says of a request that no retry would help."""
        return UserError(f"{self.address} at {self.place}: {why}: {_short(message)}")

    def too_late(self) -> UserError:
        """No answer within the deadline."""
        return UserError(f"--deadline_seconds={self._deadline:g}: {self.place} has not answered in time")

    @abstractmethod
    def _metadata(self, seconds: float) -> Any:
        """The server's GetModelMetadata as JSON values. Raises Busy."""

    @abstractmethod
    def _predict(
        self, signature: Signature, inputs: Mapping[str, np.ndarray], seconds: float
    ) -> dict[str, list[bytes]]:
        """As `png_files`, once. Raises Busy."""

    def _patiently(self, ask: Callable[[float], Answer]) -> Answer:
        """Asks until the deadline, of which `ask` gets the seconds left, after longer and longer pauses.

        Source: pauses at random from 0 up to a doubling limit, "full jitter" of Brooker, "Exponential Backoff and
        Jitter", AWS Architecture Blog 2015: clients that were refused together do not come again together.
        """
        end = time.monotonic() + self._deadline
        for attempt in itertools.count(1):
            try:
                return ask(max(end - time.monotonic(), 0.001))
            except Busy as error:
                pause = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1)))
                if time.monotonic() + pause >= end:
                    tried = f"asked {attempt} times in {self._deadline:g} seconds"
                    raise UserError(f"--host={self.place}: cannot answer: {_short(error)} ({tried})") from None
                if attempt == 1:
                    logging.warning("%s: %s; trying again", self.place, _short(error))
                time.sleep(pause)


def read_signatures(metadata: Any, place: str) -> dict[str, Signature]:
    """What a model can be asked, by the JSON values of its GetModelMetadata.

    Raises:
        UserError: they are something else.
    """
    try:
        found = metadata["metadata"]["signature_def"]["signature_def"]
        return {name: _signature(name, signature) for name, signature in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"--host={place}: does not describe its model as TensorFlow Serving does") from None


def _signature(name: str, described: dict[str, Any]) -> Signature:
    # In the JSON of protocol buffers what is unset may be left out, and int64, as of a size, is a string.
    inputs = {key: tensor.get("tensor_shape", {}).get("dim", []) for key, tensor in described.get("inputs", {}).items()}
    shapes = {key: tuple(int(dim.get("size", 0)) for dim in dims) for key, dims in inputs.items()}
    return Signature(name, shapes, sorted(described.get("outputs", {})))


def _short(message: object) -> str:
    return textwrap.shorten(str(message), MESSAGE, placeholder=" ...")


def names() -> list[str]:
    """The protocols that there are."""
    return [module.name for module in pkgutil.iter_modules(__path__)]


def connect(protocol: str, address: Address, deadline_seconds: float = 60.0) -> Server:
    """A model by the protocol of `stackgan_tf/serving/<protocol>.py`; nothing is sent yet.

    Raises:
        UserError: there is no such protocol (names those that exist), or it needs what is not installed.
    """
    if protocol not in names():
        raise UserError(f"--protocol={protocol}: unknown; choose from {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{protocol}").Client(address, deadline_seconds)
