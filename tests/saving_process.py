"""Saves again and again, every number the step, until it is killed: `python -m tests.saving_process DIR`."""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from stackgan_tf.checkpoint import Checkpoints, latest


def parts_of(size):
    """The parts of a state in small."""
    vector = {"m": tf.Variable(tf.zeros([size]))}
    network = {"layer/kernel": tf.Variable(tf.zeros([size]))}
    return {"network": network, "optimizers": [vector], "step": tf.Variable(0, dtype=tf.int64)}


def value_in(path):
    """The one number in a checkpoint; an error where there is another one in it."""
    reader = tf.train.load_checkpoint(path)
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    (value,) = {float(v) for name in names for v in np.unique(reader.get_tensor(name))}
    return value


def main(folder):
    parts = parts_of(size=2_000_000)
    checkpoints = Checkpoints(folder, parts, keep=2)
    if latest(folder):
        checkpoints.restore()
    while True:
        for variable in tf.nest.flatten(parts):
            variable.assign_add(tf.ones_like(variable))
        checkpoints.save()
        sys.stdout.write(f"{int(parts['step'])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
