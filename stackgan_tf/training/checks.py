"""Whether a run can start or go on; asked before any data is read. Nothing here writes."""

from pathlib import Path

import keras

from stackgan_tf import checkpoint, pretrained
from stackgan_tf import config as configs
from stackgan_tf.config import Config
from stackgan_tf.data.prepare import builder_class
from stackgan_tf.errors import UserError
from stackgan_tf.generation import load_generator, run_config
from stackgan_tf.training.start import check_start

# What may change when a run goes on: how long it goes, in what memory, what it writes, and what it does where numbers
# go wrong.
RESUMABLE = (
    "train.steps",
    "train.accumulate",
    "train.recompute",
    "train.on_nan",
    "train.log_every_steps",
    "train.sample_every_steps",
    "train.checkpoint_every_steps",
    "train.keep_checkpoints",
    "train.keep_every_hours",
)


def check(config: Config, run_dir: Path, resume: str, replicas: int) -> None:
    """Whether a run can start, as far as it can be told without its data.

    Raises:
        UserError: as `builder_class`, `check_shares`, `check_run_dir`, `check_start` and, for Stage-II, `check_stage1`.
    """
    builder_class(config.data.dataset)
    check_shares(config, replicas)
    if check_run_dir(run_dir, config, resume):
        return
    if config.train.start_from:
        check_start(config)
    elif config.model.family == "v1_stage2":
        check_stage1(config)


def check_shares(config: Config, replicas: int) -> None:
    """Whether each replica can have its share of the batch in parts.

    Raises:
        UserError: the parts do not divide a replica's share of the batch; or v1 with a part that has no pair of
            neighbours (TensorFlow's convolution of an empty batch fails).
    """
    train = config.train
    share = train.batch_size // replicas
    if share % train.accumulate:
        raise UserError(
            f"train.accumulate={train.accumulate}: does not divide the {share} images that a replica has of the batch"
        )
    if config.model.family != "v2" and share // train.accumulate < 2:
        least = 2 * replicas * train.accumulate
        raise UserError(
            f"train.batch_size={train.batch_size}: v1 pairs neighbours, so that each of {replicas} replicas "
            f"needs two images in each of {train.accumulate} parts; use at least {least}"
        )


def check_run_dir(run_dir: Path, config: Config, resume: str) -> bool:
    """Whether the run directory holds a run to go on with.

    Args:
        resume: `auto` goes on where there is a checkpoint, `must` insists on one, `never` on a new directory.

    Raises:
        UserError: `resume` cannot be followed, or the directory cannot be used or is of another configuration.
    """
    for folder in (run_dir, *run_dir.parents):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--run_dir={run_dir}: {folder} is a file; name a folder")
    if pretrained.is_pretrained(run_dir):
        raise UserError(
            f"--run_dir={run_dir}: is a trained model; name a new folder, and start from it with --start_from={run_dir}"
        )
    used = run_dir.is_dir() and any(run_dir.iterdir())
    if used and not (run_dir / "config.yaml").is_file():
        raise UserError(f"--run_dir={run_dir}: holds other files and no config.yaml; name a new or empty folder")
    if used and resume == "never":
        raise UserError(f"--run_dir={run_dir}: holds a run; name another folder, or go on with --resume=auto")
    if used:
        changed = {
            name: values
            for name, values in configs.differences(run_config(run_dir), config).items()
            if name not in RESUMABLE or (name == "train.steps" and config.optimizer.decay != "none")  # sets the rates
        }
        if changed:
            listed = ", ".join(f"{name} was {old!r}, now {new!r}" for name, (old, new) in changed.items())
            raise UserError(
                f"--run_dir={run_dir}: holds a run of another configuration ({listed}); name another folder"
            )
    path = checkpoint.latest(run_dir) if used else None
    if path and checkpoint.checkpoint_step(path) > config.train.steps:
        raise UserError(f"--steps={config.train.steps}: the run is at step {checkpoint.checkpoint_step(path)} already")
    if resume == "must" and not path:
        raise UserError(
            f"--run_dir={run_dir}: --resume=must finds no checkpoint there; name the run, or use --resume=auto"
        )
    return path is not None


def check_out(out: Path, file: str, said: str) -> None:
    """Whether a network can be trained, or gone on with, in a folder of its own.

    Args:
        file: of its configuration in the folder.
        said: what that must be.

    Raises:
        UserError: the folder holds another one, or something else.
    """
    if (out / file).is_file() and (out / file).read_text(encoding="utf-8") != said:
        raise UserError(f"--out={out}: holds a network of another configuration; name another folder")
    if out.exists() and not (out / file).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out={out}: holds other files; name a new or empty folder")


def check_stage1(config: Config) -> Path:
    """The run directory of the Stage-I that Stage-II starts from, or the folder of a model of the repository.

    Raises:
        UserError: none is named, it is no Stage-I run, it did not end, or its sizes or texts are others.
    """
    if not config.train.stage1_run_dir:
        raise UserError(
            "train.stage1_run_dir='': Stage-II starts from a Stage-I run; name it with --stage1_run_dir=DIR"
        )
    run_dir = pretrained.folder_of(config.train.stage1_run_dir)
    stage1 = run_config(run_dir)
    if stage1.model.family != "v1_stage1":
        raise UserError(f"--stage1_run_dir={run_dir}: is a run of {stage1.model.family}, not of v1_stage1")
    try:
        configs.check_stages(stage1, config)
    except UserError as error:
        raise UserError(f"--stage1_run_dir={run_dir}: {error}") from None
    if pretrained.is_pretrained(run_dir):  # whoever published it said that it is finished
        return run_dir
    path = checkpoint.latest(run_dir)
    if path is None:
        raise UserError(f"--stage1_run_dir={run_dir}: has no checkpoint yet; train it first")
    _check_finished(run_dir, stage1, checkpoint.checkpoint_step(path))
    return run_dir


def stage1_generator(config: Config) -> keras.Model:
    """The averaged generator of the Stage-I that Stage-II starts from.

    Raises:
        UserError: as `check_stage1`; or the checkpoint of its end is damaged.
    """
    run_dir = check_stage1(config)
    artist = load_generator(run_dir)
    if not pretrained.is_pretrained(run_dir):
        _check_finished(run_dir, artist.config, artist.step)
    return artist.generator


def _check_finished(run_dir: Path, stage1: Config, step: int) -> None:
    if step < stage1.train.steps:
        raise UserError(
            f"--stage1_run_dir={run_dir}: is at step {step} of {stage1.train.steps}; finish it first, "
            f"or declare it finished by training it with --steps={step}"
        )
