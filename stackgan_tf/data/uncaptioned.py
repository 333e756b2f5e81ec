"""Big sets of images without captions: built shard by shard on any Beam runner."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from absl import logging

from stackgan_tf.data.captioned import CaptionedImages, Source
from stackgan_tf.data.photographs import NotAnImage, plain
from stackgan_tf.errors import UserError


class UncaptionedImages(CaptionedImages, skip_registration=True):
    """A data set of images alone, all of them to train. Its parts are read by Beam's workers, each for itself."""

    CAPTIONED = False

    def parts(self) -> Sequence[Sequence[Any]]:
        """What the workers are given: each a part of the set, as long as it has images, small and picklable.

        Raises:
            UserError: the source is not what it should be.
        """
        raise NotImplementedError

    @staticmethod
    def read(part: Any) -> Iterator[Source]:
        """The images of a part; by default a list of files, in bytes: their names may be no Unicode text."""
        for file in part:
            yield Source(file.decode(errors="backslashreplace"), Path(os.fsdecode(file)))

    @staticmethod
    def download_config(beam_options: Sequence[str]) -> tfds.download.DownloadConfig:
        """With the options of Beam's pipeline."""
        try:
            from apache_beam.options.pipeline_options import PipelineOptions
        except ImportError:
            raise UserError('big sets are built with Apache Beam; pip install "stackgan_tf[beam]"') from None
        return tfds.download.DownloadConfig(beam_options=PipelineOptions(list(beam_options)))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager, pipeline: Any) -> dict[str, Any]:
        import apache_beam as beam

        if self.source_dir is None:
            raise UserError(f"{self.name}: name the folder of the images with --source_dir")
        parts = self.parts()
        self.info.metadata.update({"named_images": sum(map(len, parts)), "source_dir": str(self.source_dir)})
        worker = _Worker(type(self).read, self.skip_broken)
        return {"train": "parts" >> beam.Create(parts) | beam.Reshuffle() | "images" >> beam.FlatMap(worker)}


class _Worker:
    """Reads a part on a worker into examples."""

    def __init__(self, read: Any, skip_broken: bool) -> None:
        self.read, self.skip_broken = read, skip_broken

    def __call__(self, part: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        for source in self.read(part):
            try:
                image, _ = plain(source.image)
            except NotAnImage as fault:
                if not self.skip_broken:
                    raise UserError(
                        f"{source.name} cannot be used ({fault}); mend it, or leave such out with --skip_broken"
                    ) from None
                logging.warning("broken: %s (%s)", source.name, fault)
                continue
            yield source.name, {"image": image, "captions": [], "label": source.label, "name": source.name}
