"""How figures look: type, lines, and rows of pictures laid out in whole pixels, so that none is blurred."""

import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from stackgan_tf.errors import UserError

DPI = 300
WIDTH = 2100  # pixels: 7 inches, both columns of a paper
LARGEST, SMALLEST = 512, 16  # pixels a picture is shown at
GAP, ROW_GAP, MARGIN = 9, 20, 12  # pixels between pictures, between rows, and around all
FONT_SIZE = 8  # points
LINE = round(FONT_SIZE * 1.25 / 72 * DPI)  # pixels from one line of text to the next
MOST_PIXELS = 2**16  # high, as matplotlib has it


class Row(NamedTuple):
    """Pictures side by side and what is written at them."""

    images: Sequence[np.ndarray]  # [s, s, 3] uint8 each
    above: str = ""  # from the left
    right: str = ""  # above as well, from the right
    below: Sequence[str] = ()  # one for each picture


def style() -> AbstractContextManager[None]:
    """Type, lines and files as in all figures, while it lasts."""
    return matplotlib.rc_context(
        {
            "font.family": "sans-serif",
            "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
            "font.size": FONT_SIZE,
            "axes.titlesize": FONT_SIZE,
            "axes.linewidth": 0.6,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.dpi": DPI,
            "savefig.dpi": "figure",
            "pdf.fonttype": 42,  # TrueType: text stays text
            "text.parse_math": False,  # a caption may have dollars
        }
    )


def shown_side(side: int, columns: int, gap: int = GAP) -> int:
    """At how many pixels a picture of `side` is shown: a whole multiple of it where there is room, else what fits.

    Raises:
        UserError: so many do not fit side by side.
    """
    room = min(LARGEST, (WIDTH - 2 * MARGIN + gap) // columns - gap)
    if room < SMALLEST:
        raise UserError(f"{columns} pictures side by side are too small to see; give a smaller --num")
    return room // side * side or room


def page(rows: Sequence[Row], headings: Sequence[str] = (), title: str = "") -> Figure:
    """Rows of pictures, all shown at one size, each with its captions; headings over the columns, a title over all."""
    columns = len(rows[0].images)
    shown = shown_side(max(len(image) for image in rows[0].images), columns)
    width = columns * (shown + GAP) - GAP
    titles = _wrapped(title, width)
    half = width // 2 - GAP
    above = [(_wrapped(r.above, half if r.right else width), _wrapped(r.right, half)) for r in rows]
    heads = [max(map(len, texts)) * LINE for texts in above]
    feet = [LINE if row.below else 0 for row in rows]
    gap = ROW_GAP if any(heads) or any(feet) else GAP
    top = len(titles) * LINE + (LINE + ROW_GAP) * bool(headings)
    sheet = _Sheet(width, top + sum(heads) + sum(feet) + len(rows) * (shown + gap) - gap)
    sheet.text(0, 0, titles)
    for column, heading in enumerate(headings):
        sheet.text(column * (shown + GAP) + shown // 2, top - LINE - ROW_GAP // 2, [heading], "center")
    for row, (left, right), head, foot in zip(rows, above, heads, feet, strict=True):
        top += head
        sheet.text(0, top - len(left) * LINE, left)
        sheet.text(width, top - len(right) * LINE, right, "right")
        for column, image in enumerate(row.images):
            sheet.picture(column * (shown + GAP), top, shown, image)
        for column, note in enumerate(row.below):
            sheet.text(column * (shown + GAP) + shown // 2, top + shown, [note], "center")
        top += shown + foot + gap
    return sheet.figure


def mosaic(picture: np.ndarray, title: str) -> Figure:
    """One picture at its own size, [S, S, 3] uint8, a title over it."""
    titles = _wrapped(title, len(picture))
    sheet = _Sheet(len(picture), len(titles) * LINE + len(picture))
    sheet.text(0, 0, titles)
    sheet.picture(0, len(titles) * LINE, len(picture), picture)
    return sheet.figure


class _Sheet:
    """A figure of so many pixels within its margins; places are counted from the upper left."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width + 2 * MARGIN, height + 2 * MARGIN
        if self.height >= MOST_PIXELS:
            raise UserError(
                f"the figure would be {self.height / DPI:.0f} inches high; give fewer texts or a smaller --num"
            )
        self.figure = Figure((self.width / DPI, self.height / DPI))

    def text(self, left: int, top: int, lines: Sequence[str], alignment: str = "left") -> None:
        """Writes lines one under the other; `left` is the middle or the right end where the alignment says so."""
        for k, line in enumerate(lines):
            place = (left + MARGIN) / self.width, 1 - (top + MARGIN + (k + 0.72) * LINE) / self.height
            self.figure.text(*place, line, ha=alignment, va="baseline")

    def picture(self, left: int, top: int, shown: int, image: np.ndarray) -> None:
        """Shows a picture: small ones with their pixels, large ones by Lanczos."""
        bottom = self.height - top - MARGIN - shown
        frame = ((left + MARGIN) / self.width, bottom / self.height, shown / self.width, shown / self.height)
        axes = self.figure.add_axes(frame)
        axes.set_axis_off()
        axes.imshow(image, interpolation="lanczos" if len(image) > shown else "nearest")


def _wrapped(text: str, width: int) -> list[str]:
    """The lines of a text that is broken where it would be wider than so many pixels."""
    return [line for paragraph in text.splitlines() for line in _broken(paragraph, width)]


def _broken(text: str, width: int) -> list[str]:
    letters = max(1, min(len(text), int(1.2 * len(text) * width / max(_width(text), 1))))
    lines = textwrap.wrap(text, letters)
    while letters > 1 and any(_width(line) > width for line in lines):
        letters -= 1
        lines = textwrap.wrap(text, letters)
    return lines


def _width(text: str) -> float:
    """In pixels."""
    return TextToPath().get_text_width_height_descent(text, FontProperties(size=FONT_SIZE), False)[0] / 72 * DPI
