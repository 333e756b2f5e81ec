"""Draws pictures for sentences with a trained run.

python -m stackgan_tf.sample --run_dir=runs/shapes_v2 --text="a large solid red cross on a blue background"
python -m stackgan_tf.sample --pretrained=oxford102_v2 --text="this flower has large yellow petals"
python -m stackgan_tf.sample --run_dir=runs/oxford102_v2_unconditional --num=16 --out=flowers.png
python -m stackgan_tf.sample --tflite=models/shapes_v2/tflite/1/float16.tflite --text="a small solid red cross"
"""

from pathlib import Path

from absl import flags

from stackgan_tf import pictures, program, run_flags
from stackgan_tf.config_rules import CHOICES
from stackgan_tf.drawing import Artist
from stackgan_tf.errors import UserError
from stackgan_tf.noise import MAX_SEED

FLAGS = flags.FLAGS
flags.DEFINE_string("tflite", None, "In place of --run_dir: a .tflite of stackgan_tf.export; needs no TensorFlow.")
flags.DEFINE_multi_string("text", [], "A sentence to draw. May be repeated.")
flags.DEFINE_string("embeddings", None, "In place of --text: text embeddings, a .npy file of [N, T] float32.")
flags.DEFINE_integer("seed", 0, "Of the noise: the same seed, the same pictures.", 0, MAX_SEED)
flags.DEFINE_float("truncation", 1.0, "The noise is multiplied by it: 1 as trained, 0 the mean picture.", 0, 1)
flags.DEFINE_integer("num", 1, "Pictures for each sentence.")
flags.DEFINE_enum(
    "precision",
    "float32",
    CHOICES["train.precision"],
    "Of a run's network; auto is the fastest here. Half precision moves pictures by a few grey levels.",
)
flags.DEFINE_string("out", "sample.png", "The picture file: every scale, captions underneath.")


def main() -> int:
    """Flags in, one picture file out; the exit code."""
    if FLAGS.tflite and (FLAGS.run_dir or FLAGS.pretrained):
        raise UserError("--tflite, --run_dir, --pretrained: what shall draw? Give one of them")
    run_dir = None if FLAGS.tflite else run_flags.chosen(", or --tflite=FILE")
    if FLAGS.tflite and FLAGS["precision"].present:
        raise UserError("--precision: a .tflite has its own; leave it out, or name another file of the export")
    program.check_at_least(num=1)
    out = pictures.file_to_write(FLAGS.out)
    asked, captions = pictures.asked(FLAGS.text, FLAGS.embeddings, FLAGS.num)
    artist = _of_run(run_dir) if run_dir else _on_device()
    if artist.encoder is None and (FLAGS.text or FLAGS.embeddings):
        raise UserError("--text, --embeddings: this run was trained without text; give --num only")
    if artist.encoder and isinstance(asked, int):
        raise pictures.one_of_two()
    pictures.save(artist(asked, FLAGS.seed, truncation=FLAGS.truncation), captions, out)
    return 0


def _of_run(run_dir: Path) -> Artist:
    program.load_tensorflow()
    from stackgan_tf.generation import load_generator
    from stackgan_tf.training.precision import fastest

    precision = fastest()[0] if FLAGS.precision == "auto" else FLAGS.precision
    return load_generator(run_dir, precision=precision)


def _on_device() -> Artist:
    from stackgan_tf.on_device import OnDevice

    return OnDevice(Path(FLAGS.tflite).expanduser())


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
