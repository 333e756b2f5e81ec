"""Differentiable augmentation of what discriminators see."""

from collections.abc import Callable

from keras import ops

from stackgan_tf.structs import Tensor

NUMBERS = 7  # of an image


def diff_augment(images: Tensor, numbers: Tensor, policy: str) -> Tensor:
    """Images as D shall see them, real and drawn alike; gradients reach what was drawn.

    Args:
        numbers: uniform in [0, 1), [B, NUMBERS]: brightness, saturation, contrast; shift in x and y; hole's x and y.
        policy: names of `AUGMENTATIONS`, in the order to be applied, as in `color,translation,cutout`; may be empty.

    Shapes: [B, S, S, 3] -> the same, no longer within [-1, 1] where colours change.
    Source: Zhao et al., NeurIPS 2020 (arXiv 2006.10738), section 4; released code, `DiffAugment`.
    """
    for name in policy.split(",") if policy else ():
        images = AUGMENTATIONS[name](images, numbers)
    return images


def _color(images: Tensor, numbers: Tensor) -> Tensor:
    """Adds up to 0.5 either way, then scales saturation by up to 2, then contrast by 0.5 to 1.5."""
    brightness, saturation, contrast = (numbers[:, i, None, None, None] for i in range(3))
    images = images + (brightness - 0.5)
    grey = ops.mean(images, axis=3, keepdims=True)
    images = grey + (images - grey) * (2 * saturation)
    mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    return mean + (images - mean) * (contrast + 0.5)


def _translation(images: Tensor, numbers: Tensor) -> Tensor:
    """Shifts by whole pixels, up to an eighth of the side each way."""
    most = images.shape[1] // 8
    return translated(images, ops.cast(ops.floor(numbers[:, 3:5] * (2 * most + 1)), "int32") - most)


def _cutout(images: Tensor, numbers: Tensor) -> Tensor:
    """Puts a grey hole, half as wide and high as the image, around any pixel or the edge's far side."""
    side = images.shape[1]
    centres = ops.cast(ops.floor(numbers[:, 5:7] * (side + 1)), "int32")
    return cut_out(images, centres, side // 2, side // 2)


AUGMENTATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}


def translated(images: Tensor, shifts: Tensor) -> Tensor:
    """Each image moved by whole pixels (x, y), to the right and downwards; what comes in from outside is 0.

    Shapes: [B, H, W, C], int32 [B, 2] -> [B, H, W, C].
    """
    _, height, width, channels = images.shape
    rows, columns = ops.arange(height) - shifts[:, 1:], ops.arange(width) - shifts[:, :1]  # where they come from
    inside = _within(rows, 0, height)[:, :, None] & _within(columns, 0, width)[:, None, :]
    first = height * width * ops.arange(ops.shape(images)[0])[:, None, None]
    places = first + width * ops.clip(rows, 0, height - 1)[:, :, None] + ops.clip(columns, 0, width - 1)[:, None, :]
    pixels = ops.take(ops.reshape(images, (-1, channels)), places, axis=0)
    return ops.where(inside[..., None], pixels, 0.0)


def cut_out(images: Tensor, centres: Tensor, height: int, width: int) -> Tensor:
    """Each image with a hole of zeros around (x, y), the first pixel of its second half; cut off at the edge.

    Shapes: [B, H, W, C], int32 [B, 2] -> [B, H, W, C].
    """
    from_centre = (ops.arange(side) - centres[:, i, None] for i, side in ((1, images.shape[1]), (0, images.shape[2])))
    rows, columns = from_centre
    hole = _within(rows, -(height // 2), height - height // 2)[:, :, None]
    hole = hole & _within(columns, -(width // 2), width - width // 2)[:, None, :]
    return ops.where(hole[..., None], 0.0, images)


def _within(values: Tensor, start: int, stop: int) -> Tensor:
    return (values >= start) & (values < stop)
