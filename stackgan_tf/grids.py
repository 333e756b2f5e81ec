"""Pictures to look at: every scale side by side, the caption under them."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MARGIN = 8  # pixels
FONT_SIZE = 14
MIN_SIDE = 96  # smaller pictures are enlarged to be seen


def caption_grid(images: Mapping[int, np.ndarray], captions: Sequence[str], columns: int | None = None) -> Image.Image:
    """One cell a picture: its scales from left to right, each at the size of the largest, then its caption.

    Args:
        images: `{side: [N, side, side, 3] uint8}`.
        captions: N sentences; empty ones take no room.
        columns: cells in a row; by default as many as make the whole about square.
    """
    count, shown = len(captions), max(*images, MIN_SIDE)
    shown = max(images) * math.ceil(shown / max(images))
    width = len(images) * (shown + MARGIN) - MARGIN
    font = ImageFont.load_default(FONT_SIZE)
    lines = [textwrap.wrap(c, max(10, int(width / font.getlength("n")))) for c in captions]
    line_height = FONT_SIZE + 4
    height = shown + max(map(len, lines)) * line_height
    columns = columns or max(1, min(count, round(math.sqrt(count * height / width))))
    rows = math.ceil(count / columns)
    page = Image.new("RGB", _page_size(columns, rows, width, height), "white")
    pen = ImageDraw.Draw(page)
    for i in range(count):
        left = MARGIN + i % columns * (width + 2 * MARGIN)
        top = MARGIN + i // columns * (height + 2 * MARGIN)
        for k, scale in enumerate(images.values()):
            picture = Image.fromarray(scale[i]).resize((shown, shown), Image.Resampling.NEAREST)
            page.paste(picture, (left + k * (shown + MARGIN), top))
        for k, line in enumerate(lines[i]):
            pen.text((left, top + shown + 2 + k * line_height), line, fill="black", font=font)
    return page


def comparison_grid(pictures: Mapping[str, np.ndarray], captions: Sequence[str]) -> Image.Image:
    """A column for each name, a row for each caption, all pictures enlarged to one size; names above, captions below.

    Args:
        pictures: `{name: [N, side, side, 3] uint8}`; the sides may differ.
        captions: N sentences; empty ones take no room.
    """
    shown = max(MIN_SIDE, *(images.shape[1] for images in pictures.values()))
    font = ImageFont.load_default(FONT_SIZE)
    line_height = FONT_SIZE + 4
    letters = font.getlength("n")
    headers = [textwrap.wrap(name.replace("_", " "), max(8, int(shown / letters))) for name in pictures]
    lines = [textwrap.wrap(c, max(10, int(len(pictures) * (shown + MARGIN) / letters))) for c in captions]
    header, footer = (max(map(len, texts)) * line_height for texts in (headers, lines))
    width = len(pictures) * (shown + MARGIN) + MARGIN
    page = Image.new("RGB", (width, header + len(captions) * (shown + footer + MARGIN) + 2 * MARGIN), "white")
    pen = ImageDraw.Draw(page)
    for column, images in enumerate(pictures.values()):
        left = MARGIN + column * (shown + MARGIN)
        for k, line in enumerate(headers[column]):
            pen.text((left, MARGIN + k * line_height), line, fill="black", font=font)
        for row, image in enumerate(images):
            top = header + MARGIN + row * (shown + footer + MARGIN)
            page.paste(Image.fromarray(image).resize((shown, shown), Image.Resampling.NEAREST), (left, top))
    for row, wrapped in enumerate(lines):
        top = header + MARGIN + row * (shown + footer + MARGIN) + shown + 2
        for k, line in enumerate(wrapped):
            pen.text((MARGIN, top + k * line_height), line, fill="black", font=font)
    return page


def _page_size(columns: int, rows: int, width: int, height: int) -> tuple[int, int]:
    return columns * (width + 2 * MARGIN), rows * (height + 2 * MARGIN)
