"""Trains a classifier of a data set's test classes, the extractor of `stackgan_tf.evaluate` for it.

    python -m stackgan_tf.train_classifier --dataset=oxford102
    python -m stackgan_tf.evaluate --run_dir=DIR --protocol=is,fid \\
        --extractor=classifiers/oxford102_inception_v3/oxford102_inception_v3.keras

Fine-tunes InceptionV3 from ImageNet's weights, as the papers did, where they can be had; else a small network learns
from scratch. The name of the file, and so of every figure, says which.
"""

import sys
from pathlib import Path

from absl import flags, logging

from stackgan_tf import interrupts, program
from stackgan_tf.config_rules import UNSCALED
from stackgan_tf.errors import UserError

NETWORKS = ("inception_v3", "small")
SIDES = {"inception_v3": 299, "small": 128}
RATES = {"inception_v3": 1e-4, "small": 1e-3}

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", None, "Data set with classes: a module of stackgan_tf/data/builders.")
flags.DEFINE_string("source_dir", None, "As in stackgan_tf.train.")
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "As in stackgan_tf.train.")
flags.DEFINE_enum("network", None, NETWORKS, "By default inception_v3 where its weights can be had, else small.")
flags.DEFINE_string("weights", "imagenet", "Of inception_v3: Keras fetches them, or a file of them without the top.")
flags.DEFINE_string("out", None, "The folder of the classifier; by default classifiers/<dataset>_<network>.")
flags.DEFINE_integer("steps", 3000, "Training steps.")
flags.DEFINE_integer("batch_size", 32, "Images a step.")
flags.DEFINE_enum("precision", "float32", UNSCALED, "Of the networks.")
flags.DEFINE_integer("seed", 0, "Of weights and data order.")

FIELDS = ("dataset", "weights", "steps", "batch_size", "precision", "seed")


def main() -> int:
    """Flags in, a classifier out; the exit code."""
    interrupts.raise_on_sigterm()
    if not FLAGS.dataset:
        raise UserError("--dataset is missing, as in --dataset=oxford102")
    program.check_at_least(steps=1, batch_size=2, seed=0)
    if FLAGS.network == "small" and FLAGS.weights != "imagenet":
        raise UserError(f"--weights={FLAGS.weights}: of inception_v3; leave it out with --network=small")
    program.load_tensorflow()
    from stackgan_tf.data.prepare import prepare
    from stackgan_tf.training.classifier import ClassifierConfig, build, train_classifier

    fields = {name: FLAGS[name].value for name in FIELDS}
    configs = {n: ClassifierConfig(network=n, side=SIDES[n], learning_rate=RATES[n], **fields) for n in NETWORKS}
    builder = prepare(FLAGS.dataset, Path(FLAGS.data_dir), Path(FLAGS.source_dir) if FLAGS.source_dir else None)
    network = FLAGS.network
    if network is None:
        try:
            build(configs["inception_v3"], 2, "float32")
            network = "inception_v3"
        except UserError as error:
            if FLAGS.weights != "imagenet":
                raise
            logging.warning("%s", error)
            network = "small"
    config = configs[network]
    folder = Path(FLAGS.out or f"classifiers/{config.name}").expanduser()
    accuracy = train_classifier(config, builder, folder)
    if accuracy is None:
        sys.stderr.write(f"interrupted and saved; the same command goes on ({folder})\n")
        return interrupts.exit_code()
    sys.stdout.write(f"{folder / config.name}.keras: {accuracy:.1%} of the held-out images are told right\n")
    return 0


def run() -> None:
    """The console script."""
    program.run(main)


if __name__ == "__main__":
    run()
