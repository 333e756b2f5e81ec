"""Published networks become run directories, and back."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import tensorflow as tf

from stackgan_tf import cards, checkpoint, networks
from stackgan_tf import config as configs
from stackgan_tf.config import Config
from stackgan_tf.errors import UserError
from stackgan_tf.files import whole
from stackgan_tf.generation import run_config
from stackgan_tf.interop import official, torch_files

GENERATIONS = {"v1_stage1": "stackgan_v1", "v1_stage2": "stackgan_v1", "v2": "stackgan_v2"}
NOT_RELEASED = (  # fields that its generators do not have; none differs from its default in a published network
    "model.base_size",
    "model.conditioning_augmentation",
    "model.only_finest",
    "model.same_size",
    "model.straight",
    "model.stage2_text",
)
EMBEDDINGS = "char-CNN-RNN-embeddings.pickle"  # beside the published images, of the captions of the networks' data
NAMES = {"stackgan_v1": "StackGAN-v1", "stackgan_v2": "StackGAN-v2"}


class Judge(NamedTuple):
    """A published discriminator: its file, its base width, its tensors."""

    file: Path
    df: int
    state: official.State


def import_run(
    generation: str, generator: Path, discriminators: Sequence[Path], run_dir: Path, overrides: Sequence[str]
) -> Config:
    """Writes a run directory whose live and averaged generator are the published one; returns its configuration.

    Published files hold no optimizer: Adam starts anew where training goes on, and so do discriminators that are
    not given. The run counts as finished, at the step in the file's name (v2's `netG_<steps>.pth`) or that of an
    override of `train.steps`; at step 1 where neither tells.

    Args:
        generation: `stackgan_v1` or `stackgan_v2`.
        overrides: `section.field=value` for what the tensors do not tell.

    Raises:
        UserError: the run directory exists, or a file is not what it is said to be; nothing is written then.
    """
    if run_dir.exists():
        raise UserError(f"--run_dir={run_dir}: exists already; name a new one")
    drawer = _read(generator, generation, "generator")
    judges = _discriminators(discriminators, generation)
    config = cards.build(_told_by(drawer, judges, generator, generation), overrides)
    if judges and sorted(judges) != sorted(config.judged_scales):
        raise UserError(
            f"--discriminators: judge {_listed(sorted(judges))} pixels; this generator needs one for each of "
            f"{_listed(config.judged_scales)}, or none at all"
        )
    with tf.Graph().as_default():  # names and shapes only: no weight is drawn
        nets = networks.build(config) if judges else networks.Networks(networks.build_generator(config), ())
    values = _values(nets.generator, drawer, generator)
    parts = {"generator": _variables(values), "average": _variables(values)}
    if judges:
        found = [_values(d, judges[d.size].state, judges[d.size].file) for d in nets.discriminators]
        parts["discriminators"] = [_variables(values) for values in found]
    done = {name: tf.Variable(config.train.steps, dtype=tf.int64) for name in ("step", "position")}
    _write(run_dir, config, parts | done)
    return config


def export_run(run_dir: Path, file: Path) -> int:
    """Writes a run's averaged generator as the released code saves it; returns the step.

    Raises:
        UserError: the file exists, no run, no checkpoint, or a network that the released code does not have.
    """
    if file.exists():
        raise UserError(f"--to_torch={file}: exists already; name a new file")
    config = run_config(run_dir)
    changed = configs.differences(Config(), config)
    strange = [f"{name}={changed[name][1]!r}" for name in NOT_RELEASED if name in changed]
    if config.model.branches > 3:  # its fourth has one residual block whatever R_NUM is, its fifth cannot run
        strange.append(f"model.branches={config.model.branches}")
    if strange:
        raise UserError(f"--run_dir={run_dir}: the released code has no such network ({', '.join(strange)})")
    with tf.Graph().as_default():  # names and shapes only
        shapes = checkpoint.shapes_by_path(networks.build_generator(config))
    step, values = checkpoint.saved_generator(run_dir, shapes)
    generation = GENERATIONS[config.model.family]
    state = official.to_published(values, generation)
    torch_files.write(file, state, prefix=torch_files.PREFIX if generation == "stackgan_v2" else "")
    return step


def _discriminators(files: Sequence[Path], generation: str) -> dict[int, Judge]:
    """The published discriminators by the side of the images that they judge."""
    judges: dict[int, Judge] = {}
    for file in files:
        state = _read(file, generation, "discriminator")
        side, df = official.discriminator_size(state, str(file))
        if side in judges:
            raise UserError(f"--discriminators: {file} judges {side} pixels, as {judges[side].file} does")
        judges[side] = Judge(file, df, state)
    return judges


def _told_by(drawer: official.State, judges: dict[int, Judge], file: Path, generation: str) -> cards.Values:
    """The card of published networks, as far as their files tell."""
    values = official.generator_config(drawer, str(file))
    if judges:
        values["model"]["df"] = next(iter(judges.values())).df
    values["data"]["dataset"] = ""  # nobody knows; training and evaluation ask for it
    if values["model"].get("conditional", True):  # no other encoder means anything to such a network
        values["data"] |= {"text_encoder": "precomputed", "text_path": EMBEDDINGS}
    step = re.fullmatch(r"netG_(\d{1,15})\.pth", file.name) if generation == "stackgan_v2" else None
    values["train"] = {"steps": max(1, int(step[1])) if step else 1}
    if generation == "stackgan_v1":  # the preset follows the TensorFlow code of v1, these files the PyTorch code
        values["data"]["captions_per_image"] = 1
        values["model"]["eps_distribution"] = "normal"
        values["optimizer"] = {"halve_every_epochs": 20}
    return values


def _read(file: Path, generation: str, wanted: str) -> official.State:
    state = torch_files.read(file)
    found, network = official.kind(state, str(file))
    if found != generation:
        raise UserError(f"{file}: is a network of {NAMES[found]}, not of {NAMES[generation]}; use --from={found}")
    if not network.endswith(wanted):
        raise UserError(f"{file}: is a {network}, not a {wanted}")
    return state


def _values(model: keras.Model, state: official.State, file: Path) -> official.State:
    return official.to_ours(state, checkpoint.shapes_by_path(model), str(file))


def _listed(sides: Sequence[int]) -> str:
    return ", ".join(map(str, sides))


def _variables(values: official.State) -> dict[str, tf.Variable]:
    return {path: tf.Variable(value) for path, value in values.items()}


def _write(run_dir: Path, config: Config, parts: dict) -> None:
    """All of it or nothing."""
    try:
        run_dir.parent.mkdir(parents=True, exist_ok=True)
        with whole(run_dir) as made:
            made.mkdir()
            (made / "config.yaml").write_text(configs.dump(config), encoding="utf-8")
            checkpoint.write(made, parts)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--run_dir={run_dir}: cannot be written ({reason})") from None
