"""How much memory does a training step take, and what does saving memory cost in time?

    python benchmarks/memory.py --set=model.gf=16 --set=model.df=16

A card's whole training state and its step, on random data. Every way of saving memory is a process of its own, so that
peaks do not mix. Counted is the most memory that the process ever held (ru_maxrss): once when the step was traced, with
Python, TensorFlow, weights, Adam's moments and the graph, and once at the end. Between the two lie the optimized graph
and a step's tensors. TensorFlow's oneDNN allocator keeps and scatters what it frees, and so does glibc's; both are told
to give back whatever has 64 KiB or more, which takes time in every row. --as_is leaves them as in training, where peaks
may be higher. Threads run in another order each time: a peak is true to about a tenth. GPU memory is not counted.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from absl import flags

from stackgan_tf import cards, program, text
from stackgan_tf.config import Config

WAYS = {
    "plain": (),
    "accumulate=2": ("train.accumulate=2",),
    "accumulate=4": ("train.accumulate=4",),
    "recompute": ("train.recompute=true",),
    "recompute, accumulate=4": ("train.recompute=true", "train.accumulate=4"),
}
GIVING_BACK = {"TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", "oxford102", "As in stackgan_tf.train.")
flags.DEFINE_string("model", "v2", "As in stackgan_tf.train.")
flags.DEFINE_multi_string("set", [], "Changes one field of every run: section.field=value. May be repeated.")
flags.DEFINE_integer("steps", 3, "Timed steps, of which the median counts; one more comes first.")
flags.DEFINE_bool("as_is", False, "Leaves the allocators as they are.")
flags.DEFINE_enum("way", None, list(WAYS), "Measures this one, in this process, and prints its figures as JSON.")


def configuration(way: str) -> Config:
    """The card with what the flags and a way change."""
    return cards.build(cards.find(FLAGS.dataset, FLAGS.model).values, (*FLAGS.set, *WAYS[way]))


def measured(way: str) -> dict[str, float]:
    """GiB when the step was traced and at the peak, and seconds a step."""
    import tensorflow as tf
    from random_data import random_batch

    from stackgan_tf.distribution import make_strategy
    from stackgan_tf.training import precision
    from stackgan_tf.training.state import TrainState
    from stackgan_tf.training.step import TrainStep

    config, _ = text.resolved(precision.resolved(configuration(way), Path()))
    strategy = make_strategy(config.train.batch_size)
    step = TrainStep(TrainState(config, strategy, steps_per_epoch=1000), strategy, config)
    data = tf.data.Dataset.from_tensors(random_batch(config))
    batch = next(iter(strategy.experimental_distribute_dataset(data)))
    step.__call__.get_concrete_function(batch)
    before, seconds = peak(), []
    for _ in range(FLAGS.steps + 1):
        began = time.perf_counter()
        float(step(batch)["g/loss"])
        seconds.append(time.perf_counter() - began)
    return {"before": before, "peak": peak(), "seconds": statistics.median(seconds[1:])}


def peak() -> float:
    """Of this process until now, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> int:
    """Prints a row for each way; the exit code."""
    if FLAGS.way:
        program.load_tensorflow()
        print(json.dumps(measured(FLAGS.way)))
        return 0
    program.check_at_least(steps=1)
    for way in WAYS:
        configuration(way)  # a wrong one is told before the first is measured
    print("| | before the first step, GiB | peak, GiB | a step, s |\n| --- | --- | --- | --- |")
    for way in WAYS:
        command = [sys.executable, *sys.argv, f"--way={way}"]
        environment = os.environ | ({} if FLAGS.as_is else GIVING_BACK)
        ended = subprocess.run(command, stdout=subprocess.PIPE, env=environment)
        if ended.returncode:
            return ended.returncode  # it has said why
        row = json.loads(ended.stdout)
        print(f"| {way} | {row['before']:.2f} | {row['peak']:.2f} | {row['seconds']:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    program.run(main)
