"""Trains Reed et al.'s character encoder on a data set's captions, jointly with an image encoder.

    python -m stackgan_tf.train_text_encoder --dataset=oxford102 --source_dir=DIR
    python -m stackgan_tf.train --dataset=oxford102 --set data.text_encoder=char_cnn_rnn \\
        --set data.text_path=encoders/oxford102_char_cnn_rnn

It ends with the zero-shot accuracy: how many images of classes that were not learnt from find their own class's
captions. With another `--encoder` a linear map of its embeddings is learnt instead, to compare.
"""

import sys
from pathlib import Path

from absl import flags

from stackgan_tf import interrupts, program
from stackgan_tf.config_rules import UNSCALED
from stackgan_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", None, "Data set with captions: a module of stackgan_tf/data/builders.")
flags.DEFINE_string("source_dir", None, "The folder of the images and captions as you have them.")
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "Where prepared data sets are kept.")
flags.DEFINE_string("encoder", "char_cnn_rnn", "A module of stackgan_tf/text.")
flags.DEFINE_string("text_path", "", "The weights of another encoder than char_cnn_rnn, where it needs some.")
flags.DEFINE_string("out", None, "The folder of the encoder; by default encoders/<dataset>_<encoder>.")
flags.DEFINE_integer("steps", 6000, "Training steps.")
flags.DEFINE_integer("batch_size", 40, "Classes a step, with an image and a caption each.")
flags.DEFINE_integer("side", 64, "Of the images that the image encoder sees, in pixels.")
flags.DEFINE_enum("precision", "float32", UNSCALED, "Of the networks.")
flags.DEFINE_integer("seed", 0, "Of weights and data order.")

FIELDS = ("dataset", "encoder", "text_path", "side", "steps", "batch_size", "precision", "seed")


def main() -> int:
    """Flags in, an encoder out; the exit code."""
    interrupts.raise_on_sigterm()
    if not FLAGS.dataset:
        raise UserError("--dataset is missing, as in --dataset=oxford102")
    program.check_at_least(steps=1, batch_size=2, seed=0)
    if FLAGS.side not in (32, 64, 128, 256):
        raise UserError(f"--side={FLAGS.side}: must be 32, 64, 128 or 256")
    program.load_tensorflow()
    from stackgan_tf import text
    from stackgan_tf.data.prepare import prepare
    from stackgan_tf.training.text_encoder import JointConfig, train_text_encoder

    if FLAGS.encoder not in text.names():
        raise UserError(f"--encoder={FLAGS.encoder}: unknown; choose from {', '.join(text.names())}")
    config = JointConfig(**{name: FLAGS[name].value for name in FIELDS})
    folder = Path(FLAGS.out or f"encoders/{FLAGS.dataset}_{FLAGS.encoder}").expanduser()
    builder = prepare(FLAGS.dataset, Path(FLAGS.data_dir), Path(FLAGS.source_dir) if FLAGS.source_dir else None)
    accuracy = train_text_encoder(config, builder, folder)
    if accuracy is None:
        sys.stderr.write(f"interrupted and saved; the same command goes on ({folder})\n")
        return interrupts.exit_code()
    sys.stdout.write(f"{folder}: zero-shot accuracy {accuracy:.1%} on the classes of the test split\n")
    return 0


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
