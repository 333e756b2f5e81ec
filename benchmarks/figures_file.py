"""`--json`: a benchmark's figures in a file, beside its table."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from absl import flags

from stackgan_tf.errors import UserError
from stackgan_tf.files import write_whole

FLAGS = flags.FLAGS
flags.DEFINE_string("json", None, "A new file for every figure of every round.")


def check() -> None:
    """Whether the figures may be written, and nothing is overwritten.

    Raises:
        UserError: the file is there already, or its folder is not.
    """
    file = FLAGS.json
    if file and Path(file).exists():
        raise UserError(f"--json={file}: is there already; name another file")
    if file and not os.access(Path(file).parent, os.W_OK):
        raise UserError(f"--json={file}: cannot be written; name a file in a folder that you may write to")


def save(asked: Iterable[str], rounds: Any) -> None:
    """What there is until now, in the file that was asked for, with the flags of these names."""
    if FLAGS.json:
        told = {"flags": {name: FLAGS[name].value for name in asked}, "rounds": rounds}
        write_whole(Path(FLAGS.json), json.dumps(told, indent=1))
