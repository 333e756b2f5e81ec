"""TensorBoard's file of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from stackgan_tf.checkpoint_files import reason_of


class Events:
    """TensorBoard's file. Behind a record that was cut short nothing is read: after one a new file is begun.

    Numbers go to TensorFlow as NumPy's: of Python's it keeps every one that it has met, for as long as it runs.
    """

    def __init__(self, run_dir: Path) -> None:
        self.folder = str(run_dir / "tensorboard")
        self.writer: tf.summary.SummaryWriter | None = None

    @contextmanager
    def at(self, step: int) -> Iterator[None]:
        """Summaries of a step, on the disk at the end.

        Raises:
            OSError: they cannot be written.
        """
        with self._told():
            self.writer = self.writer or tf.summary.create_file_writer(self.folder)
            with self.writer.as_default(np.int64(step)):
                yield

    def close(self) -> None:
        """No more will come.

        Raises:
            OSError: what is left cannot be written.
        """
        if self.writer:
            with self._told():
                self.writer.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            self.writer = None
            raise OSError(reason_of(error)) from None
