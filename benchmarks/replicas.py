"""What does a strategy cost? One card at one global batch on the same two cores, shared among more and more replicas.

    python benchmarks/replicas.py --data_dir=DIR

One replica; two logical devices of one process; two and four processes that speak over loopback, as TF_CONFIG names
them. The real step of the real input pipeline, without logs and saves. All are started first, then take turns, while
the others wait: medians over the rounds, and of the ratios to one replica. Beside other work more processes get a
larger share of the cores; the processor's time, of all processes together, is then the figure to look at.
"""

import json
import os
import socket
import statistics
import time
from functools import partial
from pathlib import Path
from typing import NoReturn

import in_turn
from absl import flags, logging

from stackgan_tf import cards, cluster, program
from stackgan_tf import config as configs

WAYS = {  # processes, logical devices of each
    "1 replica": (1, 1),
    "2 devices of one process": (1, 2),
    "2 processes": (2, 1),
    "4 processes": (4, 1),
}
CORES = 2

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", "shapes", "As in stackgan_tf.train.")
flags.DEFINE_string("model", "v2", "As in stackgan_tf.train.")
flags.DEFINE_multi_string("set", [], "Changes one field of the card: section.field=value. May be repeated.")
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "Where the prepared data set is.")
flags.DEFINE_integer("steps", 10, "Steps of a turn.")
flags.DEFINE_integer("rounds", 9, "Turns of each, of which the median counts; one more warms up.")
flags.DEFINE_integer("devices", 0, "Of a process that is measured, which the benchmark starts itself.")


class Way:
    """The processes of one way, started and waiting for their turn."""

    def __init__(self, processes: int, devices: int) -> None:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(processes)]
        addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
        for s in sockets:
            s.close()
        self.processes = []
        for index in range(processes):
            cluster_ = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment = {cluster.VARIABLE: json.dumps(cluster_)} if processes > 1 else {}
            self.processes.append(in_turn.Process(f"--devices={devices}", environment=environment))
        for process in self.processes:
            process.ready()

    def turn(self) -> tuple[float, float]:
        """Seconds that its steps take, until the last process has done them, and those of the processor."""
        for process in self.processes:
            process.begin()
        seconds, of_processor = zip(*(process.measured() for process in self.processes), strict=True)
        return max(seconds), sum(of_processor)


def measured(devices: int) -> NoReturn:
    """One of the processes: its steps, turn by turn."""
    import tensorflow as tf

    from stackgan_tf import distribution, text, workers
    from stackgan_tf.data.embeddings import Embeddings
    from stackgan_tf.data.pipeline import BatchPlan, training_batches
    from stackgan_tf.data.prepare import prepare
    from stackgan_tf.data.records import Records
    from stackgan_tf.training import precision
    from stackgan_tf.training.state import TrainState
    from stackgan_tf.training.step import TrainStep

    logging.set_verbosity(logging.WARNING)
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    given, members = cards.build(cards.find(FLAGS.dataset, FLAGS.model).values, FLAGS.set), cluster.from_environment()
    size, said = given.train.batch_size, configs.said(given)
    strategy = workers.join(members, size, said, 600) if members else distribution.make_strategy(size)
    config, encoder = text.resolved(precision.resolved(given, Path()))
    records = Records(prepare(FLAGS.dataset, Path(FLAGS.data_dir)), "train")
    plan = BatchPlan(records, config, Embeddings(records, encoder) if encoder else None)
    step = TrainStep(TrainState(config, strategy, len(records) // size), strategy, config)
    batches = iter(strategy.distribute_datasets_from_function(partial(training_batches, plan, 0)))

    def steps() -> list[float]:
        start, before = time.perf_counter(), time.process_time()
        for _ in range(FLAGS.steps):
            metrics = step(next(batches))
        metrics["g/loss"].numpy()
        return [time.perf_counter() - start, time.process_time() - before]

    in_turn.answer(steps)


def main() -> int:
    """The table; the exit code."""
    program.load_tensorflow()
    if FLAGS.devices:
        measured(FLAGS.devices)
    from stackgan_tf.distribution import check_divides

    program.check_at_least(steps=1, rounds=1)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # the processes inherit it
    os.environ.pop(cluster.VARIABLE, None)
    batch_size = cards.build(cards.find(FLAGS.dataset, FLAGS.model).values, FLAGS.set).train.batch_size
    for processes, devices in WAYS.values():
        check_divides(batch_size, processes * devices)
    ways = {name: Way(*counts) for name, counts in WAYS.items()}
    taken = {name: [] for name in ways}
    for round_ in range(1 + FLAGS.rounds):
        for name, way in ways.items():
            took = way.turn()
            if round_:
                taken[name].append(took)
    in_turn.end([process for way in ways.values() for process in way.processes])
    images, base = batch_size * FLAGS.steps, taken[next(iter(taken))]
    print(f"{batch_size} images a step, {FLAGS.steps} steps a turn, {FLAGS.rounds} rounds, {CORES} cores\n")
    print("| | images per second | least, most | of one replica | processor, ms an image | of one replica |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, turns in taken.items():
        speeds, costs = [images / wall for wall, _ in turns], [1000 * cpu / images for _, cpu in turns]
        faster, dearer = (statistics.median(ratios) for ratios in zip(*map(_ratios, turns, base), strict=True))
        print(
            f"| {name} | {statistics.median(speeds):.1f} | {min(speeds):.1f}, {max(speeds):.1f} | {faster:.3f} "
            f"| {statistics.median(costs):.1f} | {dearer:.3f} |"
        )
    return 0


def _ratios(turn: tuple[float, float], base: tuple[float, float]) -> tuple[float, float]:
    """Of speeds, and of the processor's time."""
    return base[0] / turn[0], turn[1] / base[1]


if __name__ == "__main__":
    program.run(main)
