"""Pictures that stand for photographs, the same on every machine."""

import numpy as np


def pictures(seed: int, count: int, sides: tuple[int, ...]) -> list[np.ndarray]:
    """Patches of colour, the same at every side, and fine grain: [count, side, side, 3] float32 in [-1, 1] each.

    From numpy's legacy generator, whose numbers are frozen.
    """
    draw = np.random.RandomState(seed).uniform
    patches = draw(-0.6, 0.6, (count, 8, 8, 3))
    grown = [patches.repeat(side // 8, axis=1).repeat(side // 8, axis=2) for side in sides]
    return [(image + draw(-0.4, 0.4, image.shape)).astype(np.float32) for image in grown]
