"""Trains a StackGAN.

    python -m stackgan_tf.train --dataset=shapes
    python -m stackgan_tf.train --dataset=oxford102 --source_dir=DIR --precision=mixed_bfloat16
    python -m stackgan_tf.train --dataset=oxford102 --model=v1_stage1 --set model.gf=64

The configuration is the card configs/<dataset>_<model>.yaml, or --config, with what the flags change. With TF_CONFIG
set, the same command on each machine trains on all of them (configs/clusters/README.md).
"""

import dataclasses
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from absl import flags

from stackgan_tf import cards, cluster, interrupts, program
from stackgan_tf import config as configs
from stackgan_tf.cards import Card
from stackgan_tf.config import Config
from stackgan_tf.config_rules import CHOICES
from stackgan_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", None, "Data set: the first part of a card's name, such as shapes or oxford102.")
flags.DEFINE_string(
    "model",
    None,
    "Model: the rest of a card's name, such as v2, v1_stage1, or v2_no_jcu, an ablation. By "
    "default v2; v2_unconditional for a data set that has no other card.",
)
flags.DEFINE_string("config", None, "A card of your own, in place of the one of --dataset and --model.")
flags.DEFINE_string(
    "preset",
    cards.RELEASED,
    "Where a card is silent: what the released_code does (the default), or what the paper says.",
)
flags.DEFINE_multi_string("set", [], "Changes one field of the card: section.field=value. May be repeated.")
flags.DEFINE_string("source_dir", None, "The folder of the images and captions as you have them.")
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "Where prepared data sets are kept.")
flags.DEFINE_bool(
    "skip_broken", False, "Leave out images and captions that cannot be read; they are named and counted."
)
flags.DEFINE_string("run_dir", None, "What the run leaves goes here; by default runs/<name of the card>.")
flags.DEFINE_string(
    "start_from", None, "A run, or a pretrained model, whose networks training starts from (train.start_from)."
)
flags.DEFINE_string("stage1_run_dir", None, "v1_stage2: the finished Stage-I run (train.stage1_run_dir).")
flags.DEFINE_integer("steps", None, "Training steps in all (train.steps).")
flags.DEFINE_integer("batch_size", None, "Images a step, over all devices (train.batch_size).")
flags.DEFINE_integer("accumulate", None, "Parts that the batch is computed in, to save memory (train.accumulate).")
flags.DEFINE_string("precision", None, f"{', '.join(CHOICES['train.precision'])} (train.precision).")
flags.DEFINE_string("on_nan", None, "Where numbers are no longer finite: stop, or rollback (train.on_nan).")
flags.DEFINE_integer("seed", None, "Of weights, noise and data order (train.seed).")
flags.DEFINE_integer("keep_checkpoints", None, "The newest so many checkpoints stay (train.keep_checkpoints).")
flags.DEFINE_float(
    "keep_every_hours",
    None,
    "Of the older ones, one every so many hours stays for ever; 0, as it is by default: none (train.keep_every_hours).",
)
flags.DEFINE_enum("resume", "auto", ["auto", "never", "must"], "Go on from the newest checkpoint in the run directory.")
flags.DEFINE_integer(
    "peers_deadline_seconds", 600, "Many machines (TF_CONFIG): how long to wait for the others, at first and later."
)
flags.DEFINE_bool("dry_run", False, "Print the configuration, the parameter counts and the memory of a step; end.")

FLAG_FIELDS = (
    "steps",
    "batch_size",
    "accumulate",
    "precision",
    "on_nan",
    "seed",
    "start_from",
    "stage1_run_dir",
    "keep_checkpoints",
    "keep_every_hours",
)


def main() -> int:
    """Flags in, one run out; the exit code."""
    interrupts.raise_on_sigterm()
    card = _card()
    fields = {name: FLAGS[name].value for name in FLAG_FIELDS if FLAGS[name].value is not None}
    config = cards.build(card.values, FLAGS.set, FLAGS.preset, **fields)
    for name, said in ("dataset", config.data.dataset), ("model", config.model.name):
        if FLAGS.config and FLAGS[name].value not in (None, said):
            raise UserError(f"--{name}={FLAGS[name].value}: {FLAGS.config} is a card of {said}; leave the flag out")
    run_dir = Path(FLAGS.run_dir or f"runs/{card.name}").expanduser()
    program.check_at_least(peers_deadline_seconds=1)
    members = None if FLAGS.dry_run else cluster.from_environment()
    if members and FLAGS.resume == "never":
        raise UserError(
            "--resume=never: with TF_CONFIG, workers that have lost another one begin this command again and go on; "
            "leave it out, and name a new --run_dir"
        )
    if members:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the loss of a worker is told below, in one line
    program.load_tensorflow()
    if FLAGS.dry_run:
        return _dry_run(config, run_dir)
    from stackgan_tf import workers

    try:
        with workers.starting_again(members):
            finished = _train(config, run_dir, members)
    except interrupts.Terminated:
        if not members:
            raise
        sys.stderr.write("terminated before anything was saved\n")
        return 128 + signal.SIGTERM  # 0 would tell whatever started this worker that it is done
    if not finished:
        sys.stderr.write(f"interrupted and saved; the same command goes on ({run_dir})\n")
        return interrupts.exit_code()
    sys.stdout.write(f"{run_dir}: step {config.train.steps} is reached; pictures in {run_dir / 'samples'}\n")
    return 0


def _train(config: Config, run_dir: Path, members: cluster.Cluster | None) -> bool:
    from stackgan_tf import distribution, text, workers
    from stackgan_tf.data.prepare import prepare
    from stackgan_tf.training import memory, precision
    from stackgan_tf.training.checks import check
    from stackgan_tf.training.lock import locked
    from stackgan_tf.training.run import train

    if members:
        said = configs.said(config)
        strategy = workers.join(members, config.train.batch_size, said, FLAGS.peers_deadline_seconds)
    else:
        strategy = distribution.make_strategy(config.train.batch_size)
    config, encoder = text.resolved(precision.resolved(config, run_dir), run_dir)
    check(config, run_dir, FLAGS.resume, strategy.num_replicas_in_sync)
    source_dir = Path(FLAGS.source_dir) if FLAGS.source_dir else None
    with ExitStack() as whole_run:
        with workers.chief_first(strategy):
            if workers.is_chief(strategy):
                whole_run.enter_context(locked(run_dir))
            builder = prepare(config.data.dataset, Path(FLAGS.data_dir), source_dir, FLAGS.skip_broken)
        tell = whole_run.enter_context(memory.told(config, run_dir))
        return train(config, encoder, builder, run_dir, FLAGS.resume, strategy, tell)


def _card() -> Card:
    if FLAGS.config:
        path = Path(FLAGS.config).expanduser()
        return Card(path.stem, cards.read(path))
    if not FLAGS.dataset:
        raise UserError("--dataset is missing, as in --dataset=shapes (or --config=FILE)")
    return cards.find(FLAGS.dataset, FLAGS.model or cards.default_model(FLAGS.dataset))


def _dry_run(config: Config, run_dir: Path) -> int:
    import tensorflow as tf

    from stackgan_tf import distribution, networks, text
    from stackgan_tf.data.pipeline import batch_spec
    from stackgan_tf.data.prepare import builder_class
    from stackgan_tf.training import memory, precision
    from stackgan_tf.training.checks import check_shares
    from stackgan_tf.training.start import check_start
    from stackgan_tf.training.state import TrainState
    from stackgan_tf.training.step import TrainStep

    config, _ = text.resolved(precision.resolved(config, run_dir), run_dir)
    builder_class(config.data.dataset)
    replicas = max(1, len(distribution.gpus()))
    distribution.check_divides(config.train.batch_size, replicas)
    check_shares(config, replicas)
    if config.train.start_from:
        check_start(config)
    sys.stdout.write(configs.dump(config))
    one = dataclasses.replace(config.train, batch_size=config.train.batch_size // replicas)
    share, strategy = dataclasses.replace(config, train=one), tf.distribute.get_strategy()
    with tf.Graph().as_default():  # shapes only: no weight is drawn
        state = TrainState(share, strategy, steps_per_epoch=1)
        need = memory.needed(TrainStep(state, strategy, share), batch_spec(share))
    counts = networks.parameter_counts(networks.Networks(state.generator, state.discriminators))
    for name, count in counts:
        sys.stdout.write(f"# {name}: {count:,} trainable parameters\n")
    sys.stdout.write(f"# {memory.verdict(need, config)[0]}\n")
    return 0


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
