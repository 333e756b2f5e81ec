"""How do speed and memory of a training step grow with batch, width, branches and replicas?

    python benchmarks/growth.py --json=growth.json --plot=growth.png

The step of a card on random data, one field changed at a time, each in a process of its own, one after the other.
Medians, least and most over the steps; the first step, which traces and compiles; the largest resident memory.
"""

import resource
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import figures_file
import in_turn
from absl import flags

from stackgan_tf import cards, program, text
from stackgan_tf.config import Config
from stackgan_tf.errors import UserError

SWEEPS = ("batch", "width", "branches", "replicas")

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", "oxford102", "As in stackgan_tf.train.")
flags.DEFINE_string("model", "v2", "As in stackgan_tf.train.")
flags.DEFINE_multi_string("set", [], "Changes one field of the card: section.field=value. May be repeated.")
flags.DEFINE_string("precision", "mixed_bfloat16", "As in stackgan_tf.train.")
flags.DEFINE_list("batch", ["1", "2", "4", "8", "12", "24", "48"], "Images of a step.")
flags.DEFINE_list("width", ["8", "16", "32", "64"], "Of gf and df.")
flags.DEFINE_list("branches", ["1", "2", "3", "4", "5"], "Scales.")
flags.DEFINE_list("replicas", ["1", "2"], "Logical devices that share this machine's cores.")
flags.DEFINE_integer("other_batch", 12, "Images of a step where the batch is not what changes.")
flags.DEFINE_integer("other_width", 16, "gf and df where more branches or replicas are what changes.")
flags.DEFINE_integer("steps", 5, "Steps that are timed, after the first one and one more.")
flags.DEFINE_string("plot", None, "A new file for the plot: .png, .svg or .pdf.")
flags.DEFINE_integer("devices", 0, "Of a process that is measured, which the benchmark starts itself.")


class Point(NamedTuple):
    """One process: what is changed, to what, the fields of the card, and its logical devices."""

    sweep: str
    value: str
    fields: list[str]
    devices: int = 1


def configuration(fields: list[str]) -> Config:
    """The card with these fields changed."""
    return text.resolved(cards.build(cards.find(FLAGS.dataset, FLAGS.model).values, fields))[0]


def points() -> list[Point]:
    """Every process, in its turn."""
    in_precision = f"train.precision={FLAGS.precision}"
    others = [f"train.batch_size={FLAGS.other_batch}", in_precision]
    narrow = [f"model.gf={FLAGS.other_width}", f"model.df={FLAGS.other_width}", *others]
    found = [Point("batch", n, [f"train.batch_size={n}", in_precision]) for n in FLAGS.batch]
    found += [Point("width", n, [f"model.gf={n}", f"model.df={n}", *others]) for n in FLAGS.width]
    found += [Point("branches", n, [*narrow, f"model.branches={n}"]) for n in FLAGS.branches]
    return found + [Point("replicas", n, narrow, int(n)) for n in FLAGS.replicas]


def measured(devices: int) -> NoReturn:
    """The process of one point."""
    import tensorflow as tf
    from random_data import random_batch

    from stackgan_tf.distribution import make_strategy
    from stackgan_tf.training import precision
    from stackgan_tf.training.state import TrainState
    from stackgan_tf.training.step import TrainStep

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    config = precision.resolved(configuration(FLAGS.set), Path())
    size = config.train.batch_size
    strategy = make_strategy(size)
    step = TrainStep(TrainState(config, strategy, steps_per_epoch=1000), strategy, config)
    rows = size // devices
    batch = random_batch(config)
    shared = strategy.experimental_distribute_values_from_function(
        lambda context: tf.nest.map_structure(
            lambda v: v if v is None else v[context.replica_id_in_sync_group * rows :][:rows], batch
        )
    )

    def seconds() -> float:
        start = time.perf_counter()
        step(shared)["g/loss"].numpy()
        return time.perf_counter() - start

    def turn() -> dict[str, Any]:
        first, _, *others = (seconds() for _ in range(2 + FLAGS.steps))
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"first_step_s": first, "images_per_s": [size / s for s in others], "largest_bytes": largest}

    in_turn.answer(turn)


def main() -> int:
    """The table, the plot and the file; the exit code."""
    program.load_tensorflow()
    if FLAGS.devices:
        measured(FLAGS.devices)
    from stackgan_tf.distribution import check_divides

    program.check_at_least(steps=1, other_batch=1, other_width=1)
    figures_file.check()
    check_plot()
    for name in SWEEPS:
        if wrong := [value for value in FLAGS[name].value if not value.isdecimal() or int(value) < 1]:
            raise UserError(f"--{name}={wrong[0]}: is no number from 1 on")
    for point in points():
        check_divides(configuration([*FLAGS.set, *point.fields]).train.batch_size, point.devices)
    found = []
    print("| | | images/s | least, most | first step, s | memory, GB |\n| --- | --- | --- | --- | --- | --- |")
    for sweep, value, fields, devices in points():
        process = in_turn.Process(f"--devices={devices}", *(f"--set={field}" for field in fields))
        process.ready()
        process.begin()
        figures = process.measured()
        in_turn.end([process])
        speeds, first, memory = figures["images_per_s"], figures["first_step_s"], figures["largest_bytes"] / 1e9
        least = f"{min(speeds):.4g}, {max(speeds):.4g}"
        print(
            f"| {sweep} | {value} | {statistics.median(speeds):.4g} | {least} | {first:.1f} | {memory:.1f} |",
            flush=True,
        )
        found.append({"sweep": sweep, "value": int(value), **figures})
        figures_file.save(("dataset", "model", "set", "precision", "other_batch", "other_width"), found)
    if FLAGS.plot:
        plot(found)
    return 0


def check_plot() -> None:
    """Whether the plot may be written.

    Raises:
        UserError: it is there already, it is no picture's name, or its folder is not there.
    """
    if not FLAGS.plot:
        return
    file = Path(FLAGS.plot)
    if file.exists():
        raise UserError(f"--plot={file}: is there already; name another file")
    if file.suffix not in (".png", ".svg", ".pdf") or not file.parent.is_dir():
        raise UserError(f"--plot={file}: cannot be written; name a .png, .svg or .pdf in a folder that is there")


def plot(found: list[dict[str, Any]]) -> None:
    """A panel for each field that is changed: images a second, and from least to most."""
    import matplotlib.pyplot as plt

    shown = [sweep for sweep in SWEEPS if any(one["sweep"] == sweep for one in found)]
    figure, panels = plt.subplots(1, len(shown), figsize=(3.2 * len(shown), 3), squeeze=False, layout="constrained")
    for sweep, panel in zip(shown, panels[0], strict=True):
        values, speeds = zip(*((p["value"], p["images_per_s"]) for p in found if p["sweep"] == sweep), strict=True)
        medians = [statistics.median(s) for s in speeds]
        panel.fill_between(values, [min(s) for s in speeds], [max(s) for s in speeds], alpha=0.2)
        panel.plot(values, medians, marker="o")
        if sweep in ("batch", "width"):
            panel.set_xscale("log", base=2)
        if sweep in ("width", "branches"):
            panel.set_yscale("log")
            panel.set_yticks(medians, [f"{median:.3g}" for median in medians])
        else:
            panel.set_ylim(bottom=0)
        panel.set_xticks(values, [str(v) for v in values])
        panel.minorticks_off()
        panel.set(xlabel=sweep, ylabel="images/s")
        panel.grid(alpha=0.3)
    figure.savefig(FLAGS.plot, dpi=100)


if __name__ == "__main__":
    program.run(main)
