"""Makes of a run what others use: a SavedModel for TensorFlow Serving, .tflite files for phones and browsers.

python -m stackgan_tf.export --run_dir=runs/oxford102_v2 --format=saved_model,tflite --out=models
python -m stackgan_tf.export --run_dir=runs/oxford102_v2 --format=tflite --quantize=float16,int8 --out=models --verify

Needs pip install "stackgan_tf[serving,litert]".
"""

import importlib
import re
import sys
from pathlib import Path

from absl import flags

from stackgan_tf import pretrained, program, run_flags
from stackgan_tf.errors import UserError
from stackgan_tf.exporting import FORMATS, QUANTIZED
from stackgan_tf.pictures import read_embeddings

FLAGS = flags.FLAGS
flags.DEFINE_list("format", ["saved_model"], f"What to make: {', '.join(FORMATS)}.")
flags.DEFINE_string("out", None, "A folder for models; the run's goes to <out>/<name of the run>/<next version>/.")
flags.DEFINE_list("quantize", ["none"], f"Of tflite, a file for each: {', '.join(QUANTIZED)}.")
flags.DEFINE_bool("verify", False, "Compare what was made with the run, and time it.")
flags.DEFINE_string("licence", "", "Of the weights, for the card; by default what a trained model's says.")
flags.DEFINE_string(
    "embeddings", None, "What int8 and --verify take in place of captions: a .npy file of [N, T] float32."
)
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "Where prepared data sets are kept, with their captions.")
flags.DEFINE_string("source_dir", None, "The folder of the images and captions as you have them, where it is needed.")


def main() -> int:
    """Flags in, a new version of a model out; the exit code."""
    run_dir = run_flags.chosen().absolute()
    if not FLAGS.out:
        raise UserError("--out is missing: name a folder for models, such as --out=models")
    for flag, known in (("format", FORMATS), ("quantize", QUANTIZED)):
        asked = FLAGS[flag].value
        if not asked or not set(asked) <= set(known):
            raise UserError(f"--{flag}={','.join(asked)}: choose from {', '.join(known)}")
    if FLAGS["quantize"].present and "tflite" not in FLAGS.format:
        raise UserError(f"--quantize={','.join(FLAGS.quantize)}: is of tflite; add --format=tflite")
    if FLAGS.embeddings and not FLAGS.verify and "int8" not in FLAGS.quantize:
        raise UserError(f"--embeddings={FLAGS.embeddings}: is for --quantize=int8 and --verify; leave it out")
    embeddings = read_embeddings(FLAGS.embeddings) if FLAGS.embeddings else None
    out = Path(FLAGS.out).expanduser()
    model = re.sub(r"[^\w.-]", "_", run_dir.name)

    program.load_tensorflow()
    from stackgan_tf.data.prepare import prepare
    from stackgan_tf.exporting import examples, job, model_folder, parity
    from stackgan_tf.generation import load_generator

    artist = load_generator(run_dir)
    if embeddings is not None:
        examples.check(artist, embeddings)
    source_dir = Path(FLAGS.source_dir) if FLAGS.source_dir else None
    task = job.Job(
        run_dir=run_dir,
        artist=artist,
        model=model,
        builder=lambda: prepare(artist.config.data.dataset, Path(FLAGS.data_dir), source_dir),
        quantize=tuple(dict.fromkeys(FLAGS.quantize)),
        licence=FLAGS.licence or pretrained.licence(run_dir),
        embeddings=embeddings,
    )
    with model_folder.new_version(out / model, FLAGS.format) as made:
        for name, folder in made.items():
            exporter = importlib.import_module(f"stackgan_tf.exporting.{name}")
            exporter.write(task, folder)
            if FLAGS.verify:
                found = exporter.compare(task, folder)
                (folder / parity.NAME).write_text(parity.dumped(found), encoding="utf-8")
                sys.stdout.write(parity.table(found))
    for name, folder in made.items():
        sys.stdout.write(f"{model_folder.published(folder)}: {name}, step {artist.step}\n")
    return 0


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
