"""Does an exported file draw what the run draws, how large is it, and how long does it take?"""

import json
import math
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from stackgan_tf.exporting.examples import SEED, Examples, rows
from stackgan_tf.exporting.job import Job
from stackgan_tf.noise import row_seeds
from stackgan_tf.on_device import signature_of
from stackgan_tf.text import TextEncoder
from stackgan_tf.text.char_cnn_rnn import characters

NAME = "parity.json"
THREADS = (1, 2)
SENTENCES = ["this flower has pink petals", "A SMALL bird; its wings are blue & grey.", "", "9"]
TIMED = 5  # calls, after one that does not count

Images = Mapping[str, np.ndarray]  # image_64 ..., [B, S, S, 3] float32
Draw = Callable[..., Images]


class Parity(NamedTuple):
    """One file beside the run's generator in Keras, over all scales."""

    file: str
    megabytes: float
    largest_difference: float  # of pixels in [-1, 1]
    mean_difference: float
    psnr: dict[str, float | None]  # dB, of each scale; None where nothing differs
    milliseconds: dict[str, float]  # an image, at batch 1, by the number of threads: the median; {} where not timed


def of_saved_model(folder: Path, job: Job) -> list[Parity]:
    """Of a version's folder: asked with seeds, which is timed, and with the noise that they stand for."""
    megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    times = {str(threads): _elsewhere(folder, rows(job.compared)[0], threads) for threads in THREADS}
    return [
        Parity(f"saved_model, {name}", megabytes, *differences(load(folder, name)(**job.compared), job.expected), timed)
        for name, timed in (("serving_default", times), ("with_noise", {}))
    ]


def of_tflite(file: Path, job: Job) -> Parity:
    """Of a generator of any kind: asked for all at once where its batch may be any."""
    run, one_by_one = signature_of(file, threads=max(THREADS)), rows(job.compared)
    if run.get_input_details()["noise"]["shape_signature"][0] == 1:
        drawn = [run(**row) for row in one_by_one]
        together = {name: np.concatenate([images[name] for images in drawn]) for name in drawn[0]}
    else:
        together = run(**job.compared)
    times = _by_threads(file, one_by_one[0])
    return Parity(file.name, file.stat().st_size / 1e6, *differences(together, job.expected), times)


def of_text_encoder(file: Path, encoder: TextEncoder) -> Parity:
    """Of a text encoder, whose embeddings are compared."""
    ids = characters(SENTENCES).astype(np.int32)
    run = signature_of(file, threads=max(THREADS))
    embeddings = np.concatenate([run(characters=row[None])["text_embedding"] for row in ids])
    off = np.abs(embeddings - encoder.encode(SENTENCES))
    times = _by_threads(file, {"characters": ids[:1]})
    return Parity(file.name, file.stat().st_size / 1e6, float(off.max()), float(off.mean()), {}, times)


def table(found: Sequence[Parity]) -> str:
    """A line a file; the worst of its scales."""
    width = max(len(parity.file) for parity in found)
    headers = ("ms, 1 thread", *(f"ms, {threads} threads" for threads in THREADS[1:]))
    lines = [f"{'':<{width}}{'MB':>8}{'largest':>10}{'mean':>10}{'PSNR':>8}{''.join(f'{h:>15}' for h in headers)}"]
    for parity in found:
        worst = min((psnr for psnr in parity.psnr.values() if psnr is not None), default=None)
        numbers = f"{parity.megabytes:>8.1f}{parity.largest_difference:>10.2g}{parity.mean_difference:>10.2g}"
        times = "".join(f"{milliseconds:>15.1f}" for milliseconds in parity.milliseconds.values())
        lines.append(f"{parity.file:<{width}}{numbers}{'' if worst is None else f'{worst:.1f}':>8}{times}")
    return "\n".join(lines) + "\n"


def dumped(found: Sequence[Parity]) -> str:
    """As parity.json has it."""
    return json.dumps([parity._asdict() for parity in found], indent=2) + "\n"


def differences(drawn: Images, expected: Images) -> tuple[float, float, dict[str, float | None]]:
    """The largest, the mean, and the PSNR of each scale."""
    off = {name: np.abs(drawn[name] - image) for name, image in expected.items()}
    pixels = np.concatenate([values.ravel() for values in off.values()])
    errors = {name: float(np.mean(np.square(values, dtype=np.float64))) for name, values in off.items()}
    psnr = {name: 10 * math.log10(4 / error) if error else None for name, error in errors.items()}
    return float(pixels.max()), float(pixels.mean(dtype=np.float64)), psnr


def load(folder: Path, name: str) -> Draw:
    """A SavedModel's `with_noise` or `serving_default`, not truncated, as a function of examples."""
    signature = tf.saved_model.load(str(folder)).signatures[name]

    def drawn(noise: np.ndarray, **others: np.ndarray) -> Images:
        inputs = others | {"noise": noise, "truncation": np.ones(len(noise), np.float32)}
        inputs["seed"] = row_seeds(SEED, range(len(noise)))
        asked = {key: inputs[key] for key in signature.structured_input_signature[1]}
        return {key: image.numpy() for key, image in signature(**asked).items()}

    return drawn


def _elsewhere(folder: Path, row: Examples, threads: int) -> float:
    """Milliseconds in a process of its own: TensorFlow's threads cannot be changed once it has begun."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_time_saved_model, folder, row, threads).result()


def _time_saved_model(folder: Path, row: Examples, threads: int) -> float:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return _milliseconds(load(folder, "serving_default"), row)


def _by_threads(file: Path, row: Examples) -> dict[str, float]:
    return {str(threads): _milliseconds(signature_of(file, threads), row) for threads in THREADS}


def _milliseconds(draw: Draw, row: Examples) -> float:
    draw(**row)
    taken = []
    for _ in range(TIMED):
        start = time.perf_counter()
        draw(**row)
        taken.append(1e3 * (time.perf_counter() - start))
    return float(np.median(taken))
