"""One run at a time in a run directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from absl import logging

from stackgan_tf.errors import UserError


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Keeps other processes of this machine from training in a run directory.

    Makes it, and takes it and what it made above it away again where nothing comes of it. The lock is on the folder
    itself: it leaves no file, and ends with the process, however that ends.

    Raises:
        UserError: another process has it, or it cannot be made.
    """
    anew = [path for path in (run_dir, *run_dir.parents) if not path.exists()]
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        folder = os.open(run_dir, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"--run_dir={run_dir}: cannot be made ({error.strerror})") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise UserError(
            f"--run_dir={run_dir}: another process trains in it; wait for its end, or name another folder"
        ) from None
    except OSError as error:  # a file system without locks
        logging.warning("%s: cannot be locked (%s); do not begin a second run in it", run_dir, error.strerror)
    try:
        yield
    finally:
        with suppress(OSError):  # it is not empty
            for path in anew:
                path.rmdir()
        os.close(folder)
