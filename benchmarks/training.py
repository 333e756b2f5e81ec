"""How fast do training and sampling go, where does a step's time go, and what could this machine do?

    python benchmarks/training.py --peer="PYTHON peer.py" --json=training.json

The whole step of a card on random data, sampling with its average, and the parts of a step each by itself, in every
precision asked for; beside them a peer, any program that takes --batch, --steps and --precision=float32|bfloat16 and
prints one line of JSON with `train_images_per_s` and `sample_images_per_s`. All take turns; a table of medians, least
and most over the rounds, and of the ratios within a round. The ceilings are products of two 4096 x 4096 matrices and a
3 x 3 convolution of 128 channels at 64 x 64 pixels with both of its gradients, measured in the same rounds. All on one
device. What an image takes is counted in the plain step, as the networks are written: what the step saves by other ways
to the same numbers counts as speed.

The parts overlap: an update of G passes through every D. The optimizer's part is Adam, norms and finite tests.
"""

import json
import shlex
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn
from unittest import mock

import figures_file
import in_turn
from absl import flags

from stackgan_tf import cards, program, text
from stackgan_tf.config import Config
from stackgan_tf.errors import UserError

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
PEER = {"training": "train_images_per_s", "sampling": "sample_images_per_s"}
SIDE = 4096  # of the matrices
GFLOP = "GFLOP an image"
CEILINGS = ("products", "convolutions and their gradients")
UNITS = dict.fromkeys(PEER, "images/s") | dict.fromkeys(CEILINGS, "GFLOP/s")

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", "oxford102", "As in stackgan_tf.train.")
flags.DEFINE_string("model", "v2", "As in stackgan_tf.train.")
flags.DEFINE_integer("batch_size", 12, "Images of a step, and of a call that samples.")
flags.DEFINE_multi_string("set", [], "Changes one field of the card: section.field=value. May be repeated.")
flags.DEFINE_list("precisions", ["float32", "bfloat16"], f"Of {', '.join(PRECISIONS)}.")
flags.DEFINE_string("peer", None, "A command to compare with; see above.")
flags.DEFINE_integer("steps", 2, "Steps of a turn.")
flags.DEFINE_integer("rounds", 5, "Turns of each, of which the median counts; one more warms up.")
flags.DEFINE_string("measure", None, "The precision of a process that is measured, which the benchmark starts itself.")

Figures = dict[str, float]


def configuration(precision: str) -> Config:
    """The card with what the flags change."""
    values, named = cards.find(FLAGS.dataset, FLAGS.model).values, PRECISIONS[precision]
    return text.resolved(cards.build(values, FLAGS.set, batch_size=FLAGS.batch_size, precision=named))[0]


def measured(precision: str) -> NoReturn:
    """The process of one precision: figures by name, turn by turn."""
    import tensorflow as tf
    from random_data import random_batch

    from stackgan_tf.training.ema import update_average
    from stackgan_tf.training.state import TrainState
    from stackgan_tf.training.step import Part, TrainStep, draw_augmentation, draw_noise

    config = configuration(precision)
    size, dtype = config.train.batch_size, precision
    strategy = tf.distribute.get_strategy()
    state = TrainState(config, strategy, steps_per_epoch=1000)
    step = TrainStep(state, strategy, config)

    batch = random_batch(config)
    noise = draw_noise(state.generator.noise_sizes, size, 0, tf.constant(0, tf.int64))
    words = {} if batch.text_embedding is None else {"text_embedding": batch.text_embedding}
    part = Part(batch, noise, draw_augmentation(size, len(state.discriminators), 0, tf.constant(0, tf.int64)), size - 1)
    drawn = state.generator(**noise, **words, training=True)
    gradients = {n: [tf.zeros(v.shape) for v in o.adam.m.values()] for n, o in state.optimizers.items()}
    x, kernel = tf.zeros((size, 64, 64, 128), dtype), tf.zeros((3, 3, 128, 128), dtype)
    matrix = tf.zeros((SIDE, SIDE), dtype)

    def taught() -> list[tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            return step._generator_share(part, step._generate(part, tape), tape).gradients

    def convolved() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = tf.nn.conv2d(x, kernel, 1, "SAME")
        return tape.gradient(y, [x, kernel])

    def traced(function: Callable[[], Any]) -> Callable[[], Any]:
        return tf.function(function, autograph=False)

    whole = {"training": lambda: step(batch), "sampling": traced(lambda: state.average(**noise, **words).images)}
    parts = {"G forward": traced(lambda: step._generate(part).images)}
    parts |= {
        f"D_{i} and its gradient": traced(partial(step._discriminator_share, i, part, drawn, False))
        for i in range(len(state.discriminators))
    }
    parts["G, every D and G's gradient"] = traced(taught)
    parts["optimizers"] = traced(lambda: [o.apply(tf.zeros(()), gradients[n]) for n, o in state.optimizers.items()])
    parts["average"] = traced(lambda: update_average(strategy, state.average, state.generator, 0.999))
    products = traced(lambda: matrix @ matrix), 2 * SIDE**3
    convolutions = traced(convolved), 3 * 2 * 9 * 128 * x.shape.num_elements()
    ceilings = dict(zip(CEILINGS, (products, convolutions), strict=True))
    with tf.Graph().as_default(), mock.patch("stackgan_tf.training.state.quicken"):
        plain = TrainStep(TrainState(config, strategy, steps_per_epoch=1000), strategy, config)
        count = operations(plain.__call__.get_concrete_function(random_batch(config)).graph) / size

    def seconds(function: Callable[[], Any], times: int = 1) -> float:
        start = time.perf_counter()
        for _ in range(times):
            function()
        tf.test.experimental.sync_devices()
        return (time.perf_counter() - start) / times

    def turn() -> dict[str, float]:
        found = {}
        for name, function in whole.items():
            seconds(function)  # warms up, as a peer does in its turn
            found[name] = size / seconds(function, FLAGS.steps)
        found |= {name: seconds(function) for name, function in parts.items()}
        found |= {name: flop / seconds(function) / 1e9 for name, (function, flop) in ceilings.items()}
        return found | {GFLOP: count / 1e9}

    in_turn.answer(turn)


def operations(graph: Any) -> int:
    """Floating-point operations of the convolutions, of their gradients and of the products in a graph."""
    maps_and_kernel = {  # of an operation its feature map on the side of the filters, and its kernel
        "Conv2D": lambda op: (op.outputs[0], op.inputs[1]),
        "Conv2DBackpropInput": lambda op: (op.inputs[2], op.inputs[1]),
        "Conv2DBackpropFilter": lambda op: (op.inputs[2], op.outputs[0]),
    }
    count = 0
    for op in graph.get_operations():
        if op.type in maps_and_kernel:
            maps, kernel = (tensor.shape for tensor in maps_and_kernel[op.type](op))
            count += 2 * maps.num_elements() * kernel.num_elements() // kernel[-1]
        elif op.type == "MatMul":
            summed = op.inputs[0].shape[0 if op.get_attr("transpose_a") else 1]
            count += 2 * op.outputs[0].shape.num_elements() * summed
    return count


def peer_command() -> list[str]:
    """The peer's program and its own arguments; empty where there is none.

    Raises:
        UserError: it is no command, or its program is not there.
    """
    try:
        command = shlex.split(FLAGS.peer or "")
    except ValueError as error:
        raise UserError(f"--peer={FLAGS.peer}: is not a command ({error})") from None
    if command and not shutil.which(command[0]):
        raise UserError(f"--peer={FLAGS.peer}: there is no program {command[0]}")
    return command


def of_peer(command: list[str], precision: str) -> Figures:
    """What the peer prints, started anew for its turn."""
    arguments = [f"--batch={FLAGS.batch_size}", f"--steps={FLAGS.steps}", f"--precision={precision}"]
    ended = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        told = json.loads(ended.stdout.splitlines()[-1])
        return {name: told[key] for name, key in PEER.items()}
    except (ValueError, LookupError, TypeError):
        raise UserError(f"--peer={FLAGS.peer}: exit code {ended.returncode}, printed no such line of JSON") from None


def report(rounds: list[dict[str, Figures]]) -> None:
    """Two tables: every figure, and the ratios within a round."""
    print("| | | median | least, most |\n| --- | --- | --- | --- |")
    for who, figures in rounds[0].items():
        for name in figures:
            values = [one[who][name] for one in rounds]
            unit = "" if name == GFLOP else UNITS.get(name, "s")
            print(f"| {who} | {name} | {statistics.median(values):.4g} {unit} | {min(values):.4g}, {max(values):.4g} |")
    print("\n| ratio | median | least, most |\n| --- | --- | --- |")
    of_rounds = [ratios(one) for one in rounds]
    for name in of_rounds[0]:
        values = [one[name] for one in of_rounds]
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f}, {max(values):.2f} |")


def ratios(one: dict[str, Figures]) -> Figures:
    """Of a round: our speeds to every peer's, and the rate of a step's operations to the ceilings."""
    found: Figures = {}
    peers = [who for who, figures in one.items() if GFLOP not in figures]
    for who, figures in one.items():
        if who in peers:
            continue
        found |= {f"{name}, {who} to {peer}": figures[name] / one[peer][name] for peer in peers for name in PEER}
        rate = figures["training"] * figures[GFLOP]
        found |= {f"a step in {who}, of the rate of {name}": rate / figures[name] for name in CEILINGS}
    return found


def main() -> int:
    """The tables and the file; the exit code."""
    program.load_tensorflow()
    if FLAGS.measure:
        measured(FLAGS.measure)
    program.check_at_least(steps=1, rounds=1, batch_size=2)
    for precision in FLAGS.precisions:
        if precision not in PRECISIONS:
            raise UserError(f"--precisions={precision}: is none of {', '.join(PRECISIONS)}")
        configuration(precision)
    peer = peer_command()
    figures_file.check()
    rounds: list[dict[str, Figures]] = []
    processes = {precision: in_turn.Process(f"--measure={precision}") for precision in FLAGS.precisions}
    for process in processes.values():
        process.ready()
    for number in range(1 + FLAGS.rounds):
        one = {}
        for precision, process in processes.items():
            process.begin()
            one[precision] = process.measured()
            if peer and precision != "float16":
                one[f"peer {precision}"] = of_peer(peer, precision)
        if number:
            rounds.append(one)
            figures_file.save(("dataset", "model", "batch_size", "set", "steps"), rounds)
    in_turn.end(processes.values())
    report(rounds)
    return 0


if __name__ == "__main__":
    program.run(main)
