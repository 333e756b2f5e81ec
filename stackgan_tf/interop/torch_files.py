"""PyTorch state dicts on disk, read and written without ever running what a pickle says."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from stackgan_tf.errors import UserError
from stackgan_tf.files import whole

PREFIX = "module."  # what DataParallel puts before every name


def read(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint as float32, without the prefix of DataParallel and the counters of newer PyTorch.

    Raises:
        UserError: a missing or damaged file, one that holds anything but tensors, or no PyTorch.
    """
    torch = _torch()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # whatever the bytes of a damaged file lead to
        if isinstance(error, pickle.UnpicklingError) and "global" in str(error).lower():
            raise UserError(f"{path}: holds Python objects other than tensors; refused, and none was run") from None
        raise UserError(f"{path}: is no PyTorch checkpoint, or a damaged one ({type(error).__name__})") from None
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise UserError(f"{path}: is no state dict; it must map names to tensors and nothing else")
    tensors = {name: value for name, value in state.items() if not name.endswith(".num_batches_tracked")}
    for name, value in tensors.items():
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.is_meta or value.is_complex():
            raise UserError(f"{path}: {name} is no tensor of real numbers; a state dict holds nothing else")
        if not torch.isfinite(value).all():
            raise UserError(f"{path}: {name} holds numbers that are not finite")
    if not tensors:
        raise UserError(f"{path}: is an empty state dict")
    return {name.removeprefix(PREFIX): tensor.detach().float().numpy() for name, tensor in tensors.items()}


def write(path: Path, state: Mapping[str, np.ndarray], prefix: str = "") -> None:
    """A state dict in the old serialisation, which every PyTorch reads.

    Raises:
        UserError: it cannot be written, or no PyTorch.
    """
    torch = _torch()
    tensors = {f"{prefix}{name}": torch.from_numpy(value) for name, value in state.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as made:
            torch.save(tensors, made, _use_new_zipfile_serialization=False)
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path}: cannot be written ({getattr(error, 'strerror', None) or error})") from None


def _torch() -> ModuleType:
    try:
        import torch
    except ImportError:
        raise UserError('PyTorch is not installed; pip install "stackgan_tf[torch]" brings it') from None
    return torch
