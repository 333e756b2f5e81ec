"""What is to be exported: a run's averaged generator, and all that the formats need of it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from stackgan_tf.exporting import examples
from stackgan_tf.exporting.examples import Builder, Examples
from stackgan_tf.exporting.model_card import Card, describe
from stackgan_tf.exporting.signatures import Functions, Signatures
from stackgan_tf.generation import TextToImage
from stackgan_tf.noise import own_names


@dataclass(frozen=True)
class Job:
    """One export; signatures and examples are made when a format first asks for them."""

    run_dir: Path
    artist: TextToImage
    model: str  # name of the model
    builder: Builder  # gives the run's data set
    quantize: tuple[str, ...] = ("none",)
    licence: str = ""  # of the weights
    embeddings: np.ndarray | None = None  # [N, T], in place of captions

    @cached_property
    def signatures(self) -> Signatures:
        """What can be asked."""
        return Signatures(self.artist)

    @cached_property
    def calibration(self) -> Examples:
        """What int8 learns the ranges of activations from."""
        return examples.calibration(self.artist, self.builder, self.embeddings)

    @cached_property
    def compared(self) -> Examples:
        """What exported files are compared with the run by."""
        return examples.compared(self.artist, self.run_dir, self.builder, self.embeddings)

    @cached_property
    def expected(self) -> dict[str, np.ndarray]:
        """What the run's generator draws of these: image_64 ..., [B, S, S, 3] float32."""
        images = self.artist.generator(**own_names(self.compared)).images
        return {f"image_{side}": image.numpy() for side, image in zip(self.artist.scales, images, strict=True)}

    def card(self, functions: Functions) -> Card:
        """The model's card, with these signatures."""
        return describe(self.artist, self.model, self.run_dir, self.licence, functions)
