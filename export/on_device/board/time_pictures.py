"""How long a picture takes on this machine, and how much memory: a line for each generator of a folder.

python time_pictures.py ../../../models/flowers/tflite/1
"""

import multiprocessing
import resource
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from stackgan_tf.on_device import TEXT_ENCODER, OnDevice

THREADS = (1, 2, 4)
TIMED = 7  # pictures, after one that does not count


def main() -> None:
    """The table."""
    files = sorted(Path(sys.argv[1]).glob("*.tflite")) if len(sys.argv) == 2 else []
    if not files:
        sys.exit("error: name a folder of .tflite files, which python -m stackgan_tf.export --format=tflite wrote")
    _say("", "file", *(f"{threads} thread{'s' * (threads > 1)}" for threads in THREADS), "memory")
    for file in files:
        if file.name != TEXT_ENCODER:
            found = [_elsewhere(file, threads) for threads in THREADS]
            times = (f"{milliseconds:.0f} ms" for milliseconds, _ in found)
            peak = max(megabytes for _, megabytes in found)
            _say(file.name, f"{file.stat().st_size / 1e6:.1f} MB", *times, f"{peak:.0f} MB")


def measured(file: Path, threads: int) -> tuple[float, float]:
    """Milliseconds a picture, the median, and megabytes of the whole process, the most that it had."""
    artist = OnDevice(file, threads)
    asked = np.ones((1, artist.encoder.size), np.float32) if artist.encoder else 1
    times = []
    for _ in range(1 + TIMED):
        start = time.perf_counter()
        artist(asked)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _say(name: str, *figures: str) -> None:
    sys.stdout.write(f"{name:24}{''.join(f'{figure:>12}' for figure in figures)}\n")
    sys.stdout.flush()


def _elsewhere(file: Path, threads: int) -> tuple[float, float]:
    """In a process of its own: what another file took would count as well."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(measured, file, threads).result()


if __name__ == "__main__":
    main()
