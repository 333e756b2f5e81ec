"""Figures of a run for a paper: one kind a file, found by the file's name.

Each file has `draw(request: Request) -> matplotlib.figure.Figure`. Files that begin with an underscore are no kinds.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stackgan_tf.errors import UserError
from stackgan_tf.files import whole

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

    from stackgan_tf.evaluation.extractors import Extractor
    from stackgan_tf.generation import TextToImage

SUFFIXES = (".png", ".pdf")


class Told(NamedTuple):
    """What pictures are drawn for."""

    captions: list[str]
    embeddings: np.ndarray | None  # [N, T]; None without text


@dataclass(frozen=True)
class Request:
    """What a figure is drawn from; the run and its data are opened when they are asked for."""

    run_dir: Path
    data_dir: Path
    source_dir: Path | None = None
    texts: tuple[str, ...] = ()
    captions: int | None = None  # in place of texts: so many of the test split, drawn by the seed
    seed: int = 0
    num: int | None = None  # None: as many as the kind shows by itself
    extractor_name: str = ""
    weights: str = ""  # of the extractor

    @cached_property
    def artist(self) -> "TextToImage":
        """The trained generator.

        Raises:
            UserError: as `load_generator`, or texts for a run without text.
        """
        from stackgan_tf.generation import load_generator

        artist = load_generator(self.run_dir)
        if artist.encoder is None and (self.texts or self.captions):
            flag = "--text" if self.texts else "--captions"
            raise UserError(f"{flag}: this run was trained without text; leave it out")
        return artist

    @cached_property
    def builder(self) -> "tfds.core.DatasetBuilder":
        """The data that the run was trained on."""
        from stackgan_tf.data.prepare import prepare

        return prepare(self.artist.config.data.dataset, self.data_dir, self.source_dir)

    @cached_property
    def extractor(self) -> "Extractor | None":
        """What features come from; None where pixels shall do."""
        from stackgan_tf.evaluation import extractors

        return extractors.load(self.extractor_name, self.weights) if self.extractor_name else None

    def told(self, count: int) -> Told:
        """The texts asked for, else `count` spread evenly over the run's own or the test split's; none without text.

        Captions without a word are passed over.

        Raises:
            UserError: a text has no word, or the run has too few captions of its own, and there are no data; or the
                test split has fewer images than captions are asked for.
        """
        encoder = self.artist.encoder
        if encoder is None:
            return Told([], None)
        if self.texts:
            told = Told(list(self.texts), encoder.encode(self.texts))
            for text, embedding in zip(*told, strict=True):
                if not embedding.any():
                    raise UserError(f"--text={text!r}: has no word")
            return told
        from stackgan_tf.data.embeddings import held_out, told_embeddings
        from stackgan_tf.data.records import Records

        if self.captions:
            records, captions = Records(self.builder, "test").told(2 * self.captions, self.seed)
            embeddings = told_embeddings(encoder, records, captions)
            chosen = np.flatnonzero(embeddings.any(axis=1))[: self.captions]
            if len(chosen) < self.captions:
                raise UserError(f"--captions={self.captions}: the test split has {len(chosen)} images with captions")
        else:
            captions, embeddings = held_out(self.run_dir, encoder, lambda: self.builder, count)
            worded = np.flatnonzero(embeddings.any(axis=1))
            chosen = worded[np.linspace(0, len(worded) - 1, count).astype(int)]
        return Told([captions[i] for i in chosen], embeddings[chosen])

    def rows(self, count: int) -> int:
        """How many samples a figure shows: `num`, else one for each text or caption, else `count`."""
        return self.num or len(self.texts) or self.captions or count

    def samples(self, count: int) -> tuple[list[str], dict[int, np.ndarray]]:
        """So many pictures, the captions again and again: these, "" without text, and `{side: [N, side, side, 3]}`."""
        captions, embeddings = self.told(count)
        if embeddings is None:
            return [""] * count, self.artist(count, self.seed)
        turns = np.arange(count) % len(captions)
        return [captions[i] for i in turns], self.artist(embeddings[turns], self.seed)


def names() -> list[str]:
    """The kinds that there are."""
    return [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]


def check(kind: str, out: Path) -> None:
    """Whether there is such a kind of figure, and of file.

    Raises:
        UserError: there is none.
    """
    if kind not in names():
        raise UserError(f"--kind={kind}: unknown; choose from {', '.join(names())}")
    if out.suffix.lower() not in SUFFIXES:
        raise UserError(f"--out={out}: must end in {' or '.join(SUFFIXES)}")


def write(kind: str, request: Request, out: Path) -> None:
    """Draws one kind of figure into a file, which is whole or as it was before.

    Raises:
        UserError: what the figure needs is not there, or the file cannot be written.
    """
    try:
        module = importlib.import_module(f"{__name__}.{kind}")
    except ModuleNotFoundError as error:
        raise UserError(f'{error.name} is not installed; pip install "stackgan_tf[figures]" brings it') from None
    from stackgan_tf.plots._page import style

    with style():
        figure = module.draw(request)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with whole(out) as made:
                figure.savefig(made)
        except OSError as error:
            raise UserError(f"--out={out}: cannot be written ({error.strerror or error})") from None
