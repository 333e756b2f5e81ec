"""Trains several cards one after the other with the same seed and data, and compares them in a table and a picture.

    python -m stackgan_tf.ablate --dataset=shapes --cards=v2,v2_no_jcu,v2_g3 --steps=1000
    python -m stackgan_tf.ablate --dataset=oxford102 --cards=v1_stage1,v1_stage2,v1_stage2_text_once --source_dir=DIR

Each card is a run of `stackgan_tf.train` in a folder of its own; the same command goes on where it was interrupted.
A Stage-II card starts from the Stage-I that is trained beside it. The table and the picture in `--out` are those of the
last comparison; the command of an earlier one makes its own again, without training.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from absl import flags

from stackgan_tf import cards, interrupts, pretrained, program
from stackgan_tf import config as configs
from stackgan_tf.cards import Card
from stackgan_tf.config import Config
from stackgan_tf.errors import UserError
from stackgan_tf.interrupts import Terminated

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", None, "Data set, as in stackgan_tf.train.")
flags.DEFINE_list("cards", [], "Models, as --model of stackgan_tf.train, such as v2,v2_no_jcu,v2_g3.")
flags.DEFINE_integer("steps", None, "Training steps of each; by default each card's own.")
flags.DEFINE_integer("seed", None, "Of weights, noise and data order, the same for all.")
flags.DEFINE_multi_string("set", [], "Changes one field of every card: section.field=value. May be repeated.")
flags.DEFINE_string("preset", cards.RELEASED, "As in stackgan_tf.train.")
flags.DEFINE_string("precision", None, "As in stackgan_tf.train.")
flags.DEFINE_string("source_dir", None, "As in stackgan_tf.train.")
flags.DEFINE_string("data_dir", None, "As in stackgan_tf.train.")
flags.DEFINE_string(
    "out", None, "The folder of the runs, the table and the picture; by default runs/<dataset>_ablation."
)

PASSED_ON = ("dataset", "steps", "seed", "preset", "precision", "source_dir", "data_dir")


class Trial(NamedTuple):
    """One of the runs."""

    card: Card
    config: Config
    stage1: str  # the model among --cards that a Stage-II starts from, or ""


def main() -> int:
    """Flags in, runs, a table and a picture out; the exit code."""
    interrupts.raise_on_sigterm()
    if not FLAGS.dataset:
        raise UserError("--dataset is missing, as in --dataset=shapes")
    if len(FLAGS.cards) < 2 or len(set(FLAGS.cards)) < len(FLAGS.cards):
        raise UserError(f"--cards={','.join(FLAGS.cards)}: give at least two different ones, as in v2,v2_no_jcu")
    trials = {model: _trial(model) for model in sorted(FLAGS.cards, key=lambda model: "stage2" in model)}
    _check(trials)
    out = Path(FLAGS.out or f"runs/{FLAGS.dataset}_ablation").expanduser()
    run_dirs = {model: out / trial.card.name for model, trial in trials.items()}
    for number, (model, trial) in enumerate(trials.items(), start=1):
        sys.stderr.write(f"{model} ({number} of {len(trials)})\n")
        places = {"run_dir": run_dirs[model]} | ({"stage1_run_dir": run_dirs[trial.stage1]} if trial.stage1 else {})
        if code := _finished(_command(model, places)):
            return code
    program.load_tensorflow()
    from stackgan_tf.evaluation.ablation import compare

    sys.stdout.write(compare(run_dirs, out))
    return 0


def _trial(model: str) -> Trial:
    card = cards.find(FLAGS.dataset, model)
    fields = {name: FLAGS[name].value for name in ("steps", "seed", "precision") if FLAGS[name].value is not None}
    config = cards.build(card.values, FLAGS.set, FLAGS.preset, **fields)
    before = [other for other in (model.replace("stage2", "stage1"), "v1_stage1") if other in FLAGS.cards]
    return Trial(card, config, before[0] if config.model.family == "v1_stage2" and before else "")


def _check(trials: Mapping[str, Trial]) -> None:
    """Whether they can be compared, and each Stage-II be trained: known before the first of them takes its hours."""
    said = f"--cards={','.join(FLAGS.cards)}"
    if len({trial.config.model.conditional for trial in trials.values()}) > 1:
        raise UserError(f"{said}: some draw with text and some without; compare like with like")
    for model, (_, config, stage1) in trials.items():
        if stage1:
            try:
                configs.check_stages(trials[stage1].config, config)
            except UserError as error:
                raise UserError(f"{said}: {model} cannot start from {stage1}: {error}") from None
        elif config.model.family == "v1_stage2":
            run_dir = pretrained.folder_of(config.train.stage1_run_dir)
            if not (run_dir / "config.yaml").is_file():
                raise UserError(
                    f"{said}: {model} starts from a Stage-I, and {run_dir} is none; put v1_stage1 among them"
                )


def _command(model: str, places: Mapping[str, Path]) -> list[str]:
    given = {name: FLAGS[name].value for name in PASSED_ON if FLAGS[name].value is not None} | places
    flags_given = [f"--{name}={value}" for name, value in given.items()] + [f"--set={change}" for change in FLAGS.set]
    return [sys.executable, "-m", "stackgan_tf.train", f"--model={model}", *flags_given]


def _finished(command: list[str]) -> int:
    """The exit code of a program; Ctrl-C and SIGTERM reach it as well, and it is given the time to save.

    Raises:
        KeyboardInterrupt: the same, where the program ended well.
    """
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except KeyboardInterrupt as interrupt:  # Ctrl-C reaches the whole group of processes by itself
        if isinstance(interrupt, Terminated):
            process.terminate()
        if code := process.wait():
            return code
        raise


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
