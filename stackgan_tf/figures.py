"""Figures of a trained run for a paper, as .png or .pdf.

python -m stackgan_tf.figures --run_dir=runs/oxford102_v2 --kind=grid --text="a yellow flower" --text="a red flower"
python -m stackgan_tf.figures --run_dir=runs/oxford102_v2 --kind=nearest --out=nearest.pdf

Needs matplotlib and scikit-learn: pip install "stackgan_tf[figures]".
"""

import sys
from pathlib import Path

from absl import flags

from stackgan_tf import plots, program, run_flags
from stackgan_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("kind", None, f"What to show: {', '.join(plots.names())}.")
flags.DEFINE_multi_string(
    "text", [], "A sentence to draw; by default captions of the test split. May be repeated; interpolation takes pairs."
)
flags.DEFINE_integer("captions", None, "In place of --text: so many captions of the test split, drawn by --seed.")
flags.DEFINE_integer("seed", 0, "Of noise and --captions: the same seed, the same pictures.")
flags.DEFINE_integer(
    "num", None, "Of grid and interpolation, pictures a row; of scales, stages, nearest and tsne, samples in all."
)
flags.DEFINE_string("out", None, "The .png or .pdf; by default figures/<kind>.png in the run directory.")
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "Where prepared data sets are kept.")
flags.DEFINE_string(
    "source_dir", None, "The folder of the images, as in stackgan_tf.train, where data=folder needs it."
)
flags.DEFINE_string("extractor", "", "What nearest and tsne compare by: features of this network; by default pixels.")
flags.DEFINE_string("weights", "", "A file of the extractor's weights, where it needs one.")


def main() -> int:
    """Flags in, one file out; the exit code."""
    run_dir = run_flags.chosen()
    program.check_at_least(num=1, captions=1, seed=0)
    if FLAGS.text and FLAGS.captions:
        raise UserError(f"--captions={FLAGS.captions}: stands in place of --text; give one of the two")
    if not FLAGS.kind:
        raise UserError(f"--kind is missing: what shall be shown? Choose from {', '.join(plots.names())}")
    out = Path(FLAGS.out).expanduser() if FLAGS.out else run_dir / "figures" / f"{FLAGS.kind}.png"
    plots.check(FLAGS.kind, out)

    program.load_tensorflow()
    request = plots.Request(
        run_dir=run_dir,
        data_dir=Path(FLAGS.data_dir).expanduser(),
        source_dir=Path(FLAGS.source_dir).expanduser() if FLAGS.source_dir else None,
        texts=tuple(FLAGS.text),
        captions=FLAGS.captions,
        seed=FLAGS.seed,
        num=FLAGS.num,
        extractor_name=FLAGS.extractor,
        weights=FLAGS.weights,
    )
    plots.write(FLAGS.kind, request, out)
    sys.stdout.write(f"{out}\n")
    return 0


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
