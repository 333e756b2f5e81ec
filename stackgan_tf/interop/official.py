"""The PyTorch networks that the authors released: their tensors' names and layouts, and what the shapes tell.

A state dict here is `{name: array}` as `torch_files.read` gives it. Our side is `{variable path: array}`.
Source: released code, `model.py` of StackGAN-Pytorch (v1) and StackGAN-v2 (v2).
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from stackgan_tf.errors import UserError

State = dict[str, np.ndarray]

PARAMETERS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
HALVES = {"stackgan_v1": 1, "stackgan_v2": 2}  # of what a dense layer gives: v2's GLU gates one with the other
# How tensors of each kind of file begin, and of no other kind; the first that fits.
SIGNS = {
    ("stackgan_v2", "generator"): ("h_net", "img_net"),
    ("stackgan_v2", "discriminator"): ("img_code_s",),
    ("stackgan_v1", "Stage-II generator"): ("hr_joint.", "STAGE1_G."),
    ("stackgan_v1", "Stage-I generator"): ("fc.", "upsample"),
    ("stackgan_v1", "discriminator"): ("encode_img.",),
}


def kind(state: State, file: str) -> tuple[str, str]:
    """Which code a state dict is of, and which of its networks: a key of `SIGNS`.

    Raises:
        UserError: neither code has such a network.
    """
    for found, signs in SIGNS.items():
        if any(name.startswith(signs) for name in state):
            return found
    raise UserError(f"{file}: is no network of StackGAN-v1 or StackGAN-v2; its first tensor is {next(iter(state))}")


def generator_config(state: State, file: str) -> dict[str, Any]:
    """The sections `data` and `model` of a configuration, read off the shapes of a generator's tensors.

    Four branches are not read: the released code gives the fourth one residual block whatever R_NUM is.

    Raises:
        UserError: a tensor that tells a size is missing, or too flat to tell it, or sizes contradict each other.
    """
    generation, network = kind(state, file)
    stage2 = network == "Stage-II generator"
    inner = "STAGE1_G." if stage2 else ""
    if stage2 and not any(name.startswith(inner) for name in state):
        raise UserError(
            f"{file}: is a Stage-II generator without its Stage-I, which must be in the same file (STAGE1_G.)"
        )
    first = "h_net1." if generation == "stackgan_v2" else inner
    conditional = generation == "stackgan_v1" or any(name.startswith("ca_net.") for name in state)
    halves = HALVES[generation]
    into_start = _size(state, f"{first}fc.0.weight", 1, file)
    model = {
        "base_size": 4 * 2 ** _count(state, rf"{re.escape(first)}upsample(\d+)\..*"),
        "condition_size": _size(state, f"{inner}ca_net.fc.weight", 0, file) // (2 * halves) if conditional else 128,
    }
    model["noise_size"] = into_start - (model["condition_size"] if conditional else 0)
    if model["noise_size"] < 1:
        raise UserError(f"{file}: {inner}ca_net.fc.weight and {first}fc.0.weight do not fit together")
    widest = _size(state, f"{first}fc.0.weight", 0, file) // (4 * 4 * halves)
    if generation == "stackgan_v2":
        model |= {
            "family": "v2",
            "conditional": conditional,
            "branches": _count(state, r"(?:img|h)_net(\d+)\..*"),
            "gf": widest * 4 // model["base_size"],
            "residual_blocks": _count(state, r"h_net2\.residual\.(\d+)\..*"),
        }
    else:
        model |= {"family": "v1_stage2" if stage2 else "v1_stage1", "gf": widest * 8 // model["base_size"]}
        if stage2:
            model["residual_blocks"] = _count(state, r"residual\.(\d+)\..*")
    data = {"text_size": _size(state, f"{inner}ca_net.fc.weight", 1, file)} if conditional else {}
    return {"data": data, "model": model}


def discriminator_size(state: State, file: str) -> tuple[int, int]:
    """The side of the images that a discriminator judges, in pixels, and its base width df."""
    if kind(state, file)[0] == "stackgan_v2":
        first, downs = "img_code_s16", 3 + _count(state, r"img_code_s(\d+)\..*")
    else:
        first = "encode_img"
        downs = sum(tensor.shape[2:] == (4, 4) for name, tensor in state.items() if name.startswith("encode_img."))
    return 4 * 2**downs, _size(state, f"{first}.0.weight", 0, file)


def to_ours(state: State, shapes: Mapping[str, tuple[int, ...]], file: str) -> State:
    """A published state dict as values of our variables.

    Args:
        shapes: of every variable of our network, by its path.

    Raises:
        UserError: a tensor too many, too few or of another shape; names it.
    """
    generation, _ = kind(state, file)
    names = {path: published_name(path, generation) for path in shapes}
    if "logits.0.weight" in state and "jointConv.0.weight" not in state:  # v2 without text has one head, so named
        names = {path: name.replace("uncond_logits", "logits") for path, name in names.items()}
    _refuse(file, "has no tensor", sorted(set(names.values()) - set(state)))
    _refuse(file, "has a tensor that this network does not know:", sorted(set(state) - set(names.values())))
    values = {}
    for path, name in names.items():
        wanted = _theirs(path, np.empty(shapes[path], np.int8), generation).shape
        if state[name].shape != wanted:
            raise UserError(f"{file}: {name} has shape {state[name].shape}; {wanted} would fit its other tensors")
        values[path] = _ours(path, state[name], generation)
    return values


def to_published(values: Mapping[str, np.ndarray], generation: str) -> State:
    """Values of our variables as a state dict of the released code."""
    return {
        published_name(path, generation): np.ascontiguousarray(_theirs(path, value, generation))
        for path, value in values.items()
    }


def published_name(path: str, generation: str) -> str:
    """The released code's name for one of our variables: `generator/to_image_0/conv/kernel` -> `img_net1.img.0.weight`.

    Args:
        path: begins with the network's name, `generator` or `discriminator_<side>`.
    """
    network, *parts, parameter = path.split("/")
    if network == "generator":
        layer = _v2_generator(parts) if generation == "stackgan_v2" else _v1_generator(parts)
    else:
        side = _number(network)
        layer = _v2_discriminator(parts, side) if generation == "stackgan_v2" else _v1_discriminator(parts)
    return f"{layer}.{PARAMETERS[parameter]}"


def _v2_generator(parts: list[str]) -> str:
    match parts:
        case ["conditioning", _]:
            return "ca_net.fc"
        case ["stage_0", "start", layer]:
            return f"h_net1.fc.{_after(layer, 0)}"
        case ["stage_0", up, layer]:
            return f"h_net1.upsample{_doublings(_number(up))}.{_after(layer, 1)}"
        case [stage, "joint", layer]:
            return f"h_net{_number(stage) + 1}.jointConv.{_after(layer, 0)}"
        case [stage, "up", layer]:
            return f"h_net{_number(stage) + 1}.upsample.{_after(layer, 1)}"
        case [stage, residual, half, layer]:
            return f"h_net{_number(stage) + 1}.{_residual(residual, half, layer)}"
        case [to_image, _]:
            return f"img_net{_number(to_image) + 1}.img.0"


def _v1_generator(parts: list[str]) -> str:
    match parts:
        case ["stage1", *inner]:
            return f"STAGE1_G.{_v1_generator(inner)}"
        case ["conditioning", _]:
            return "ca_net.fc"
        case ["start", layer]:
            return f"fc.{_after(layer, 0)}"
        case ["joint", layer]:
            return f"hr_joint.{_after(layer, 0)}"
        case ["to_image", _]:
            return "img.0"
        case [residual, half, layer]:
            return _residual(residual, half, layer)
        case [block, layer] if block.startswith("encode"):
            return f"encoder.{_in_a_row(_number(block), layer)}"
        case [up, layer]:  # Stage-I names them by their side (8, 16, ...), Stage-II by their number (0, 1, ...)
            number = _number(up)
            return f"upsample{_doublings(number) if number >= 8 else number + 1}.{_after(layer, 1)}"


def _v2_discriminator(parts: list[str], side: int) -> str:
    last = _doublings(side) - 1  # the downs are 0 ... last; theirs are named by how far they shrink
    match parts:
        case ["conditional_head", "joint", layer]:
            return f"jointConv.{_after(layer, 0)}"
        case ["conditional_head", "logit", _]:
            return "logits.0"
        case ["unconditional_head", _]:
            return "uncond_logits.0"
        case ["encoder", block, layer] if block.startswith("down") and _number(block) < 4:
            return f"img_code_s16.{_in_a_row(_number(block), layer)}"
        case ["encoder", block, layer] if block.startswith("down"):
            return f"img_code_s{2 ** (_number(block) + 1)}.{_after(layer, 0)}"
        case ["encoder", block, layer]:
            return f"img_code_s{2 ** (last + 1)}_{_number(block) - last}.{_after(layer, 0)}"


def _v1_discriminator(parts: list[str]) -> str:
    match parts:
        case ["conditional_head", "joint", layer]:
            return f"get_cond_logits.outlogits.{_after(layer, 0)}"
        case ["conditional_head", "logit", _]:
            return "get_cond_logits.outlogits.3"
        case ["unconditional_head", _]:
            return "get_uncond_logits.outlogits.0"
        case ["encoder", block, layer]:
            return f"encode_img.{_in_a_row(_number(block), layer)}"


def _residual(residual: str, half: str, layer: str) -> str:
    return f"residual.{_number(residual)}.block.{_after(layer, 0 if half == 'first' else 3)}"


def _after(layer: str, place: int) -> int:
    """The place of a convolution or dense layer in a sequence, or of the norm behind it."""
    return place + (layer == "norm")


def _in_a_row(block: int, layer: str) -> int:
    """The place in one long sequence of conv, activation, then conv, norm, activation again and again."""
    return _after(layer, 3 * block - 1) if block else 0


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


def _doublings(side: int) -> int:
    """From 4 pixels to `side`."""
    return (side // 4).bit_length() - 1


def _theirs(path: str, array: np.ndarray, generation: str) -> np.ndarray:
    """Our layout as theirs: kernels [..., in, out] as [out, in, ...], the first feature map channels first."""
    if "/start/" in path:  # units of a half of the GLU: [4, 4, C] as [C, 4, 4]
        array = _units(array, (HALVES[generation], 16, -1))
    if path.endswith("/kernel"):
        array = array.T if array.ndim == 2 else array.transpose(3, 2, 0, 1)
    return array


def _ours(path: str, array: np.ndarray, generation: str) -> np.ndarray:
    """The other way."""
    if path.endswith("/kernel"):
        array = array.T if array.ndim == 2 else array.transpose(2, 3, 1, 0)
    return _units(array, (HALVES[generation], -1, 16)) if "/start/" in path else array


def _units(array: np.ndarray, split: tuple[int, int, int]) -> np.ndarray:
    return array.reshape(*array.shape[:-1], *split).swapaxes(-1, -2).reshape(array.shape)


def _size(state: State, name: str, axis: int, file: str) -> int:
    if name not in state:
        raise UserError(f"{file}: has no tensor {name}")
    if state[name].ndim <= axis:
        raise UserError(f"{file}: {name} has shape {state[name].shape}; it must have {axis + 1} axes or more")
    return state[name].shape[axis]


def _count(state: State, pattern: str) -> int:
    """How many different numbers a pattern meets in the names."""
    return len({found[1] for name in state if (found := re.fullmatch(pattern, name))})


def _refuse(file: str, complaint: str, names: list[str]) -> None:
    if names:
        more = f" (and {len(names) - 1} more)" if names[1:] else ""
        raise UserError(f"{file}: {complaint} {names[0]}{more}")
