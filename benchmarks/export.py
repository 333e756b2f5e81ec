"""An untrained generator asked in four ways, as a server and a device ask: milliseconds a picture, in turn, in one run.

    python benchmarks/export.py

The card at full width, gf 64 and three scales, if nothing else is said. The generator in Keras as a graph; the
SavedModel's `serving_default`, which draws its noise itself; float32 .tflite files of any batch and of batch 1.
Medians, least and most, and the ratio to Keras at the same batch.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import figures_file
import numpy as np
from absl import flags

from stackgan_tf import cards, program, text
from stackgan_tf.errors import UserError

if TYPE_CHECKING:
    from stackgan_tf.generation import TextToImage

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", "oxford102", "As in stackgan_tf.train; a card with text.")
flags.DEFINE_string("model", "v2", "As in stackgan_tf.train.")
flags.DEFINE_multi_string("set", [], "Changes one field of the card: section.field=value. May be repeated.")
flags.DEFINE_list("batches", ["1", "4", "8"], "Pictures of a call.")
flags.DEFINE_integer("rounds", 21, "Turns of each, of which the median counts; one more warms up.")

Times = dict[str, list[float]]  # of each way, milliseconds a picture, round by round


def main() -> int:
    """The tables and the file; the exit code."""
    program.load_tensorflow()
    from stackgan_tf import networks
    from stackgan_tf.exporting import saved_model, tflite
    from stackgan_tf.exporting.job import Job
    from stackgan_tf.generation import TextToImage

    program.check_at_least(rounds=1)
    figures_file.check()
    if wrong := [batch for batch in FLAGS.batches if not batch.isdecimal() or int(batch) < 1]:
        raise UserError(f"--batches={wrong[0]}: is no number of pictures; give numbers from 1 on")
    config = text.resolved(cards.build(cards.find(FLAGS.dataset, FLAGS.model).values, FLAGS.set))[0]
    if not config.model.conditional:
        raise UserError(f"--model={FLAGS.model}: draws without text; name a card with text")
    artist = TextToImage(config, networks.build_generator(config), text.load(config.data), step=0)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), artist, "flowers", builder=None)
        saved, files = Path(folder) / "1", Path(folder) / "tflite"
        saved.mkdir(), files.mkdir()
        saved_model.write(job, saved)
        tflite.write(job, files)
        found = {batch: timed(ways(artist, saved, files, int(batch)), int(batch)) for batch in FLAGS.batches}
    for batch, times in found.items():
        report(batch, times)
    figures_file.save(("dataset", "model", "set", "rounds"), found)
    return 0


def ways(artist: "TextToImage", saved: Path, files: Path, batch: int) -> dict[str, Callable[[], object]]:
    """What draws a batch, by its name."""
    import tensorflow as tf

    from stackgan_tf.on_device import signature_of

    rng = np.random.default_rng(0)
    embedding = rng.standard_normal((batch, artist.encoder.size)).astype(np.float32)
    noise = artist.noise(0, range(batch))
    graph = tf.function(artist.generator)
    embedding = tf.constant(embedding)
    signature = tf.saved_model.load(str(saved)).signatures["serving_default"]
    asked = {"seed": tf.range(batch, dtype=tf.int64), "truncation": tf.ones(batch)}
    held = {"text_embedding": embedding.numpy(), "noise": noise["z"], "eps": noise["eps"]}
    found = {
        "Keras, a graph": lambda: [image.numpy() for image in graph(text_embedding=embedding, **noise).images],
        "SavedModel": lambda: [image.numpy() for image in signature(text_embedding=embedding, **asked).values()],
    }
    for name in ("float32", "float32_batch1") if batch == 1 else ("float32",):
        run = signature_of(files / f"{name}.tflite", threads=2)
        found[f"{name}.tflite"] = lambda run=run: run(**held)
    return found


def timed(found: dict[str, Callable[[], object]], batch: int) -> Times:
    """Asks all in turn, a round after the other."""
    times: Times = {name: [] for name in found}
    for round_ in range(1 + FLAGS.rounds):
        for name, draw in found.items():
            start = time.perf_counter()
            draw()
            if round_:
                times[name].append(1000 * (time.perf_counter() - start) / batch)
    return times


def report(batch: str, times: Times) -> None:
    """A line each."""
    base = times["Keras, a graph"]
    print(f"\nbatch {batch:<22}{'ms a picture':>14}{'least':>10}{'most':>10}{'of Keras':>10}")
    for name, taken in times.items():
        ratio = statistics.median(a / b for a, b in zip(taken, base, strict=True))
        median = statistics.median(taken)
        print(f"{name:<28}{median:>14.1f}{min(taken):>10.1f}{max(taken):>10.1f}{ratio:>10.3f}")


if __name__ == "__main__":
    program.run(main)
