"""A full-width StackGAN-v2 (gf 64, three scales) asked in four ways: milliseconds a picture, in turn, in one run.

    python benchmarks/export.py

The generator in Keras as a graph; the SavedModel's `serving_default`, which draws its noise itself; float32 .tflite
files of any batch and of batch 1. Medians, and the ratio to Keras at the same batch.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from stackgan_tf import config as configs
from stackgan_tf import networks, text
from stackgan_tf.exporting import saved_model, tflite
from stackgan_tf.exporting.job import Job
from stackgan_tf.generation import TextToImage
from stackgan_tf.on_device import signature_of

ROUNDS = 21
BATCHES = (1, 4, 8)


def main() -> None:
    """The table."""
    config = configs.from_dict({"data": {"text_size": 1024}})
    artist = TextToImage(config, networks.build_generator(config), text.load(config.data), step=0)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), artist, "flowers", builder=None)
        saved, files = Path(folder) / "1", Path(folder) / "tflite"
        saved.mkdir(), files.mkdir()
        saved_model.write(job, saved)
        tflite.write(job, files)
        for batch in BATCHES:
            report(batch, ways(artist, saved, files, batch))


def ways(artist: TextToImage, saved: Path, files: Path, batch: int) -> dict[str, Callable[[], object]]:
    """What draws a batch, by its name."""
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


def report(batch: int, found: dict[str, Callable[[], object]]) -> None:
    """Times all in turn, a round after the other, and prints a line each."""
    times = {name: [] for name in found}
    for round_ in range(1 + ROUNDS):
        for name, draw in found.items():
            start = time.perf_counter()
            draw()
            if round_:
                times[name].append(1000 * (time.perf_counter() - start) / batch)
    base = times["Keras, a graph"]
    print(f"\nbatch {batch:<22}{'ms a picture':>14}{'of Keras':>10}")
    for name, taken in times.items():
        ratio = statistics.median(a / b for a, b in zip(taken, base, strict=True))
        print(f"{name:<28}{statistics.median(taken):>14.1f}{ratio:>10.3f}")


if __name__ == "__main__":
    main()
