"""Builds a data set once, for any number of runs.

    python -m stackgan_tf.prepare --dataset=cub --source_dir=DIR
    python -m stackgan_tf.prepare --dataset=folder --source_dir=MY_IMAGES --skip_broken
    python -m stackgan_tf.prepare --dataset=lsun_church --source_dir=DIR --beam_options=--direct_num_workers=2

`stackgan_tf.train` does so by itself where it must. A big set is built by Beam, on any of its runners.
"""

import sys
from pathlib import Path

from absl import flags

from stackgan_tf import program
from stackgan_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", None, "Data set: a module of stackgan_tf/data/builders.")
flags.DEFINE_string("source_dir", None, "The folder of the images and captions as you have them.")
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "Where prepared data sets are kept.")
flags.DEFINE_bool(
    "skip_broken", False, "Leave out images and captions that cannot be used; they are named and counted."
)
flags.DEFINE_multi_string("beam_options", [], "An option of the Beam pipeline of a big set. May be repeated.")
flags.DEFINE_bool("verify", False, "Read and decode all of it.")


def main() -> int:
    """Flags in, a prepared data set out; the exit code."""
    if not FLAGS.dataset:
        raise UserError("--dataset is missing, as in --dataset=oxford102")
    program.load_tensorflow()
    from stackgan_tf.data.prepare import prepare, summary, verify

    source_dir = Path(FLAGS.source_dir) if FLAGS.source_dir else None
    builder = prepare(FLAGS.dataset, Path(FLAGS.data_dir), source_dir, FLAGS.skip_broken, FLAGS.beam_options)
    if FLAGS.verify:
        verify(builder)
    sys.stdout.write(f"{summary(builder)}\n{'verified' + chr(10) if FLAGS.verify else ''}")
    return 0


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
