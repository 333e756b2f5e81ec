"""The loop: batches in, steps, callbacks, checkpoints."""

import math
import time
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from stackgan_tf.checkpoint import Checkpoints
from stackgan_tf.config import TrainConfig
from stackgan_tf.interrupts import catch_interrupts
from stackgan_tf.structs import Batch
from stackgan_tf.training.callbacks import Callback, Callbacks
from stackgan_tf.training.state import TrainState
from stackgan_tf.training.step import Metrics


def run_loop(
    state: TrainState,
    train_step: Callable[[Batch], Metrics],
    batches: Iterator[Batch],
    config: TrainConfig,
    checkpoints: Checkpoints,
    callbacks: Sequence[Callback],
    check: Callable[[int, Sequence[Metrics]], None] = lambda step, rows: None,
    on_any: Callable[[bool], bool] = bool,
) -> bool:
    """Trains from the state's step to `config.steps`; saves at the end, and when interrupted.

    An interrupt waits for the step, what the callbacks do after it, and a save; before the first step is done it ends
    the run at once: there is nothing to save, and tracing a step takes as long as many steps do.

    Args:
        check: looks at the step and the metrics since the last log before anything is logged or saved, and may raise.
        on_any: whether what is true of this process is true of any of those that train together.

    Returns:
        Whether the end was reached; False after an interrupt (Ctrl-C or SIGTERM).

    Raises:
        UserError: the state cannot be saved at the end. While there is more to come this is a warning.
        tf.errors.OpError: there is no next batch; what was trained is saved.
    """
    step = start = int(state.step.numpy())
    everyone = Callbacks(callbacks)
    window = MetricsWindow(config.batch_size)
    try:
        with catch_interrupts(when=lambda: step > start) as interrupted:
            while step < config.steps and not on_any(interrupted()):
                try:
                    batch = next(batches)
                except tf.errors.OpError:
                    checkpoints.save()
                    raise
                window.add(train_step(batch))
                step += 1
                if step % config.log_every_steps == 0 or step == config.steps:
                    check(step, window.rows)
                    everyone.on_log(step, window.means())
                if step % config.sample_every_steps == 0 or step == config.steps:
                    everyone.on_sample(step)
                    window.restart_clock()
                if step % config.checkpoint_every_steps == 0 and step < config.steps:
                    check(step, window.rows)
                    checkpoints.save()
                    window.restart_clock()
            check(step, window.rows)
            checkpoints.save(last=True)
    finally:
        everyone.on_end()
    return step >= config.steps


class MetricsWindow:
    """Means of the finite metrics of some steps, and the speed of these steps alone.

    What is not finite under float16 is of a step that was skipped, and counted by itself.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self._start(time.perf_counter())

    def _start(self, now: float) -> None:
        self.rows: list[Metrics] = []
        self.began, self.timed_from = now, 0

    def add(self, metrics: Metrics) -> None:
        """Takes the metrics of one step."""
        self.rows.append(metrics)

    def restart_clock(self) -> None:
        """Leaves the time since the last step out of the speed."""
        self.began, self.timed_from = time.perf_counter(), len(self.rows)

    def means(self) -> dict[str, float]:
        """The means since the last call, NaN where nothing was finite, and `images_per_second`."""
        means = {name: _finite_mean([float(row[name]) for row in self.rows]) for name in self.rows[0]}
        now = time.perf_counter()
        means["images_per_second"] = self.batch_size * (len(self.rows) - self.timed_from) / (now - self.began)
        self._start(now)
        return means


def _finite_mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
