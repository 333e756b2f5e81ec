"""The configuration of a run: frozen dataclasses, strict about every name and value.

Imports no TensorFlow, so that `--help` and `--dry_run` errors are instant.
"""

import dataclasses
import difflib
import typing
from dataclasses import dataclass, field
from typing import Any

import yaml

from stackgan_tf import config_rules
from stackgan_tf.errors import UserError

SHARED_BY_STAGES = (
    "data.dataset",
    "data.text_encoder",
    "data.text_size",
    "model.gf",
    "model.condition_size",
    "model.noise_size",
    "model.base_size",
    "model.conditioning_augmentation",
    "model.eps_distribution",
)


@dataclass(frozen=True)
class DataConfig:
    """What is learnt from."""

    dataset: str = "shapes"  # a module of stackgan_tf/data/builders
    text_encoder: str = "hashing"  # a module of stackgan_tf/text
    text_path: str = ""  # the encoder's weights or table, where it has none of its own
    text_size: int = 0  # T; 0: what the encoder gives
    captions_per_image: int = 1  # a step shows the mean of the embeddings of so many captions of an image
    box_crop: bool = True  # where images have a box, first crop to it
    random_crop: bool = True  # load at 76/64 of the largest scale, then crop; else load at the scale itself
    random_flip: bool = True  # mirror half of the images; off where captions say left and right
    shuffle_captions: bool = False  # known-bad control: each image gets the caption of a random other one


@dataclass(frozen=True)
class ModelConfig:
    """Which network, and its widths. The defaults are the published three-branch StackGAN-v2."""

    family: str = "v2"
    conditional: bool = True  # v1 always is
    branches: int = 3  # v2: number of scales, 1 to 5
    base_size: int = 64  # side of the coarsest image; 64 as published
    gf: int = 64
    df: int = 64
    discriminator_norm: str = "batch"  # as published; layer keeps D from judging a batch as a whole (layers.NORMS)
    spectral_norm: bool = False  # divides D's kernels by their spectral norms
    noise_size: int = 100  # Z
    condition_size: int = 128  # E
    residual_blocks: int = 2  # R_NUM, before each refinement (v2) or in Stage-II (v1)
    eps_distribution: str = "normal"  # of CA; truncated_normal cuts it off at two standard deviations
    conditioning_augmentation: bool = True  # CA; without it c is mu, and there is no KL term
    only_finest: bool = False  # v2: the last branch alone has an image and a loss
    same_size: bool = False  # v2: every branch draws at the finest size, as wide as the tree is there
    straight: bool = False  # v1 Stage-I: draws at Stage-II's size at once, as wide at each size as before
    stage2_text: bool = True  # v1 Stage-II: G reads the text a second time
    stage1_batch_statistics: bool = True  # v1 Stage-II: the frozen Stage-I normalises by the batch, as released

    @property
    def name(self) -> str:
        """As in the names of the cards: `v2`, `v2_unconditional`, `v1_stage1`, `v1_stage2`."""
        return self.family if self.conditional else f"{self.family}_unconditional"


@dataclass(frozen=True)
class LossConfig:
    """What G and D are taught: which adversarial loss, and the weights of the terms beside it."""

    adversarial: str = "logistic"  # as published; hinge, least_squares
    label_smoothing: float = 0.0  # s: D is asked for 1 - s where a photograph is real; logistic only
    r1_weight: float = 0.0  # gamma; 0: none
    r1_every_steps: int = 16  # R1 is there on every so many steps, so many times as heavy
    matching_aware_weight: float = 0.0  # k; 2 in its paper
    diff_augment: str = ""  # what D sees is augmented, as in color,translation,cutout
    joint: bool = True  # v2 with text: JCU, each D judges with and without the text
    detach_condition: bool = False  # v2: L_G does not reach mu through D; so in v1 always, in v2 as released never
    kl_weight: float = 2.0
    kl_reduction: str = "mean"  # over the E entries; sum is the divergence itself
    color_weight: float = 0.0  # alpha; 50 for the unconditional task
    color_mean_weight: float = 1.0  # lambda_1
    color_covariance_weight: float = 5.0  # lambda_2


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam, one for G and one for each D."""

    generator_learning_rate: float = 2e-4
    discriminator_learning_rate: float = 2e-4
    beta_1: float = 0.5
    beta_2: float = 0.999
    halve_every_epochs: int = 0  # 0: never
    decay: str = "none"  # linear or cosine: down to 0 at the end of the run
    decay_from: float = 0.5  # the share of the run before that
    warmup_steps: int = 0  # the rates rise over so many first steps


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast, and what is left behind."""

    steps: int = 100_000
    batch_size: int = 24  # of an update, over all replicas
    accumulate: int = 1  # parts that a replica's share of the batch is computed in, one after the other, to save memory
    recompute: bool = False  # blocks keep their inputs only, and are computed again for the gradient, to save memory
    precision: str = "float32"  # auto: the fastest of this machine, decided when the run begins
    on_nan: str = "stop"  # where numbers are not finite; rollback goes on from the last checkpoint, after the batch
    seed: int = 0
    ema_decay: float = 0.999
    start_from: str = ""  # a run, or a pretrained model, whose networks training starts from
    stage1_run_dir: str = ""  # v1 Stage-II: the finished Stage-I run it starts from
    log_every_steps: int = 10
    sample_every_steps: int = 500
    checkpoint_every_steps: int = 1000
    keep_checkpoints: int = 3  # the newest so many
    keep_every_hours: float = 0.0  # of the older ones, one every so many hours stays for ever; 0: none


@dataclass(frozen=True)
class Config:
    """All of a run."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    @property
    def scales(self) -> tuple[int, ...]:
        """Sides in pixels of the images that G draws, coarsest first."""
        model = self.model
        if model.family == "v1_stage2":
            return (model.base_size, 4 * model.base_size)
        if model.family == "v1_stage1":
            return (4 * model.base_size if model.straight else model.base_size,)
        sides = tuple(model.base_size * 2**i for i in range(model.branches))
        if model.only_finest:
            return sides[-1:]
        return sides[-1:] * model.branches if model.same_size else sides

    @property
    def judged_scales(self) -> tuple[int, ...]:
        """Sides of the images that have a discriminator: all, but for Stage-II, where Stage-I is frozen."""
        return self.scales[-1:] if self.model.family == "v1_stage2" else self.scales


def from_dict(values: dict[str, Any]) -> Config:
    """A validated configuration from nested mappings; what is not named keeps its default.

    Raises:
        UserError: an unknown key, a value of the wrong type or out of range.
    """
    config = _section(Config, values, "")
    config_rules.check(flat(config), DEFAULTS)
    return config


def dump(config: Config) -> str:
    """The whole configuration as YAML, every field named."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False)


def differences(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """`{"section.field": (old, new)}` for every field that differs."""
    flat_old, flat_new = flat(old), flat(new)
    return {name: (value, flat_new[name]) for name, value in flat_old.items() if value != flat_new[name]}


def check_stages(stage1: Config, stage2: Config) -> None:
    """Whether a Stage-II fits a Stage-I: their data, text and widths.

    Raises:
        UserError: it does not.
    """
    for name, (first, second) in differences(stage1, stage2).items():
        if name in SHARED_BY_STAGES:
            raise UserError(f"Stage-I has {name}={first!r}, Stage-II {second!r}; they must be the same")


def _section(cls: type, values: Any, prefix: str) -> Any:
    if not isinstance(values, dict):
        raise UserError(f"{prefix.rstrip('.') or 'configuration'}: must be a mapping, not {values!r}")
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            raise UserError(f"{prefix}{key}: unknown key{_suggest(str(key), list(hints))}")
    read = {
        key: _section(hints[key], value, f"{prefix}{key}.")
        if dataclasses.is_dataclass(hints[key])
        else _typed(value, hints[key], f"{prefix}{key}")
        for key, value in values.items()
    }
    return cls(**read)


def _typed(value: Any, hint: type, name: str) -> Any:
    if hint is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 2e-4 as a string
        except (ValueError, OverflowError):
            pass
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UserError(f"{name}={value!r}: must be of type {hint.__name__}")


def _suggest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; choose from {', '.join(known)}"


def flat(config: Config) -> dict[str, Any]:
    """Every field by its name, `section.field`."""
    return {
        f"{section}.{name}": value
        for section, values in dataclasses.asdict(config).items()
        for name, value in values.items()
    }


def said(config: Config) -> dict[str, str]:
    """Every field by its name, as text: what all that train together must say alike."""
    return {name: repr(value) for name, value in flat(config).items()}


DEFAULTS = flat(Config())
