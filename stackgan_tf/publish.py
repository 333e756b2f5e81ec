"""Makes of a trained run a folder of `pretrained/`, small enough to lie in the repository.

    python -m stackgan_tf.publish --run_dir=runs/oxford102_v2 --name=oxford102_v2 --data="Oxford-102 flowers, ..." \\
        --licence="..." --command="..." --notes=notes.md

The averaged weights and the discriminators in float16, the configuration, a trained text encoder, the figures of
`stackgan_tf.evaluate`, and a card, which tells them again with the images seen and the time that they took.
"""

import re
import sys
from pathlib import Path

from absl import flags

from stackgan_tf import pretrained, program
from stackgan_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "The run directory that python -m stackgan_tf.train left.")
flags.DEFINE_string("name", None, "Of the model; its folder in --out.")
flags.DEFINE_string("out", str(pretrained.FOLDER), "The folder of the trained models.")
flags.DEFINE_string("data", None, "What it was trained on, for the card: which images, whose terms.")
flags.DEFINE_string("licence", None, "Of the weights, for the card.")
flags.DEFINE_string("command", None, "The whole command that trained it, for the card.")
flags.DEFINE_string("notes", None, "A file of Markdown for the card: what the model can do and cannot.")
flags.DEFINE_bool("discriminators", True, "Take them along, so that training can go on from the model.")


def main() -> int:
    """Flags in, a folder out; the exit code."""
    for name in ("run_dir", "name", "data", "licence", "command", "notes"):
        if not FLAGS[name].value:
            raise UserError(f"--{name} is missing: {FLAGS[name].help}")
    if not re.fullmatch(r"\w[\w.-]*", FLAGS.name) or FLAGS.name == "list":
        raise UserError(f"--name={FLAGS.name}: must be of letters, digits, '_', '-' and '.', and not list")
    notes = Path(FLAGS.notes).expanduser()
    if not notes.is_file():
        raise UserError(f"--notes={notes}: no such file")
    folder = Path(FLAGS.out).expanduser() / FLAGS.name
    if folder.exists():
        raise UserError(f"--name={FLAGS.name}: {folder} exists; move it away, or name another")
    try:
        markdown = notes.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"--notes={notes}: is not text in UTF-8") from None
    program.load_tensorflow()
    from stackgan_tf.exporting import publication

    told = publication.Told(FLAGS.name, FLAGS.data, FLAGS.licence, FLAGS.command, markdown)
    card = publication.write(Path(FLAGS.run_dir).expanduser(), folder, told, FLAGS.discriminators)
    size = sum(size for size, _ in card["files"].values())
    sys.stdout.write(f"{folder}: {card['what']}; {size / 1e6:.1f} MB\n")
    return 0


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
