"""Which precision a machine computes fastest in."""

import dataclasses
from pathlib import Path

import tensorflow as tf
from absl import logging

from stackgan_tf.config import Config
from stackgan_tf.generation import run_config

CPU_FLAGS = {"amx_bf16", "avx512_bf16"}  # of Linux, for processors that multiply bfloat16


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

    bfloat16 on processors and GPUs that multiply it (from compute capability 8.0, Ampere, on), float16 on GPUs of 7.x
    (Volta, Turing), else float32: on GPUs before these half precision is no faster.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        known = sorted(CPU_FLAGS & _cpu_flags())
        if known:
            return "mixed_bfloat16", f"the processor has {known[0]}"
        return "float32", "the processor multiplies no half precision"
    told = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    major, minor = min(details.get("compute_capability", (0, 0)) for details in told)
    precision = "mixed_bfloat16" if major >= 8 else "mixed_float16" if major == 7 else "float32"
    return precision, f"the GPU has compute capability {major}.{minor}"


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()  # not Linux
    return set(next((line for line in lines if line.startswith("flags")), "").split())
