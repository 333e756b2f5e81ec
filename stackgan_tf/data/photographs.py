"""Image files as people have them, made such that every decoder gives what a viewer shows."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
ORIENTATION = 0x0112  # EXIF tag; 1 is upright
JPEG_QUALITY = 95  # of what was lossy before
LOSSY = ("JPEG", "WEBP", "MPO", "HEIF", "AVIF")


class NotAnImage(Exception):
    """Says in a few words why a file cannot be used."""


def plain(image: Path | bytes) -> tuple[bytes, bool]:
    """The bytes of an image that every decoder reads as it is meant, and whether they had to be made.

    A grey or RGB, 8-bit, upright JPEG or PNG is left as it is. Everything else that Pillow reads is converted: turned
    upright as its EXIF data say, CMYK and palettes to RGB, 16 bits to 8, what is transparent to white, an animation to
    its first frame. What was lossy becomes a JPEG, all else a PNG.

    Raises:
        NotAnImage: it is damaged, empty, no image, or has more pixels than Pillow thinks safe (89 million).
    """
    try:
        data = image if isinstance(image, bytes) else image.read_bytes()
    except OSError as error:
        raise NotAnImage(error.strerror or str(error)) from None
    if not data:
        raise NotAnImage("an empty file")
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > Image.MAX_IMAGE_PIXELS:
                raise NotAnImage(f"{opened.width} x {opened.height} pixels: too large to be safe")
            opened.load()
            return (data, False) if _is_plain(opened) else (_converted(opened), True)
    except Image.DecompressionBombError:
        raise NotAnImage("too large to be safe") from None
    except UnidentifiedImageError:
        raise NotAnImage("not an image") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise NotAnImage(f"not a whole image: {error}") from None


def _is_plain(image: Image.Image) -> bool:
    upright = image.getexif().get(ORIENTATION, 1) == 1
    opaque = "transparency" not in image.info
    return image.format in ("JPEG", "PNG") and image.mode in ("RGB", "L") and upright and opaque


def _converted(image: Image.Image) -> bytes:
    lossy = image.format in LOSSY
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image, np.float64) / 257).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    made = io.BytesIO()
    options = {"format": "JPEG", "quality": JPEG_QUALITY, "subsampling": 0} if lossy else {"format": "PNG"}
    image.convert("RGB").save(made, **options)
    return made.getvalue()
