"""Draws pictures for sentences with a trained run.

python -m stackgan_tf.sample --run_dir=runs/shapes_v2 --text="a large solid red cross on a blue background"
python -m stackgan_tf.sample --run_dir=runs/oxford102_v2_unconditional --num=16 --out=flowers.png
"""

import sys
import zipfile
from pathlib import Path

import numpy as np
from absl import flags

from stackgan_tf import program
from stackgan_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "The run directory that python -m stackgan_tf.train left.")
flags.DEFINE_multi_string("text", [], "A sentence to draw. May be repeated.")
flags.DEFINE_string("embeddings", None, "In place of --text: text embeddings, a .npy file of [N, T] float32.")
flags.DEFINE_integer("seed", 0, "Of the noise: the same seed, the same pictures.")
flags.DEFINE_integer("num", 1, "Pictures for each sentence.")
flags.DEFINE_string("out", "sample.png", "The picture file: every scale, captions underneath.")

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def main() -> int:
    """Flags in, one picture file out; the exit code."""
    if not FLAGS.run_dir:
        raise UserError("--run_dir is missing: the folder that python -m stackgan_tf.train left")
    program.check_at_least(num=1, seed=0)
    out = Path(FLAGS.out).expanduser()
    if out.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(f"--out={out}: must end in {', '.join(IMAGE_SUFFIXES)}")

    program.load_tensorflow()
    from stackgan_tf.generation import load_generator
    from stackgan_tf.grids import caption_grid

    artist = load_generator(Path(FLAGS.run_dir).expanduser())
    if artist.encoder is None and (FLAGS.text or FLAGS.embeddings):
        raise UserError("--text, --embeddings: this run was trained without text; give --num only")
    if artist.encoder and bool(FLAGS.text) == bool(FLAGS.embeddings):
        raise UserError("--text: what shall be drawn? Give --text or --embeddings, one of the two")
    if FLAGS.embeddings:
        asked = np.repeat(_embeddings(Path(FLAGS.embeddings).expanduser()), FLAGS.num, axis=0)
        captions = [f"row {i // FLAGS.num}" for i in range(len(asked))]
    else:
        captions = [text for text in FLAGS.text for _ in range(FLAGS.num)] or [""] * FLAGS.num
        asked = captions if artist.encoder else FLAGS.num
    images = artist(asked, FLAGS.seed)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        caption_grid(images, captions).save(out)
    except OSError as error:
        raise UserError(f"--out={out}: cannot be written ({error.strerror or error})") from None
    sides = ", ".join(str(side) for side in images)
    sys.stdout.write(f"{out}: {len(captions)} pictures at {sides} pixels\n")
    return 0


def _embeddings(path: Path) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"--embeddings={path}: cannot be read as a .npy file of numbers ({error})") from None
    values = values.astype(np.float32) if isinstance(values, np.ndarray) and values.dtype.kind == "f" else None
    if values is None or not np.isfinite(values).all():
        raise UserError(f"--embeddings={path}: must be one array of finite floating-point numbers, [N, T]")
    return values


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
