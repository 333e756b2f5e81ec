"""How every `python -m` program starts and ends: one line and exit code 2 for a user's mistake."""

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags, logging

from stackgan_tf.errors import UserError
from stackgan_tf.interrupts import Terminated

PACKAGE = os.path.join(os.path.dirname(__file__), "")


def run(main: Callable[[], int]) -> None:
    """Parses the flags, calls `main` and ends with the exit code that it returns."""
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(_is_ours_or_serious)
    app.run(lambda _: leave(_guarded(main)), flags_parser=_parse)


def load_tensorflow() -> None:
    """Imports TensorFlow without the lines on its own build that it writes before any log level holds."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        importlib.import_module("tensorflow")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def check_at_least(**least: int) -> None:
    """Whether these flags, where they are given, are no smaller.

    Raises:
        UserError: one is.
    """
    for name, smallest in least.items():
        value = flags.FLAGS[name].value
        if value is not None and value < smallest:
            raise UserError(f"--{name}={value}: must be at least {smallest}")


def leave(code: int) -> NoReturn:
    """Ends the process at once.

    The interpreter's own end waits for the threads of an input pipeline, which may wait for the interpreter.
    """
    logging.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _is_ours_or_serious(record: logging.logging.LogRecord) -> bool:
    serious = logging.logging.ERROR if "tensorflow_datasets" in record.pathname else logging.logging.WARNING
    return record.pathname.startswith(PACKAGE) or record.levelno >= serious


def _guarded(main: Callable[[], int]) -> int:
    try:
        return main()
    except UserError as error:
        return _refuse(str(error))
    except Terminated:
        sys.stderr.write("terminated; the same command goes on\n")
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except Exception as error:
        if isinstance(error, OSError) and (error.filename or error.errno == errno.ENOSPC):
            return _refuse(f"{error.filename or 'a file'}: {error.strerror}")
        traceback.print_exc()
        return 1


def _refuse(message: str) -> int:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return 2


def _parse(arguments: Sequence[str]) -> list[str]:
    try:
        rest = flags.FLAGS(arguments)
    except flags.Error as error:
        leave(_refuse(f"{error} (--help lists the flags)"))
    if rest[1:]:
        leave(_refuse(f"{rest[1]!r}: flags only, as in --name=value (--help lists them)"))
    return rest
