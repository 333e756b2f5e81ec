"""What the authors' released code computes, and the same asked of ours: see `golden/README.md`."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from stackgan_tf import config as configs
from stackgan_tf.config import Config
from stackgan_tf.interop import official, torch_files
from stackgan_tf.structs import Batch
from stackgan_tf.training import step as step_module
from stackgan_tf.training.state import TrainState
from stackgan_tf.training.step import TrainStep
from tests.golden.make_inputs import pictures

HERE = Path(__file__).parent / "golden"
OFFICIAL = Path(__file__).parents[2] / "shared/golden/official"  # larger ones, where they lie beside the checkout
NAMES = ("stackgan_v1_stage1", "stackgan_v1_stage2", "stackgan_v2_cond", "stackgan_v2_uncond")
SIDES = (64, 128, 256)


class GoldenCase(NamedTuple):
    """Networks as the released code saves them, what goes in, and what must come out."""

    name: str
    generator: official.State
    discriminators: list[official.State]
    arrays: dict[str, np.ndarray]
    stride: dict[int, int]  # of the pixels that are kept, by the side of the image

    @property
    def generation(self) -> str:
        return self.name[: len("stackgan_v1")]

    def config(self, **sections) -> Config:
        values = official.generator_config(self.generator, self.name)
        values["model"]["df"] = official.discriminator_size(self.discriminators[0], self.name)[1]
        values["train"] = {"batch_size": len(self.arrays["z"])}
        if self.name.endswith("uncond"):
            values["loss"] = {"color_weight": 50.0}
        for section, fields in sections.items():
            values.setdefault(section, {}).update(fields)
        return configs.from_dict(values)

    def noise(self) -> dict[str, np.ndarray]:
        names = {"stackgan_v1_stage1": {"eps": "eps_stage1"}, "stackgan_v1_stage2": {"eps": "eps_stage2"}}
        theirs = {"z": "z", "eps": "eps"} | names.get(self.name, {}) | {"eps_stage1": "eps_stage1"}
        wanted = ["z"] + ["eps"] * (not self.name.endswith("uncond")) + ["eps_stage1"] * self.name.endswith("stage2")
        return {name: self.arrays[theirs[name]] for name in wanted}

    def text(self) -> dict[str, np.ndarray]:
        return {} if self.name.endswith("uncond") else {"text_embedding": self.arrays["text_embedding"]}

    def batch(self, config: Config) -> Batch:
        real = tuple(self.arrays[f"real{side}"] for side in config.judged_scales)
        if not config.model.conditional:
            return Batch(real)
        text = self.text()["text_embedding"]
        if config.model.family == "v2":
            return Batch(real, text, tuple(self.arrays[f"wrong{side}"] for side in config.judged_scales))
        weight = np.array([len(text) / (len(text) - 1)] * (len(text) - 1) + [0], np.float32)
        return Batch(real, text, None, np.roll(text, -1, axis=0), weight)

    def fill(self, state: TrainState) -> None:
        """The released weights into our networks."""
        theirs = (self.generator, self.generator, *self.discriminators)
        for model, values in zip((state.generator, state.average, *state.discriminators), theirs, strict=True):
            ours = official.to_ours(values, {v.path: tuple(v.shape) for v in model.variables}, self.name)
            for variable in model.variables:
                variable.assign(ours[variable.path])


def small(name: str) -> GoldenCase:
    """A case of this repository."""
    arrays = dict(np.load(HERE / f"{name}.npz"))
    states: dict[str, official.State] = {}
    for key in [key for key in arrays if key.startswith("net")]:
        net, _, tensor = key.partition("/")
        states.setdefault(net, {})[tensor] = arrays.pop(key)
    generator = states.pop("netG")
    sides = {"stackgan_v1_stage1": (64,), "stackgan_v1_stage2": (256,)}.get(name, (64, 128))
    for k, kind in enumerate(("real", "wrong")):
        images = pictures(int(arrays["seed"]) + k, len(arrays["z"]), sides)
        arrays |= {f"{kind}{side}": image for side, image in zip(sides, images, strict=True)}
    return GoldenCase(name, generator, [states[key] for key in sorted(states)], arrays, {s: s // 32 for s in SIDES})


def large(name: str) -> GoldenCase:
    """A case beside the checkout; needs PyTorch."""
    folder = OFFICIAL / name
    (generator,) = folder.glob("netG*.pth")
    arrays = dict(np.load(folder / "golden.npz"))
    by_step = ("z", "text", "eps", "loss", "grad")  # one step is there
    arrays |= {
        key: np.ravel(value)[0] if value.size == 1 else value[0]
        for key, value in arrays.items()
        if key.startswith(by_step)
    }
    arrays = {key.replace("/module.", "/"): value for key, value in arrays.items()}
    if "eval_prob_D" in arrays:
        arrays["eval_prob_D0"] = arrays.pop("eval_prob_D")
    discriminators = [torch_files.read(file) for file in sorted(folder.glob("netD*.pth"))]
    return GoldenCase(name, torch_files.read(generator), discriminators, arrays, dict.fromkeys(SIDES, 1))


class Rehearsal:
    """One real training step of ours from a case's weights, as often as is asked, its noise given instead of drawn."""

    def __init__(self, case: GoldenCase, strategy, monkeypatch, **sections) -> None:
        self.case, self.strategy, self.config = case, strategy, case.config(**sections)
        self.state = TrainState(self.config, strategy, steps_per_epoch=10)
        case.fill(self.state)
        optimizers = (self.state.generator_optimizer, *self.state.discriminator_optimizers)
        networks = (self.state.generator, self.state.average, *self.state.discriminators)
        self.start = [(v, v.numpy()) for part in (*networks, *optimizers) for v in part.variables]
        self.noise = {name: tf.Variable(value) for name, value in case.noise().items()}
        given = lambda *_: {name: value.read_value() for name, value in self.noise.items()}  # noqa: E731
        monkeypatch.setattr(step_module, "draw_noise", given)
        self.train_step = TrainStep(self.state, strategy, self.config)
        dataset = tf.data.Dataset.from_tensors(case.batch(self.config))
        self.batch = next(iter(strategy.experimental_distribute_dataset(dataset)))

    def step(self) -> dict[str, float]:
        """One step from where we are: the loss terms."""
        return {name: float(value) for name, value in self.train_step(self.batch).items()}

    def first_step(self, nudge: float = 0.0, seed: int = 0) -> tuple[dict[str, float], dict[str, float]]:
        """One step from the case's weights: loss terms and gradient norms, by the golden's names.

        Adam's first moment after one step is (1 - beta_1) times the gradient that all replicas have in common.

        Args:
            nudge: relative size of random changes of the noise.
        """
        for variable, value in self.start:
            variable.assign(value)
        rng = np.random.default_rng(seed)
        for name, value in self.case.noise().items():
            self.noise[name].assign((value * (1 + nudge * rng.standard_normal(value.shape))).astype(np.float32))
        return self._losses(self.step()), self._gradient_norms()

    def _losses(self, metrics: dict[str, float]) -> dict[str, float]:
        found = {"loss_G_total": metrics["g/loss"]}
        if "g/kl" in metrics:
            found["loss_KL"] = self.config.loss.kl_weight * metrics["g/kl"]
        for i in range(len(self.state.discriminators)):
            suffix = i if self.case.generation == "stackgan_v2" else ""
            found[f"loss_D{suffix}"] = metrics[f"d{i}/loss"]
            terms = [metrics.get(f"g/{kind}/{i}", 0.0) for kind in ("conditional", "unconditional")]
            found[f"loss_G_adv{suffix}"] = sum(terms)
        if self.case.generation == "stackgan_v1":
            names = {"real": "real", "wrong": "mismatched", "fake": "fake"}
            found |= {f"loss_D_{theirs}": metrics[f"d0/{ours}"] for theirs, ours in names.items()}
        if "loss_color_mean" in self.case.arrays:
            colors = [value for name, value in metrics.items() if name.startswith("g/color")]
            found["color"] = self.config.loss.color_weight * sum(colors)
        return found

    def _gradient_norms(self) -> dict[str, float]:
        state, found = self.state, {}
        pairs = [("G", state.generator, state.generator_optimizer)]
        for i, pair in enumerate(zip(state.discriminators, state.discriminator_optimizers, strict=True)):
            pairs.append((f"D{i}" if self.case.generation == "stackgan_v2" else "D", *pair))
        for network, model, optimizer in pairs:
            for variable, moment in zip(model.trainable_variables, optimizer.adam.m.values(), strict=True):
                name = official.published_name(variable.path, self.case.generation)
                if self.case.name.endswith("uncond"):
                    name = name.replace("uncond_logits", "logits")
                found[f"gradnorm_{network}/{name}"] = float(np.linalg.norm(moment.numpy())) / (
                    1 - optimizer.adam.beta_1
                )
        return found
