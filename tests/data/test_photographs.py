"""Image files as people have them."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from stackgan_tf.data.photographs import ORIENTATION, NotAnImage, plain

PIXELS = np.kron(np.random.default_rng(0).integers(0, 255, (3, 4, 3)), np.ones((16, 16, 1))).astype(np.uint8)
PHOTO = Image.fromarray(PIXELS)
GREY = np.asarray(PHOTO.convert("L"))


def saved(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def rotated(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return saved(PHOTO, format="PNG", exif=exif)


def half_transparent():
    image = PHOTO.convert("RGBA")
    image.putalpha(Image.fromarray(np.where(np.arange(64) < 32, 255, 0)[None].repeat(48, 0).astype(np.uint8)))
    return saved(image, format="PNG")


ON_WHITE = np.where(np.arange(64)[None, :, None] < 32, PIXELS, 255)
GREY_RGB = GREY[..., None].repeat(3, -1)


@pytest.mark.parametrize(
    "data, shown, converted, tolerance",
    [
        (saved(PHOTO, format="PNG"), PIXELS, False, 0),
        (saved(PHOTO, format="JPEG", quality=95, subsampling=0), PIXELS, False, 3),
        (saved(PHOTO.convert("L"), format="PNG"), GREY_RGB, False, 0),
        (saved(PHOTO.convert("L"), format="JPEG", quality=95), GREY_RGB, False, 3),
        (saved(PHOTO.quantize(64), format="PNG"), PIXELS, True, 0),
        (saved(Image.fromarray(GREY.astype(np.uint16) * 257), format="PNG"), GREY_RGB, True, 0),
        (saved(PHOTO.convert("CMYK"), format="JPEG", quality=95, subsampling=0), PIXELS, True, 3),
        (saved(PHOTO, format="WEBP", lossless=True), PIXELS, True, 3),
        (saved(PHOTO, format="TIFF"), PIXELS, True, 0),
        (saved(PHOTO.quantize(64), format="GIF"), PIXELS, True, 0),
        (rotated(6), np.rot90(PIXELS, -1), True, 0),
        (rotated(1), PIXELS, False, 0),
        (half_transparent(), ON_WHITE, True, 0),
    ],
    ids="png jpeg grey grey_jpeg palette 16_bit cmyk webp tiff gif rotated upright transparent".split(),
)
def test_tensorflow_decodes_what_a_viewer_shows(data, shown, converted, tolerance):
    made, was_converted = plain(data)
    assert was_converted == converted and (converted or made == data)
    decoded = tf.io.decode_image(made, channels=3, expand_animations=False).numpy().astype(int)
    assert decoded.shape == shown.shape and np.abs(decoded - shown).mean() <= tolerance


def test_tensorflow_alone_would_not():
    """Known-bad twin: the rotation of a camera is lost without us."""
    decoded = tf.io.decode_image(rotated(6), channels=3).numpy()
    assert decoded.shape != np.rot90(PIXELS).shape


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "an empty file"),
        (b"hello", "not an image"),
        (saved(PHOTO, format="JPEG")[:-200], "not a whole image"),
        (saved(PHOTO, format="PNG")[:100], "not a whole image"),
        (saved(Image.new("1", (20_000, 20_000)), format="PNG"), "too large"),
        (saved(Image.new("1", (10_000, 10_000)), format="PNG"), "too large"),
    ],
    ids="empty text half_jpeg half_png bomb large".split(),
)
def test_what_cannot_be_used_says_why(data, reason):
    with pytest.raises(NotAnImage, match=reason):
        plain(data)


def test_a_missing_file(tmp_path):
    with pytest.raises(NotAnImage, match="No such file"):
        plain(tmp_path / "nowhere.png")
