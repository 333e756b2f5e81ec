"""When numbers stop being numbers: what is told, what is kept, and how training goes on without the bad batch."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from stackgan_tf.checkpoint import latest
from stackgan_tf.checkpoint_files import reason_of
from stackgan_tf.config import Config
from stackgan_tf.data.pipeline import BatchPlan
from stackgan_tf.errors import UserError
from stackgan_tf.files import whole
from stackgan_tf.training.state import TrainState
from stackgan_tf.training.step import Metrics, draw_noise

FOLDER = "post_mortem"  # of a run directory
MOST = 3  # post-mortems of a run: each is as large as a checkpoint, and the first ones tell most
ROLLBACKS = 3  # to the same checkpoint, before training stops all the same


class Diverged(Exception):
    """A step met what is not finite; the state is that before the update that failed."""

    def __init__(self, step: int, position: int, terms: Sequence[str], tensors: Sequence[str]) -> None:
        self.step, self.position, self.terms, self.tensors = step, position, terms, tensors
        super().__init__(f"step {step}: {_listed(terms)} not finite, in {_listed(tensors)}")


class Guard:
    """Looks whether a training is healthy, and does what `train.on_nan` says when it is not.

    Args:
        plan: of the batches.
        restore: goes back to the newest checkpoint.
        writes: whether the post-mortem is this process's to write.
    """

    def __init__(
        self,
        state: TrainState,
        config: Config,
        run_dir: Path,
        plan: BatchPlan,
        restore: Callable[[], None],
        writes: bool = True,
    ) -> None:
        self.writes = writes
        self.state, self.config, self.run_dir, self.plan = state, config, run_dir, plan
        self.restore = restore
        self.restored: list[int] = []  # every step that was gone back to

    def check(self, step: int, rows: Sequence[Metrics]) -> None:
        """Whether all is well.

        Args:
            step: how many were taken, failed ones too.
            rows: the metrics of the latest of them, the first that failed among these.

        Raises:
            Diverged: it is not.
        """
        state = self.state
        if bool(state.healthy.numpy()):
            return
        counted = int(state.step.numpy())  # the failed one and all after it are not
        failed = rows[counted - step]
        terms = [name for name, value in failed.items() if not np.isfinite(value)]
        raise Diverged(counted + 1, int(state.position.numpy()), terms, not_finite(state))

    def recover(self, diverged: Diverged) -> None:
        """Writes the post-mortem; with `rollback`, goes back to the newest checkpoint and on after the bad batch.

        Raises:
            UserError: `stop`, or there is nothing to go back to, or it did not help.
        """
        told = f"{diverged}; {self._post_mortem(diverged)}"
        way_out = "try lower learning rates, or --precision=float32"
        if self.config.train.on_nan == "stop":
            raise UserError(f"{told}; {way_out}, or --on_nan=rollback, which leaves the batch out")
        if latest(self.run_dir) is None:
            raise UserError(f"{told}; there is no checkpoint to go back to; {way_out}")
        try:
            self.restore()
        except UserError as error:
            raise UserError(f"{told}; there is no going back ({error})") from None
        step = int(self.state.step.numpy())
        if self.restored.count(step) == ROLLBACKS:
            raise UserError(f"{told}; going back to step {step} {ROLLBACKS} times has not helped; {way_out}")
        self.restored.append(step)
        self.state.position.assign(diverged.position + 1)
        self.state.healthy.assign(True)
        logging.warning("%s; back to step %d, and on with the batch after the bad one", told, step)

    def _post_mortem(self, diverged: Diverged) -> str:
        """Where it is, or why there is none."""
        folder = self.run_dir / FOLDER / f"step_{diverged.step:07d}"
        while folder.exists():
            folder = folder.with_name(f"{folder.name}_again")
        if len(list(folder.parent.glob("step_*"))) >= MOST:
            return f"no post-mortem: {folder.parent} has {MOST}"
        try:
            if self.writes:
                folder.parent.mkdir(exist_ok=True)
                self._write_post_mortem(diverged, folder)
        except (OSError, tf.errors.OpError) as error:
            return f"no post-mortem could be written ({reason_of(error)})"
        return f"{folder} has the batch, the noise and the state before"

    def _write_post_mortem(self, diverged: Diverged, folder: Path) -> None:
        state, train = self.state, self.config.train
        text, labels, *images = self.plan.fetch(diverged.position)
        sizes, position = state.generator.noise_sizes, tf.constant(diverged.position, tf.int64)
        noise = draw_noise(sizes, train.batch_size, train.seed, position, self.config.model.eps_distribution)
        report = {
            "step": diverged.step,
            "position": diverged.position,
            "seed": train.seed,
            "not_finite": {"terms": diverged.terms, "tensors": diverged.tensors},
            "loss_scales": {n: float(o.loss_scale.value) for n, o in state.optimizers.items() if o.loss_scale},
        }
        with whole(folder) as made:
            made.mkdir()
            shown = {f"images_{image.shape[-2]}": image for image in images}
            np.savez(made / "batch.npz", text_embedding=text, labels=labels, **shown, **noise)
            tf.train.Checkpoint(**state.parts()).write(str(made / "state"))
            (made / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def not_finite(state: TrainState) -> list[str]:
    """The weights that are not finite, then the gradients of the last update that were not, by name."""
    models = [(o, m) for o, m in zip(state.optimizers.values(), (*state.discriminators, state.generator), strict=True)]
    weights = [f"weights {v.path}" for _, m in models for v in m.variables if not np.isfinite(v.numpy()).all()]
    gradients = [
        f"gradient of {variable.path}"
        for optimizer, model in models
        for variable, finite in zip(model.trainable_variables, optimizer.finite.numpy(), strict=True)
        if not finite
    ]
    return weights + gradients


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "nothing that is logged"
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]
