"""The flags that say whose pictures they shall be: those of a run, or of a model that comes with the repository."""

import sys
from pathlib import Path

from absl import flags

from stackgan_tf import pretrained, program
from stackgan_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "The run directory that python -m stackgan_tf.train left.")
flags.DEFINE_string(
    "pretrained", None, "In place of --run_dir: a trained model of the repository, such as oxford102_v2; list: which."
)


def chosen(or_else: str = "") -> Path:
    """The run directory that the flags name. With `--pretrained=list` it tells which there are, and ends the program.

    Args:
        or_else: a third way that the program has, for the message.

    Raises:
        UserError: none is named, or two, or there is no model of the name.
    """
    if FLAGS.pretrained == "list":
        sys.stdout.write(pretrained.listing())
        program.leave(0)
    if FLAGS.run_dir and FLAGS.pretrained:
        raise UserError(f"--run_dir={FLAGS.run_dir}, --pretrained={FLAGS.pretrained}: give one of the two")
    if FLAGS.pretrained:
        return pretrained.find(FLAGS.pretrained)
    if not FLAGS.run_dir:
        raise UserError(
            "--run_dir is missing: the folder that python -m stackgan_tf.train left; or give --pretrained=NAME"
            + or_else
        )
    return pretrained.folder_of(FLAGS.run_dir)
