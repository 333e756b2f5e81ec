"""What travels between the parts, and the legend of every shape in this package.

    B  batch (per replica inside a step)      S  side of an image in pixels
    T  size of a text embedding               E  size of the condition (mu, log_var, eps)
    Z  size of the noise z                    gf, df  base widths of generators / discriminators

Images are float32, channels last, [B, S, S, 3] in [-1, 1], coarsest scale first. Logits are [B], never probabilities.
"""

from typing import Any, NamedTuple

Tensor = Any


class GeneratorOutputs(NamedTuple):
    """What a generator draws: one image batch a scale, and the Gaussian of the condition."""

    images: tuple[Tensor, ...]  # [B, S, S, 3] each
    mu: Tensor | None  # [B, E]; None without text
    log_var: Tensor | None  # [B, E]; None without text, and where nothing is drawn from the Gaussian


class Logits(NamedTuple):
    """What a discriminator thinks: does the image fit the text, and is it real at all?"""

    conditional: Tensor | None  # [B]
    unconditional: Tensor | None  # [B]


class Batch(NamedTuple):
    """One step's data. A mismatched pair joins an image with a sentence of another class.

    v2 takes another image for the text (`mismatched_images`), of another class by construction; v1 another text for
    the image (`mismatched_text_embedding`: that of the next image of the batch), with weight 0 where the class is
    the same.
    """

    images: tuple[Tensor, ...]  # [B, S, S, 3] each, the same crop at every scale; uint8 until the step, to travel light
    text_embedding: Tensor | None = None  # [B, T]
    mismatched_images: tuple[Tensor, ...] | None = None  # as `images`
    mismatched_text_embedding: Tensor | None = None  # [B, T]; row i is row i + 1 of `text_embedding`
    mismatched_weight: Tensor | None = None  # [B], mean 1; 0 where the next image is of the same class
