"""The noise of a picture, from its seed alone: in numpy here, and the same numbers in an exported graph and in a page.

Philox counts instead of remembering: number i of a seed depends on the seed and on i only. The arithmetic is written
once, in operators that numpy arrays and TensorFlow tensors of int64 share.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.3: Philox-4x32-10.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

import numpy as np
from scipy.special import ndtr, ndtri

from stackgan_tf.errors import UserError
from stackgan_tf.structs import Tensor

STREAMS = {"z": 0, "eps": 1, "eps_stage1": 2}  # each input of a generator has its own numbers
TRUNCATED_AT = 2.0  # standard deviations, of `truncated_normal`
MAX_SEED = 2**32 - 1  # of many pictures; a picture's own is any int64

Value = TypeVar("Value")
Distribution = Literal["normal", "truncated_normal"]

WORD, MASK = 2**32, 2**32 - 1
MULTIPLIERS, KEY_STEPS, ROUNDS = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85), 10


def row_seeds(seed: int, rows: Iterable[int]) -> np.ndarray:
    """The seeds of pictures number `rows` of one seed, int64: that of picture 0 is the seed itself.

    Raises:
        UserError: the seed is out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"seed={seed}: must be from 0 to {MAX_SEED}")
    return seed + WORD * np.array(list(rows), np.int64)


def check_truncation(truncation: float) -> None:
    """Whether noise can be multiplied by it.

    Raises:
        UserError: it is not from 0 to 1.
    """
    if not 0 <= truncation <= 1:
        raise UserError(f"truncation={truncation}: must be from 0 to 1")


def exported_names(inputs: Mapping[str, Value]) -> dict[str, Value]:
    """A generator's inputs under the names that exported models have: its z is their `noise`."""
    return {"noise" if name == "z" else name: value for name, value in inputs.items()}


def own_names(inputs: Mapping[str, Value]) -> dict[str, Value]:
    """The way back of `exported_names`."""
    return {"z" if name == "noise" else name: value for name, value in inputs.items()}


def draw(seeds: np.ndarray, sizes: Mapping[str, int], of_eps: Distribution = "normal") -> dict[str, np.ndarray]:
    """A generator's noise for pictures of these seeds, [B] int64: `{name: [B, size] float32}`.

    Args:
        sizes: of each input, as `noise_sizes` of a generator.
        of_eps: what eps is drawn from; z is normal.
    """
    return {name: _draw(seeds, name, size, bounds(name, of_eps)) for name, size in sizes.items()}


def distribution(name: str, of_eps: Distribution) -> Distribution:
    """What this input of a generator is drawn from: z is normal."""
    return "normal" if name == "z" else of_eps


def bounds(name: str, of_eps: Distribution) -> tuple[float, float]:
    """Between which cumulative probabilities of N(0, 1) this input's numbers are drawn."""
    if distribution(name, of_eps) == "normal":
        return 0.0, 1.0
    return float(ndtr(-TRUNCATED_AT)), float(ndtr(TRUNCATED_AT))


def words(seeds: Tensor, blocks: Tensor, stream: int) -> tuple[Tensor, ...]:
    """Four words of 32 bits for each seed and block, int64: seeds [B, 1], blocks [1, N], both int64 -> [B, N] each."""
    nothing = 0 * (seeds + blocks)
    return philox((blocks + nothing, nothing + stream, nothing, nothing), (seeds & MASK, (seeds // WORD) & MASK))


def philox(counter: tuple[Tensor, ...], key: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Four words from a counter of four and a key of two, all int64 in [0, 2^32)."""
    for _ in range(ROUNDS):
        first, second = MULTIPLIERS[0] * counter[0], MULTIPLIERS[1] * counter[2]  # wrap around: all 64 bits count
        counter = (
            ((second // WORD) & MASK) ^ counter[1] ^ key[0],
            second & MASK,
            ((first // WORD) & MASK) ^ counter[3] ^ key[1],
            first & MASK,
        )
        key = tuple((word + step) & MASK for word, step in zip(key, KEY_STEPS, strict=True))
    return counter


def _draw(seeds: np.ndarray, name: str, size: int, between: tuple[float, float]) -> np.ndarray:
    blocks = np.arange(-(-size // 4))[None]
    drawn = np.concatenate(words(seeds[:, None], blocks, STREAMS[name]), axis=1)[:, :size]
    low, high = between
    return ndtri(low + (high - low) * ((drawn + 0.5) / WORD)).astype(np.float32)
