"""The built-in data set: one coloured shape before a coloured background, with captions. Needs nothing."""

import itertools
import math
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image, ImageDraw

from stackgan_tf.data.captioned import CaptionedImages

SIDE = 64  # pixels
COLORS = {
    "red": (220, 40, 40),
    "green": (30, 150, 50),
    "blue": (40, 70, 220),
    "yellow": (240, 220, 50),
    "purple": (160, 50, 190),
    "white": (235, 235, 235),
    "black": (20, 20, 20),
}
HELD_OUT = {("red", "green"), ("blue", "yellow"), ("white", "black")}  # shape and background
SHAPES = ("square", "triangle", "cross")
EXTENTS = {"small": 0.50, "large": 0.84}  # side of the bounding box in sides of the image
SIZES = {"small": ("small", "little"), "large": ("large", "big")}
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "middle", "right")
TEMPLATES = (
    "a {size} solid {color} {shape} on a {background} background",
    "a {background} background with a {size} solid {color} {shape} {position}",
    "there is a {size} solid {color} {shape} {position}, and the picture has a {background} background",
    "this picture shows one solid {color} {shape} that is {size}, before a {background} background",
    "on a {background} background you see a solid {color} {shape}, {size} and {position}",
)


class Attributes(NamedTuple):
    """What a caption asks for, and what the pixels must show."""

    color: str
    background: str
    shape: str
    size: str


COMBINATIONS = tuple(
    Attributes(*values) for values in itertools.product(COLORS, COLORS, SHAPES, EXTENTS) if values[0] != values[1]
)


def is_held_out(attributes: Attributes) -> bool:
    """Three pairs of colours, in every shape and size; each colour is seen on, and behind, others."""
    return (attributes.color, attributes.background) in HELD_OUT


def draw(attributes: Attributes, row: str, column: str, rng: random.Random) -> Image.Image:
    """The picture, [SIDE, SIDE] RGB with smooth edges; place and extent jitter a little."""
    zoom = 4
    side = SIDE * zoom
    extent = side * EXTENTS[attributes.size] * rng.uniform(0.94, 1.06)
    slack = (side - extent) / 2 * 0.45
    middles = [
        side / 2 + slack * (names.index(name) - 1) * rng.uniform(0.8, 1.0) + rng.uniform(-0.02, 0.02) * side
        for names, name in ((COLUMNS, column), (ROWS, row))
    ]
    left, top = (min(max(m - extent / 2, 0), side - extent) for m in middles)
    right, bottom = left + extent, top + extent
    image = Image.new("RGB", (side, side), COLORS[attributes.background])
    pen, color = ImageDraw.Draw(image), COLORS[attributes.color]
    if attributes.shape == "square":
        pen.rectangle((left, top, right, bottom), fill=color)
    elif attributes.shape == "triangle":
        pen.polygon(((left, bottom), (right, bottom), ((left + right) / 2, top)), fill=color)
    else:
        third = extent / 3
        pen.rectangle((left + third, top, right - third, bottom), fill=color)
        pen.rectangle((left, top + third, right, bottom - third), fill=color)
    return _lit(image.resize((SIDE, SIDE), Image.Resampling.BOX), rng)


def _lit(image: Image.Image, rng: random.Random) -> Image.Image:
    """Light from a random side."""
    direction, strength, tint = rng.uniform(0, 2 * math.pi), rng.uniform(0, 25), [rng.gauss(0, 8) for _ in range(3)]
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    light = strength * (math.cos(direction) * x + math.sin(direction) * y)
    return Image.fromarray(np.clip(np.asarray(image) + light[..., None] + tint, 0, 255).astype(np.uint8))


def captions(attributes: Attributes, row: str, column: str, rng: random.Random) -> list[str]:
    """One sentence a template, in varying words; all name the four attributes, some the position."""
    place = "in the middle" if row == column == "middle" else f"at the {row} {column}".replace("middle ", "")
    return [
        template.format(
            size=rng.choice(SIZES[attributes.size]),
            color=attributes.color,
            shape=attributes.shape,
            background=attributes.background,
            position=place,
        )
        for template in TEMPLATES
    ]


class Shapes(CaptionedImages):
    """Combinations of colour, background, shape and size; those of three pairs of colours only in the test split.

    The class of an image, which mismatched pairs never share, is its combination.
    """

    VERSION = tfds.core.Version("2.1.0")
    RELEASE_NOTES = {
        "2.1.0": "Small shapes are smaller.",
        "2.0.0": "7 colours, 3 shapes, 2 sizes, 9 positions.",
        "1.0.0": "Other colours and shapes.",
    }
    READS_SOURCE = False
    CLASSES = tuple("-".join(attributes) for attributes in COMBINATIONS)
    IMAGES_PER_COMBINATION = {"train": 36, "test": 24}

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in self.IMAGES_PER_COMBINATION}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for label, attributes in enumerate(COMBINATIONS):
            if is_held_out(attributes) != (split == "test"):
                continue
            for number in range(self.IMAGES_PER_COMBINATION[split]):
                name = f"{self.CLASSES[label]}-{number}"
                rng = random.Random(name)
                row, column = rng.choice(ROWS), rng.choice(COLUMNS)
                yield (
                    name,
                    {
                        "image": np.asarray(draw(attributes, row, column, rng)),
                        "captions": captions(attributes, row, column, rng),
                        "label": label,
                        "name": name,
                    },
                )
