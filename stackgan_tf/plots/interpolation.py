"""Between two sentences with the same noise, and between two noises with the same sentence."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from stackgan_tf.errors import UserError
from stackgan_tf.generation import TextToImage
from stackgan_tf.plots import Request, Told
from stackgan_tf.plots._page import Row, page

PAIRS, FRAMES = 2, 8
ALMOST_ONE = 1 - 1e-6  # cosine, where a circle is a line
Noise = dict[str, np.ndarray]


def draw(request: Request) -> Figure:
    """Two rows for each pair of texts; without text, a row for each pair of noises.

    Raises:
        UserError: texts that are not in pairs, or fewer than two pictures a row.
    """
    artist, frames = request.artist, FRAMES if request.num is None else request.num
    texts, embeddings = request.told(2 * PAIRS)
    if frames < 2:
        raise UserError(f"--num={frames}: an interpolation has at least 2 pictures")
    if len(texts) % 2:
        flag = "--captions" if request.captions else "--text"
        raise UserError(f"{flag}: {len(texts)} of them; give two, or more pairs, each from one to the other")
    if not texts:
        ways = [_ends(artist, request.seed, pair) for pair in range(PAIRS)]
        return page([Row(drawn(artist, between_noises(*ends, frames)), "From one noise to another") for ends in ways])
    told = [Told(texts[i : i + 2], embeddings[i : i + 2]) for i in range(0, len(texts), 2)]
    return page([row for pair, ends in enumerate(told) for row in _rows(request, ends, pair, frames)])


def _rows(request: Request, ends: Told, pair: int, frames: int) -> Iterator[Row]:
    artist, (first, last), embeddings = request.artist, ends.captions, ends.embeddings
    start, end = _ends(artist, request.seed, pair)
    fixed = {name: np.repeat(value[None], frames, axis=0) for name, value in start.items()}
    yield Row(drawn(artist, fixed, between_texts(*embeddings, frames)), first, last)
    same = np.repeat(embeddings[:1], frames, axis=0)
    yield Row(drawn(artist, between_noises(start, end, frames), same), f"From one noise to another: {first}")


def _ends(artist: TextToImage, seed: int, pair: int) -> tuple[Noise, Noise]:
    noise = artist.noise(seed, range(2 * pair, 2 * pair + 2))
    return {name: value[0] for name, value in noise.items()}, {name: value[1] for name, value in noise.items()}


def between_texts(start: np.ndarray, end: np.ndarray, frames: int) -> np.ndarray:
    """Embeddings on the straight line: [T], [T] -> [frames, T]."""
    return np.linspace(start, end, frames, dtype=np.float32)


def between_noises(start: Noise, end: Noise, frames: int) -> Noise:
    """Noises on the great circle, where they stay as long as noise is: [Z], [Z] -> [frames, Z], of each name."""
    return {name: _spherical(start[name], end[name], frames) for name in start}


def _spherical(start: np.ndarray, end: np.ndarray, frames: int) -> np.ndarray:
    cosine = start @ end / (np.linalg.norm(start) * np.linalg.norm(end))
    angle, t = np.arccos(np.clip(cosine, -ALMOST_ONE, ALMOST_ONE)), np.linspace(0, 1, frames)[:, None]
    return ((np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)).astype(np.float32)


def drawn(artist: TextToImage, noise: Noise, embeddings: np.ndarray | None = None) -> np.ndarray:
    """The finest scale for given inputs of the generator: [N, S, S, 3] uint8."""
    text = {} if embeddings is None else {"text_embedding": embeddings}
    return artist.draw(**noise, **text)[-1]
