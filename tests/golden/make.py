"""Makes the golden data of this folder: what the authors' released code computes on small networks. See README.md.

    python -m tests.golden.make --v1=CLONE --v2=CLONE    # of StackGAN-Pytorch and of StackGAN-v2

Needs PyTorch, easydict and six. Their networks, initialisation, losses and updates are used as they are; only what
hangs on Python 2, CUDA or an old PyTorch is put aside (`borrow`).
"""

import argparse
import importlib
import sys
import types
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch

from tests.golden.make_inputs import pictures

HERE = Path(__file__).parent
CASES = ("stackgan_v1_stage1", "stackgan_v1_stage2", "stackgan_v2_cond", "stackgan_v2_uncond")
SIZES = {"gf": 4, "df": 2, "E": 8, "Z": 6, "T": 10, "R": 1, "branches": 2}
SIDES = {"stackgan_v1_stage1": (64,), "stackgan_v1_stage2": (256,)}  # that D judges; elsewhere 64 and 128
BATCH = 4  # two images on each of two replicas
NUDGES = (1e-7, -1e-7, 3e-7)  # of all inputs, relative: about the rounding of float32
SEEDS = 6  # at most; the steadiest is kept
CERTAIN = 2e-4  # it is steady enough if no gradient moves by more than this when the inputs are nudged


class _Anything(types.ModuleType):
    """Stands for a library that the borrowed functions never call."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def borrow(clone: Path) -> tuple[dict[str, types.ModuleType], types.ModuleType]:
    """The released modules, made importable by Python 3, and that of their losses."""
    for name in list(sys.modules):
        if name.split(".")[0] in ("miscc", "model", "trainer"):
            del sys.modules[name]
    for name in (
        "torchfile torchvision torchvision.models torchvision.utils torchvision.transforms tensorboard "
        "tensorboard.summary tensorboard.FileWriter torch.utils.model_zoo PIL PIL.Image".split()
    ):
        sys.modules[name] = _Anything(name)
    torch.nn.parallel.data_parallel = lambda net, inputs, _: net(*inputs) if isinstance(inputs, tuple) else net(inputs)
    sys.path.insert(0, str(clone / "code"))
    try:
        return {name: importlib.import_module(name) for name in ("miscc.config", "model")}, _source(clone)
    finally:
        sys.path.pop(0)


def _source(clone: Path) -> types.ModuleType:
    """The losses: `miscc/utils.py` (v1) and `trainer.py` (v2), with `.data[0]` as newer PyTorch writes it."""
    name = "trainer" if "G_NET" in (clone / "code/model.py").read_text() else "miscc.utils"
    path = clone / "code" / f"{name.replace('.', '/')}.py"
    module = types.ModuleType(name)
    code = path.read_text().replace(".data[0]", ".item()").replace("nn.init.orthogonal(", "nn.init.orthogonal_(")
    exec(compile(code, str(path), "exec"), module.__dict__)
    return module


class Released:
    """One case: networks, and one training step."""

    def __init__(self, case: str, clone: Path, sizes: dict[str, int]) -> None:
        modules, self.losses = borrow(clone)
        self.case, self.cfg, self.model = case, modules["miscc.config"].cfg, modules["model"]
        cfg = self.cfg
        cfg.CUDA = False
        cfg.TEXT.DIMENSION = sizes["T"]
        cfg.GAN.GF_DIM, cfg.GAN.DF_DIM, cfg.GAN.R_NUM = sizes["gf"], sizes["df"], sizes["R"]
        if "v1" in case:
            cfg.GAN.CONDITION_DIM, cfg.Z_DIM = sizes["E"], sizes["Z"]
            self.generator = self.model.STAGE1_G()
            self.discriminators = [self.model.STAGE1_D()]
            if case.endswith("stage2"):
                self.generator = self.model.STAGE2_G(self.generator)
                self.discriminators = [self.model.STAGE2_D()]
        else:
            cfg.GAN.EMBEDDING_DIM, cfg.GAN.Z_DIM = sizes["E"], sizes["Z"]
            cfg.TREE.BRANCH_NUM = sizes["branches"]
            cfg.GAN.B_CONDITION = case.endswith("_cond")
            cfg.TRAIN.COEFF.UNCOND_LOSS = 1.0 if cfg.GAN.B_CONDITION else 0.0
            cfg.TRAIN.COEFF.COLOR_LOSS = 0.0 if cfg.GAN.B_CONDITION else 50.0
            self.model.NEXT_STAGE_G.__init__.__defaults__ = (sizes["R"],)  # bound when the module was imported
            self.generator = self.model.G_NET()
            self.discriminators = [getattr(self.model, f"D_NET{64 * 2**i}")() for i in range(sizes["branches"])]
        for net in (self.generator, *self.discriminators):
            net.apply(self.losses.weights_init)
        self.eps: list[torch.Tensor] = []  # taken instead of a random draw, one after the other
        self.model.CA_NET.reparametrize = lambda _, mu, logvar: self.eps.pop(0) * (logvar * 0.5).exp() + mu

    def draw(self, inputs: dict[str, torch.Tensor]):
        """Images of every scale, mu and log_var."""
        text = inputs.get("text_embedding")
        self.eps = [inputs[name] for name in ("eps_stage1", "eps_stage2", "eps") if name in inputs]
        if "v1" not in self.case:
            images, mu, logvar = self.generator(inputs["z"], text)
            return images, mu, logvar
        if self.case.endswith("stage1"):
            self.eps = self.eps[:1]
        rough, image, mu, logvar = self.generator(text, inputs["z"])
        return [i for i in (rough, image) if i is not None], mu, logvar

    def judge(self, i: int, images: torch.Tensor, mu: torch.Tensor | None) -> list[torch.Tensor]:
        """The heads' probabilities, the conditional one first."""
        d = self.discriminators[i]
        if "v1" not in self.case:
            return d(images, mu)
        features = d(images)
        heads = [d.get_cond_logits(features, mu)]
        return heads + ([d.get_uncond_logits(features)] if d.get_uncond_logits is not None else [])

    def step(self, inputs: dict[str, torch.Tensor], real: list, wrong: list) -> dict[str, np.ndarray]:
        """Loss terms and gradient norms of one training step; every D is updated, G is not."""
        for net in (self.generator, *self.discriminators):
            net.train()
            net.zero_grad()
        ones, zeros = torch.ones(len(inputs["z"])), torch.zeros(len(inputs["z"]))
        adams = [torch.optim.Adam(d.parameters(), lr=2e-4, betas=(0.5, 0.999)) for d in self.discriminators]
        step = self._step_v1 if "v1" in self.case else self._step_v2
        found = step(*self.draw(inputs), real, wrong, ones, zeros, adams) | norms("G", self.generator)
        return {name: np.float32(float(value)) for name, value in found.items()}

    def _step_v1(self, images, mu, logvar, real, wrong, ones, zeros, adams):
        (d,) = self.discriminators
        loss, *_ = self.losses.compute_discriminator_loss(d, real[-1], images[-1], ones, zeros, mu, ())
        loss.backward()
        found = {"loss_D": loss} | norms("D", d)
        adams[0].step()
        adversarial = self.losses.compute_generator_loss(d, images[-1], ones, mu, ())
        kl = 2.0 * self.losses.KL_loss(mu, logvar)
        (adversarial + kl).backward()
        return found | {"loss_G_adv": adversarial, "loss_KL": kl, "loss_G_total": adversarial + kl}

    def _step_v2(self, images, mu, logvar, real, wrong, ones, zeros, adams):
        trainer = object.__new__(self.losses.GANTrainer if mu is None else self.losses.condGANTrainer)
        trainer.criterion, trainer.real_labels, trainer.fake_labels = torch.nn.BCELoss(), ones, zeros
        trainer.real_imgs, trainer.wrong_imgs, trainer.fake_imgs = real, wrong, images
        trainer.netG, trainer.netsD, trainer.num_Ds = self.generator, self.discriminators, len(self.discriminators)
        trainer.optimizersD, trainer.optimizerG = adams, types.SimpleNamespace(step=lambda: None)
        trainer.mu, trainer.logvar = mu, logvar
        found = {}
        for i, d in enumerate(self.discriminators):
            found |= {f"loss_D{i}": trainer.train_Dnet(i, 1)} | norms(f"D{i}", d)
        if mu is None:
            return found | {"loss_G_total": trainer.train_Gnet(1)}
        kl, total = trainer.train_Gnet(1)
        return found | {"loss_KL": kl, "loss_G_total": total}


def norms(network: str, net: torch.nn.Module) -> dict[str, float]:
    """The L2 norm of each parameter's gradient."""
    return {f"gradnorm_{network}/{n}": p.grad.norm() for n, p in net.named_parameters() if p.grad is not None}


def golden(case: str, clone: Path, seed: int, spread: float) -> tuple[dict[str, np.ndarray], float]:
    """The arrays of one case, and how far its gradients move when the inputs are nudged."""
    torch.manual_seed(seed)
    net = Released(case, clone, SIZES)
    if spread != 1.0:
        for module in (m for n in (net.generator, *net.discriminators) for m in n.modules()):
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
                module.weight.data *= spread
    draw, batch = np.random.RandomState(seed).standard_normal, BATCH
    sizes = {"z": "Z"} if case.endswith("uncond") else {"z": "Z", "text_embedding": "T"}
    if not case.endswith("uncond"):
        sizes |= {"eps_stage1": "E", "eps_stage2": "E"} if "v1" in case else {"eps": "E"}
    arrays = {name: draw((batch, SIZES[size])).astype(np.float32) for name, size in sizes.items()}
    inputs = {name: torch.from_numpy(value) for name, value in arrays.items()}
    sides = SIDES.get(case, (64, 128))
    real, wrong = ([channels_first(p) for p in pictures(seed + k, batch, sides)] for k in (0, 1))
    for _ in range(3):  # moves the moving statistics
        images, mu, _ = net.draw(inputs)
        for i in range(len(real)):
            net.judge(i, images[i - len(real)].detach(), None if mu is None else mu.detach())
    for n in (net.generator, *net.discriminators):
        n.eval()
    with torch.no_grad():
        images, mu, logvar = net.draw(inputs)
        for image in images:
            arrays[f"eval_fake{image.shape[-1]}"] = strided(image)
        for i, image in enumerate(real):
            arrays[f"eval_prob_D{i}"] = torch.stack([p.view(-1) for p in net.judge(i, image, mu)]).numpy()
    if mu is not None:
        arrays |= {"mu": mu.numpy(), "logvar": logvar.numpy()}
    state = {n: deepcopy(n.state_dict()) for n in (net.generator, *net.discriminators)}
    for name, n in zip(("netG", *(f"netD{i}" for i in range(len(real)))), state, strict=True):
        arrays |= {f"{name}/{k}": v.numpy() for k, v in state[n].items() if "num_batches" not in k}

    def step(nudge: float) -> dict[str, np.ndarray]:
        for n, values in state.items():
            n.load_state_dict(values)
        nudged = {name: value * (1 + nudge) for name, value in inputs.items()}
        return net.step(nudged, *([image * (1 + nudge) for image in images] for images in (real, wrong)))

    found = step(0.0)
    moved = max(abs(step(n)[k] / v - 1) for n in NUDGES for k, v in found.items())
    return arrays | found | {"seed": np.int64(seed)}, float(moved)


def channels_first(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def strided(images: torch.Tensor) -> np.ndarray:
    """Every second pixel of 64, every fourth of 128 ..., channels last: the file stays small."""
    step = images.shape[-1] // 32
    return images[:, :, ::step, ::step].permute(0, 2, 3, 1).contiguous().numpy()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--v1", type=Path, required=True)
    parser.add_argument("--v2", type=Path, required=True)
    parser.add_argument("--cases", nargs="*", default=CASES)
    clones = parser.parse_args()
    torch.set_num_threads(1)
    for case in clones.cases:
        clone = clones.v1 if "v1" in case else clones.v2
        spread = 5.0 if case.endswith("stage2") else 1.0
        best, steadiest = {}, float("inf")
        for seed in range(1, 2 * SEEDS, 2):
            arrays, moved = golden(case, clone, seed, spread)
            sys.stdout.write(f"{case}: seed {seed}, gradients move by {moved:.1e}\n")
            if moved < steadiest:
                best, steadiest = arrays, moved
            if moved < CERTAIN:
                break
        np.savez_compressed(HERE / f"{case}.npz", **best)


if __name__ == "__main__":
    main()
