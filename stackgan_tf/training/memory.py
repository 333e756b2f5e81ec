"""How much memory a run needs: told before it starts, and where there was too little, with the way out."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from stackgan_tf.checkpoint import latest
from stackgan_tf.config import Config
from stackgan_tf.data import pipeline
from stackgan_tf.distribution import gpus
from stackgan_tf.errors import UserError
from stackgan_tf.training.liveness import peak_bytes
from stackgan_tf.training.state import TrainState
from stackgan_tf.training.step import TrainStep

# Measured on a CPU (BUILD_NOTES.md, "Memory").
PROCESS = 950e6  # bytes: Python, TensorFlow, what reads, draws and saves
OPERATION = 22e3  # bytes: of one of a traced step, in Python and in TensorFlow's executor
ALLOCATED = 1.4  # a byte of a tensor takes so many: convolutions' workspaces, and gaps between tensors
ON_GPU = 2  # batches: of this step and of the next one

Tell = Callable[[TrainStep, Any], None]


class Need(NamedTuple):
    """Bytes that training takes on a device; on a processor the program itself is among them."""

    process: float
    state: float  # weights, their moments and averages
    step: float  # all tensors of a step that live at once
    batches: float  # that are read ahead

    def __str__(self) -> str:
        names = ("TensorFlow", "weights, moments and averages", "a step", "batches")
        told = ", ".join(f"{name} {_gigabytes(part)}" for name, part in zip(names, self, strict=True) if part)
        return f"needs about {_gigabytes(sum(self))} GB of memory on each device ({told})"


def needed(step: TrainStep, batch: Any, device: str = "") -> Need:
    """What training takes on one of its devices. Traces the step, unless it is traced; the first call reuses that.

    Nothing is run: the variables may be those of a `tf.Graph`.

    Args:
        batch: specifications of what the step will be called with, as a data set has them.
        device: one replica's; by default where all is.
    """
    graph = step.__call__.get_concrete_function(tf.nest.map_structure(_as_called, batch)).graph
    on_gpu = bool(gpus())
    whole = (part for part in tf.nest.flatten(pipeline.batch_spec(step.config)) if part is not None)
    share = sum(map(_bytes, whole)) / step.strategy.num_replicas_in_sync
    return Need(
        process=0 if on_gpu else PROCESS + OPERATION * len(graph.get_operations()),
        state=state_bytes(step.state),
        step=ALLOCATED * peak_bytes(graph, device),
        batches=share * (ON_GPU if on_gpu else pipeline.held()),
    )


def state_bytes(state: TrainState) -> int:
    """Of every variable that is saved; what is not saved is a few flags."""
    return sum(map(_bytes, tf.nest.flatten(state.parts())))


@contextmanager
def told(config: Config, run_dir: Path) -> Iterator[Tell]:
    """Yields what tells of a step's need, and warns where there is too little; later lack of memory is told of too.

    Raises:
        UserError: there was too little memory.
    """
    said = "before its need was known"

    def tell(step: TrainStep, batch: Any) -> None:
        nonlocal said
        need = needed(step, batch, step.strategy.extended.worker_devices[0])
        said, (sentence, enough) = str(need), verdict(need, config)
        logging.log(logging.INFO if enough else logging.WARNING, "%s", sentence)

    try:
        yield tell
    except Exception as error:
        if not ran_out(error):
            raise
        train, saved = config.train, latest(run_dir)
        raise UserError(
            f"out of memory with train.batch_size={train.batch_size}, train.accumulate={train.accumulate}, "
            f"train.precision={train.precision} ({said}); {way_out(config)}; "
            + (f"the last checkpoint is {saved}" if saved else "nothing is saved yet")
        ) from None


def verdict(need: Need, config: Config) -> tuple[str, bool]:
    """What is needed and what there is, in a sentence, and whether it is enough."""
    free = free_bytes()
    if free is None:
        return str(need), True
    told, enough = f"{need}; {_gigabytes(free)} GB are free", sum(need) <= free
    return (told if enough else f"{told}; too little: {way_out(config)}"), enough


def way_out(config: Config) -> str:
    """Which flags take less memory."""
    train, model = config.train, config.model
    recompute = "" if train.recompute else " or --set train.recompute=true"
    precision = "--precision=mixed_bfloat16, " if train.precision == "float32" else ""
    return (
        f"use --accumulate=K above {train.accumulate}{recompute}; or, in another --run_dir, "
        f"{precision}--batch_size below {train.batch_size}, "
        f"--set model.gf= below {model.gf} or model.df= below {model.df}"
    )


def ran_out(error: Exception) -> bool:
    """Whether an error says that this process got no memory: not that a disk is full, or that another one failed."""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return not any(other in error.message for other in ("No space left", "Collective ops is aborted"))
    return isinstance(error, MemoryError)


def free_bytes() -> float | None:
    """What the devices of this machine have for this process, what it has taken included; None where nobody says.

    Of a GPU all of it: TensorFlow takes all at once. Of a processor what Linux says is available, or else all; no
    more than the control group (a container) may have.
    """
    if gpus():
        return _of_gpus()
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        own = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    free = own + next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    limit = Path("/sys/fs/cgroup/memory.max")
    most = limit.read_text(encoding="utf-8").strip() if limit.is_file() else "max"
    return free if most == "max" else min(free, float(most))


def _of_gpus() -> float | None:
    """Of the smallest GPU."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return min(float(line) for line in listed.splitlines()) * 2**20
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def _as_called(spec: tf.TypeSpec | None) -> tf.TypeSpec | None:
    """A data set specifies nothing as a NoneTensorSpec; to a function that is another argument than None."""
    return None if spec == tf.type_spec_from_value(None) else spec


def _bytes(tensor: tf.Variable | tf.TensorSpec) -> int:
    return tensor.shape.num_elements() * tensor.dtype.size


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f}"
