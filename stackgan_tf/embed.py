"""Computes text embeddings once: of a data set's captions, which training then reads from disk, or of a text file.

    python -m stackgan_tf.embed --encoder=sentence --dataset=oxford102
    python -m stackgan_tf.embed --encoder=sentence --text_file=sentences.txt --out=sentences.npz

`stackgan_tf.train` computes those of its data set by itself; they are made anew when encoder or captions change.
"""

import sys
from pathlib import Path

import numpy as np
from absl import flags

from stackgan_tf import program
from stackgan_tf.config import DataConfig
from stackgan_tf.errors import UserError
from stackgan_tf.files import whole
from stackgan_tf.text import TextEncoder

FLAGS = flags.FLAGS
flags.DEFINE_string("encoder", "hashing", "A module of stackgan_tf/text.")
flags.DEFINE_string("text_path", "", "The encoder's weights, where it needs some.")
flags.DEFINE_integer("text_size", 0, "Size of the embeddings, where the encoder leaves a choice.")
flags.DEFINE_string("dataset", None, "Data set: a module of stackgan_tf/data/builders.")
flags.DEFINE_string("source_dir", None, "The folder of the images and captions as you have them.")
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "Where prepared data sets are kept.")
flags.DEFINE_string("text_file", None, "In place of --dataset: a text file, a sentence a line.")
flags.DEFINE_string("out", None, "With --text_file: the .npz of `sentences` and `embeddings`.")


def main() -> int:
    """Flags in, embeddings out; the exit code."""
    if bool(FLAGS.dataset) == bool(FLAGS.text_file):
        raise UserError("--dataset, --text_file: what shall be embedded? Give one of the two")
    if FLAGS.text_file and not (FLAGS.out or "").endswith(".npz"):
        raise UserError(f"--out={FLAGS.out or ''}: name the .npz that the embeddings go to")
    program.load_tensorflow()
    from stackgan_tf import text
    from stackgan_tf.data.embeddings import Embeddings
    from stackgan_tf.data.prepare import prepare
    from stackgan_tf.data.records import Records

    data = DataConfig(text_encoder=FLAGS.encoder, text_path=FLAGS.text_path, text_size=FLAGS.text_size)
    encoder = text.load(data)
    if FLAGS.text_file:
        return _text_file(encoder, Path(FLAGS.text_file).expanduser(), Path(FLAGS.out).expanduser())
    source_dir = Path(FLAGS.source_dir) if FLAGS.source_dir else None
    builder = prepare(FLAGS.dataset, Path(FLAGS.data_dir), source_dir)
    for split in builder.info.splits:
        embeddings = Embeddings(Records(builder, split), encoder)
        sys.stdout.write(f"{embeddings.file}: {len(embeddings.rows)} captions, {encoder.size} numbers each\n")
    return 0


def _text_file(encoder: TextEncoder, source: Path, out: Path) -> int:
    from stackgan_tf.data.captioned import lines_of

    try:
        sentences, _ = lines_of(source.read_bytes())
    except OSError as error:
        raise UserError(f"--text_file={source}: cannot be read ({error.strerror})") from None
    if not sentences:
        raise UserError(f"--text_file={source}: has no line that says something")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole(out) as made:
            np.savez(made, sentences=np.array(sentences), embeddings=encoder.encode(sentences))
    except OSError as error:
        raise UserError(f"--out={out}: cannot be written ({error.strerror})") from None
    sys.stdout.write(f"{out}: {len(sentences)} sentences, {encoder.size} numbers each\n")
    return 0


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
