"""Trains several cards one after the other with the same seed and data, and compares them in a table and a picture.

    python -m stackgan_tf.ablate --dataset=shapes --cards=v2,v2_no_jcu,v2_g3 --steps=1000
    python -m stackgan_tf.ablate --dataset=oxford102 --cards=v1_stage1,v1_stage2,v1_stage2_text_once --source_dir=DIR

Each card is a run of `stackgan_tf.train` in a folder of its own; the same command goes on where it was interrupted.
A Stage-II card starts from the Stage-I that is trained beside it.
"""

import subprocess
import sys
from pathlib import Path

from absl import flags

from stackgan_tf import cards, program
from stackgan_tf.cards import Card
from stackgan_tf.errors import UserError

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


def main() -> int:
    """Flags in, runs, a table and a picture out; the exit code."""
    if not FLAGS.dataset:
        raise UserError("--dataset is missing, as in --dataset=shapes")
    if len(FLAGS.cards) < 2 or len(set(FLAGS.cards)) < len(FLAGS.cards):
        raise UserError(f"--cards={','.join(FLAGS.cards)}: give at least two different ones, as in v2,v2_no_jcu")
    chosen = {model: cards.find(FLAGS.dataset, model) for model in sorted(FLAGS.cards, key=lambda m: "stage2" in m)}
    out = Path(FLAGS.out or f"runs/{FLAGS.dataset}_ablation").expanduser()
    if len({_configuration(card).model.conditional for card in chosen.values()}) > 1:
        raise UserError(
            f"--cards={','.join(FLAGS.cards)}: some draw with text and some without; compare like with like"
        )
    for number, (model, card) in enumerate(chosen.items(), start=1):
        sys.stderr.write(f"{model} ({number} of {len(chosen)})\n")
        if code := _finished(_command(model, card, out)):
            return code
    program.load_tensorflow()
    from stackgan_tf.evaluation.ablation import compare

    sys.stdout.write(compare({model: out / card.name for model, card in chosen.items()}, out))
    return 0


def _finished(command: list[str]) -> int:
    """The exit code of a program; Ctrl-C reaches it as well, and it is given the time to save."""
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return process.wait()


def _configuration(card: Card) -> cards.Config:
    fields = {name: FLAGS[name].value for name in ("steps", "seed", "precision") if FLAGS[name].value is not None}
    return cards.build(card.values, FLAGS.set, FLAGS.preset, **fields)


def _command(model: str, card: Card, out: Path) -> list[str]:
    given = [f"--{name}={FLAGS[name].value}" for name in PASSED_ON if FLAGS[name].value is not None]
    changes = [f"--set={change}" for change in FLAGS.set]
    command = [sys.executable, "-m", "stackgan_tf.train", f"--model={model}", f"--run_dir={out / card.name}"]
    before = [other for other in (model.replace("stage2", "stage1"), "v1_stage1") if other in FLAGS.cards]
    if _configuration(card).model.family == "v1_stage2" and before:
        changes.append(f"--stage1_run_dir={out / f'{FLAGS.dataset}_{before[0]}'}")
    return command + given + changes


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
