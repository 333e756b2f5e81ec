"""From sentences to pictures by a model server: the same that the model itself draws of the same seed."""

import io
import re

import numpy as np
from PIL import Image

from stackgan_tf import noise
from stackgan_tf.errors import UserError
from stackgan_tf.pictures import Asked, one_of_two
from stackgan_tf.serving import Server, Signature

OUTPUT = re.compile(r"image_(\d+)_bytes")


class RemoteArtist:
    """Draws with a model that `stackgan_tf.export` wrote and a server has.

    Raises:
        UserError: the server cannot be asked, or the model is of another kind.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._signatures = server.signatures()
        if "png" not in self._signatures:
            raise UserError(f"{server.address}: has no signature 'png', as the models of stackgan_tf.export have")

    def __call__(
        self, asked: Asked, seed: int = 0, truncation: float = 1.0, batch_size: int = 8
    ) -> dict[int, np.ndarray]:
        """Pictures by the side of their scale in pixels: `{side: [N, side, side, 3] uint8}`.

        Args:
            asked: N sentences, or their embeddings [N, T]; without text: N.
            seed: picture i depends on the seed, on i and on its sentence alone.
            truncation: the noise is multiplied by it, from 0 to 1.
            batch_size: rows of one request.

        Raises:
            UserError: something else is asked than what the model draws, or the server refuses or fails.
        """
        noise.check_truncation(truncation)
        asked = [asked] if isinstance(asked, str) else asked
        signature, text = self._request(asked)
        count = asked if isinstance(asked, int) else len(asked)
        drawn = []
        for start in range(0, count, batch_size):
            rows = range(start, min(start + batch_size, count))
            inputs = {name: values[rows.start : rows.stop] for name, values in text.items()}
            inputs["seed"] = noise.row_seeds(seed, rows)
            inputs["truncation"] = np.full(len(rows), truncation, np.float32)
            drawn.append(self._pictures(signature, inputs, len(rows)))
        return {side: np.concatenate([images[side] for images in drawn]) for side in drawn[0]}

    def _request(self, asked: Asked) -> tuple[Signature, dict[str, np.ndarray]]:
        """The signature to ask, and the text for it."""
        signature, address = self._signatures["png"], self._server.address
        if "text_embedding" not in signature.inputs:
            if not isinstance(asked, int):
                raise UserError(f"--text, --embeddings: {address} draws without text; give --num only")
            return signature, {}
        if isinstance(asked, int):
            raise one_of_two()
        if isinstance(asked, np.ndarray):
            _check_embeddings(asked, signature.inputs["text_embedding"])
            return signature, {"text_embedding": asked.astype(np.float32)}
        if "png_from_text" not in self._signatures:
            raise UserError(f"--text: {address} cannot read sentences itself; give --embeddings (stackgan_tf.embed)")
        for sentence in asked:
            if not sentence.strip():
                raise UserError(f"the sentence {sentence!r} has no word")
        text = np.array([sentence.encode(errors="replace") for sentence in asked], object)
        return self._signatures["png_from_text"], {"text": text}

    def _pictures(self, signature: Signature, inputs: dict[str, np.ndarray], rows: int) -> dict[int, np.ndarray]:
        files = self._server.png_files(signature, inputs)
        sides = {int(match[1]): name for name in files if (match := OUTPUT.fullmatch(name))}
        if not sides or any(len(files[name]) != rows for name in sides.values()):
            raise UserError(f"--host={self._server.place}: answered with other pictures than were asked of it")
        return {side: np.stack([self._picture(file, side) for file in files[sides[side]]]) for side in sorted(sides)}

    def _picture(self, file: bytes, side: int) -> np.ndarray:
        try:
            image = Image.open(io.BytesIO(file), formats=["PNG"])
            if image.size == (side, side):
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            pass  # said below
        raise UserError(f"--host={self._server.place}: answered with something that is not a PNG file of {side} pixels")


def _check_embeddings(rows: np.ndarray, shape: tuple[int, ...]) -> None:
    if rows.dtype.kind != "f" or not (np.abs(rows) <= np.finfo(np.float32).max).all():
        raise UserError("text embeddings: must be finite floating-point numbers")
    if rows.ndim != 2 or rows.shape[1:] != shape[1:] or not len(rows):
        raise UserError(f"text embeddings of shape {rows.shape}: must be (N, {', '.join(map(str, shape[1:]))})")
