"""Measures a run by named protocols: what is drawn for the captions of the test split against its real images.

    python -m stackgan_tf.evaluate --run_dir=runs/oxford102_v2 --protocol=is,fid --extractor=classifiers/small.keras
    python -m stackgan_tf.evaluate --run_dir=runs/oxford102_v2 --protocol=fid30k_inception_v3_bicubic_test

Protocols: is, fid (with _at64 all images are first made 64 x 64: IS* and FID* of the papers), kid, pr (precision and
recall), swd (sliced Wasserstein), ms_ssim, r_precision, and attributes of shapes; or a whole name as in the table that
it prints. The figures go to evaluation/<step>.json in the run directory too, and to the README.md of a trained model.
Interrupted, the same command goes on.
"""

import sys
from pathlib import Path

from absl import flags

from stackgan_tf import interrupts, pretrained, program, run_flags
from stackgan_tf.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_list("protocol", ["is", "fid", "kid"], "What to measure.")
flags.DEFINE_integer("num_samples", 30_000, "Pictures to draw, where a protocol's name says nothing else.")
flags.DEFINE_string("extractor", "inception_v3", "That, a .keras file (see train_classifier) or a SavedModel's folder.")
flags.DEFINE_string("weights", "", "A file of weights for inception_v3; by default Keras fetches those of ImageNet.")
flags.DEFINE_string("joint_encoder", None, "For r_precision: the folder that stackgan_tf.train_text_encoder left.")
flags.DEFINE_integer("step", None, "Of a checkpoint of the run; by default the newest.")
flags.DEFINE_bool("ema", True, "Judge the average of the weights; --noema: the live ones.")
flags.DEFINE_integer("seed", 0, "Of the noise: the same seed, the same figures.")
flags.DEFINE_string("source_dir", None, "As in stackgan_tf.train.")
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "As in stackgan_tf.train.")


def main() -> int:
    """Flags in, a table and a file of figures out; the exit code."""
    interrupts.raise_on_sigterm()
    run_dir = run_flags.chosen()
    if not FLAGS.protocol:
        raise UserError("--protocol is empty: name what to measure, as in --protocol=is,fid")
    program.check_at_least(num_samples=2, seed=0)
    program.load_tensorflow()
    import tensorflow as tf

    from stackgan_tf import checkpoint
    from stackgan_tf.data.prepare import prepare
    from stackgan_tf.distribution import make_strategy
    from stackgan_tf.evaluation import extractors, judge, protocols
    from stackgan_tf.evaluation.extractors import joint
    from stackgan_tf.exporting import publication
    from stackgan_tf.generation import load_generator

    needs, strategy = protocols.needs(FLAGS.protocol), make_strategy()
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # of GPUs: three digits are too few
    with strategy.scope():
        artist = load_generator(run_dir, checkpoint.AVERAGE if FLAGS.ema else checkpoint.LIVE, step=FLAGS.step)
        seeing, joint_text = {}, None
        if needs & {"features", "logits"}:
            seeing["features"] = seeing["logits"] = extractors.load(FLAGS.extractor, FLAGS.weights)
        if "joint" in needs:
            seeing["joint"], joint_text = joint.load(_joint_encoder(run_dir, artist.config.data.dataset))
    source_dir = Path(FLAGS.source_dir) if FLAGS.source_dir else None
    builder = prepare(artist.config.data.dataset, Path(FLAGS.data_dir), source_dir)
    names = {need: extractor.name for need, extractor in seeing.items()}
    asked = [protocols.parse(name, FLAGS.num_samples, names, judge.splits(builder)) for name in FLAGS.protocol]
    by_name = {extractor.name: extractor for extractor in seeing.values()}
    judged = judge.Judged(run_dir, artist, "ema" if FLAGS.ema else "live", builder, by_name, joint_text, FLAGS.seed)
    figures = judge.evaluate(judged, list(dict.fromkeys(asked)), strategy)
    if figures is None:
        sys.stderr.write(f"interrupted and saved; the same command goes on ({run_dir})\n")
        return interrupts.exit_code()
    path = judge.write(judged, figures)
    if pretrained.is_pretrained(run_dir):
        publication.write_readme(run_dir)
    sys.stdout.write(
        f"{judge.table(figures)}{path}: step {artist.step}, {'average' if FLAGS.ema else 'live'} weights\n"
    )
    return 0


def _joint_encoder(run_dir: Path, dataset: str) -> Path:
    """The named folder, else the run's own text encoder, else where `train_text_encoder` puts it."""
    from stackgan_tf.evaluation.extractors.joint import IMAGE_WEIGHTS
    from stackgan_tf.text import FOLDER

    if FLAGS.joint_encoder:
        return Path(FLAGS.joint_encoder).expanduser()
    carried = run_dir / FOLDER
    return carried if (carried / IMAGE_WEIGHTS).is_file() else Path(f"encoders/{dataset}_char_cnn_rnn")


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
