"""What an exported generator can be asked: TensorFlow functions with names, shapes and nothing of Keras in them."""

from collections.abc import Callable, Mapping

import tensorflow as tf

from stackgan_tf import noise
from stackgan_tf.generation import TextToImage, tensor_grey_levels

Signature = Callable[..., dict[str, tf.Tensor]]
Functions = dict[str, tf.types.experimental.ConcreteFunction]


class Signatures:
    """A generator's signatures, in float32 at any batch size; every input has a row for each image.

    `seed` [B] int64: the noise of a row depends on its own seed alone, so rows may come together in any batch.
    `truncation` [B] float32: the noise is multiplied by it; 1 as trained, towards 0 the mean picture of a sentence.

    `serving_default`: text_embedding [B, T], seed, truncation -> image_64 ... [B, S, S, 3] in [-1, 1].
    `with_noise`: text_embedding, noise [B, Z], eps [B, E] (Stage-II also eps_stage1), truncation -> the same.
    `png`: text_embedding, seed, truncation -> image_64_bytes ... [B], PNG files; REST sends such names in base64.
    `from_text`, `png_from_text`: text [B] string in place of text_embedding, of a text encoder that is a graph.
    Without text: `serving_default`, `with_noise` and `png` without text_embedding.

    Source: multiplied noise is the truncation of Karras et al., "A style-based generator architecture", CVPR 2019,
    section B, where the mean of what is scaled is 0. Deviation: BigGAN (2019) draws again what falls outside.
    """

    def __init__(self, artist: TextToImage) -> None:
        config = artist.config
        self._generator = artist.generator
        self._images = tf.function(self._generate, autograph=False)  # one graph, which every signature calls
        self._encoder = artist.encoder
        self._encode = getattr(artist.encoder, "encode_tensor", None)
        self._sides, self._sizes = artist.scales, artist.noise_sizes
        self._bounds = {name: noise.bounds(name, artist.eps_distribution) for name in artist.noise_sizes}
        self._text = {"text_embedding": spec("text_embedding", config.data.text_size)} if artist.encoder else {}
        sizes = noise.exported_names(artist.noise_sizes)
        self._noise = {name: spec(name, size) for name, size in sizes.items()}
        # What TensorFlow saves with the graphs: plain variables. The Keras model itself would take its class along.
        self.variables = tf.Module()
        self.variables.generator = [v.value for v in artist.generator.variables]
        self.variables.encoder = list(artist.encoder.variables) if self._encode else []

    def served(self) -> Functions:
        """Every signature by its name."""
        seeded = {"seed": tf.TensorSpec([None], tf.int64, "seed"), "truncation": spec("truncation")}
        found = {
            "serving_default": traced(self._from_seed, self._text | seeded),
            "with_noise": traced(self._with_noise, self._text | self._noise | {"truncation": spec("truncation")}),
            "png": traced(as_png(self._from_seed), self._text | seeded),
        }
        if self._encode:
            text = {"text": tf.TensorSpec([None], tf.string, "text")}
            found["from_text"] = traced(self._from_text, text | seeded)
            found["png_from_text"] = traced(as_png(self._from_text), text | seeded)
        return found

    def on_device(self) -> Functions:
        """The generator alone: text_embedding and noise in, images out. Who asks draws the noise, and scales it."""
        return {"serving_default": traced(self._generate, self._text | self._noise)}

    def text_encoder(self) -> Functions | None:
        """The text encoder alone, if it is a network that reads characters: characters [1, 201] -> text_embedding."""
        if not hasattr(self._encoder, "encode_characters"):
            return None
        characters = tf.TensorSpec([1, self._encoder.positions], tf.int32, "characters")
        return {"serving_default": traced(self._encode_characters, {"characters": characters})}

    def _generate(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        images = self._generator(**noise.own_names(inputs), training=False).images
        return {f"image_{side}": image for side, image in zip(self._sides, images, strict=True)}

    def _with_noise(self, truncation: tf.Tensor, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        scaled = {name: inputs[name] * truncation[:, None] for name in self._noise}
        return self._images(**inputs | scaled)

    def _from_seed(self, seed: tf.Tensor, truncation: tf.Tensor, **text: tf.Tensor) -> dict[str, tf.Tensor]:
        drawn = {name: self._draw(seed, name, size) for name, size in self._sizes.items()}
        return self._with_noise(truncation, **noise.exported_names(drawn), **text)

    def _from_text(self, text: tf.Tensor, seed: tf.Tensor, truncation: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._from_seed(seed, truncation, text_embedding=self._encode(text))

    def _encode_characters(self, characters: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"text_embedding": self._encoder.encode_characters(characters)}

    def _draw(self, seed: tf.Tensor, name: str, size: int) -> tf.Tensor:
        """`noise.draw` as a graph: [B] int64 -> [B, size]."""
        blocks = tf.range(-(-size // 4), dtype=tf.int64)[None]
        words = tf.concat(noise.words(seed[:, None], blocks, noise.STREAMS[name]), axis=1)[:, :size]
        low, high = self._bounds[name]
        probability = low + (high - low) * ((tf.cast(words, tf.float64) + 0.5) / noise.WORD)
        return tf.cast(tf.math.ndtri(probability), tf.float32)


def spec(name: str, *shape: int) -> tf.TensorSpec:
    """An input of float32 with a batch of any size."""
    return tf.TensorSpec([None, *shape], tf.float32, name)


def traced(function: Signature, inputs: Mapping[str, tf.TensorSpec]) -> tf.types.experimental.ConcreteFunction:
    """The graph of a function of these inputs, which it takes by name only."""
    by_name = tf.function(lambda **given: function(**given), autograph=False)
    return by_name.get_concrete_function(**inputs)


def as_png(function: Signature) -> Signature:
    """The same with each image as a PNG file, under a name that ends in `_bytes`."""

    def encoded(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        images = function(**inputs)
        return {f"{name}_bytes": tf.io.encode_png(tensor_grey_levels(image)) for name, image in images.items()}

    return encoded
