"""Which precision a machine computes fastest in."""

import dataclasses
import os
import time
from pathlib import Path

import tensorflow as tf
from absl import logging

from stackgan_tf.config import Config
from stackgan_tf.generation import run_config

LEAST_GAIN = 1.2  # of a product in bfloat16, to be worth it: what lies between the products gains nothing


def resolved(config: Config, run_dir: Path) -> Config:
    """The configuration with `auto` decided: as its run began, or else as is fastest here; says so."""
    if config.train.precision != "auto":
        return config
    if (run_dir / "config.yaml").is_file():
        precision, why = run_config(run_dir).train.precision, f"{run_dir} began so"
    else:
        precision, why = fastest()
    logging.info("--precision=auto: %s, because %s", precision, why)
    return dataclasses.replace(config, train=dataclasses.replace(config.train, precision=precision))


def fastest() -> tuple[str, str]:
    """The precision for this machine, and the reason.

    bfloat16 on GPUs from compute capability 8.0 (Ampere) on, float16 on those of 7.x (Volta, Turing), else float32: on
    GPUs before these half precision is no faster. bfloat16 on processors with AMX; of those that have AVX512-BF16 only,
    some multiply it at twice the rate of float32 and some at half, so a product is timed; not under TF_CONFIG.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        known = _cpu_flags()
        if "amx_bf16" in known:
            return "mixed_bfloat16", "the processor has AMX"
        if "avx512_bf16" not in known:
            return "float32", "the processor multiplies no half precision"
        if "TF_CONFIG" in os.environ:  # workers must decide alike
            return "float32", "many workers time nothing, and the processor has no AMX"
        gain = _gain()
        precision = "mixed_bfloat16" if gain >= LEAST_GAIN else "float32"
        return precision, f"the processor multiplies bfloat16 {gain:.1f} times as fast as float32"
    told = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    major, minor = min(details.get("compute_capability", (0, 0)) for details in told)
    precision = "mixed_bfloat16" if major >= 8 else "mixed_float16" if major == 7 else "float32"
    return precision, f"the GPU has compute capability {major}.{minor}"


def _gain() -> float:
    """How many times as fast as in float32 this machine multiplies two matrices in bfloat16; the best of five each."""
    best = {}
    for _ in range(5):
        for dtype in (tf.float32, tf.bfloat16):
            matrix = tf.ones((1024, 1024), dtype)
            start = time.perf_counter()
            tf.matmul(matrix, matrix).numpy()
            best[dtype] = min(best.get(dtype, float("inf")), time.perf_counter() - start)
    return best[tf.float32] / best[tf.bfloat16]


def _cpu_flags() -> set[str]:
    """As Linux names them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()  # not Linux
    return set(next((line for line in lines if line.startswith("flags")), "").split())
