"""How many training tuples a second the input pipeline delivers, and what bounds it.

    python benchmarks/input_pipeline.py --data_dir=DIR    (with oxford102 prepared there)

A tuple is what v2 with text takes for one example: the image and the mismatched one at 64, 128 and 256 pixels, and the
text embedding. The parts are measured alone, in turn, several times; medians.
"""

import io
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import figures_file
import numpy as np
from absl import flags
from PIL import Image

from stackgan_tf import cards, program, text
from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.pipeline import BatchPlan, training_batches
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.preprocess import load_image, pyramid
from stackgan_tf.data.records import Records

AHEAD = 8  # batches that may be ready before they are asked for: not counted

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", "~/tensorflow_datasets", "Where the prepared data set is.")
flags.DEFINE_string("dataset", "oxford102", "A data set with captions.")
flags.DEFINE_integer("batches", 50, "Batches of each measurement.")
flags.DEFINE_integer("rounds", 5, "Measurements, of which the median counts; one more warms up.")


def main() -> int:
    """Prints a line for each part."""
    program.check_at_least(batches=1, rounds=1)
    figures_file.check()
    config, encoder = text.resolved(cards.build(cards.find(FLAGS.dataset, "v2").values))
    records = Records(prepare(FLAGS.dataset, Path(FLAGS.data_dir)), "train")
    embeddings = Embeddings(records, encoder)
    plan = BatchPlan(records, config, embeddings)
    size = config.train.batch_size
    numbers = iter(range(10**9))
    shown, dice = records.fetch(range(size)), np.random.default_rng(0).random((size, 3))
    images = [
        load_image(record.image, record.box, 256, row, True, True) for record, row in zip(shown, dice, strict=True)
    ]
    rows = itertools.cycle(zip(shown, dice, images, strict=True))
    batches = iter(training_batches(plan, 0))

    def read() -> None:
        records.fetch([next(numbers) % len(records) for _ in range(2)])

    def decode() -> None:
        Image.open(io.BytesIO(next(rows)[0].image)).convert("RGB")

    def load() -> None:
        record, row, _ = next(rows)
        load_image(record.image, record.box, 256, row, True, True)

    parts: dict[str, tuple[Callable, float]] = {  # what, and how many tuples one call stands for
        "the whole pipeline, all cores": (lambda: next(batches), size),
        "a whole batch, one thread": (lambda: plan.fetch(next(numbers)), size),
        "reading two records, one thread": (read, 1),
        "decoding two images, one thread": (decode, 0.5),
        "decoding, cropping, resizing two images, one thread": (load, 0.5),
        "three scales of two images, one thread": (lambda: pyramid(next(rows)[2], config.scales), 0.5),
    }
    rates: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(FLAGS.rounds + 1):
        for name, (call, tuples) in parts.items():
            for _ in range(AHEAD):
                call()
            began = time.perf_counter()
            for _ in range(FLAGS.batches):
                call()
            rates[name].append(FLAGS.batches * tuples / (time.perf_counter() - began))
    print(f"{'tuples a second':<55}{'median':>10}{'least':>10}{'most':>10}")
    for name, found in rates.items():
        print(f"{name:<55}{np.median(found[1:]):>10.1f}{min(found[1:]):>10.1f}{max(found[1:]):>10.1f}")
    figures_file.save(("dataset", "batches", "rounds"), {name: found[1:] for name, found in rates.items()})
    return 0


if __name__ == "__main__":
    program.run(main)
