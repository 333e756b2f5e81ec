"""Builds a data set once, and opens it ever after."""

import importlib
import pkgutil
from pathlib import Path

import tensorflow_datasets as tfds
from absl import logging

from stackgan_tf.data import builders
from stackgan_tf.errors import UserError


def prepare(
    dataset: str, data_dir: Path, source_dir: Path | None = None, skip_broken: bool = False
) -> tfds.core.DatasetBuilder:
    """The builder of `stackgan_tf/data/builders/<dataset>.py`, its data prepared under `data_dir`.

    A failed preparation leaves nothing behind.

    Raises:
        UserError: an unknown data set, a source that cannot be used, or data prepared from another source.
    """
    names = [module.name for module in pkgutil.iter_modules(builders.__path__)]
    if dataset not in names:
        raise UserError(f"--dataset={dataset}: unknown data set; choose from {', '.join(names)}")
    importlib.import_module(f"{builders.__name__}.{dataset}")
    source_dir = source_dir and source_dir.expanduser().resolve()
    if source_dir is not None and not source_dir.is_dir():
        raise UserError(f"--source_dir={source_dir}: no such folder")
    builder_class = tfds.builder_cls(dataset)
    if source_dir is not None and not builder_class.READS_SOURCE:
        raise UserError(f"--source_dir={source_dir}: {dataset} draws its own images; leave the flag out")
    builder = builder_class(
        data_dir=str(data_dir.expanduser()),
        file_format="array_record",
        source_dir=source_dir,
        skip_broken=skip_broken,
    )
    if not builder.is_prepared():
        builder.download_and_prepare()
        logging.info("prepared %s in %s", dataset, builder.data_path)
    prepared_from = (builder.info.metadata or {}).get("source_dir")
    if source_dir is not None and prepared_from != str(source_dir):
        raise UserError(
            f"--source_dir={source_dir}: {builder.data_path} was prepared from {prepared_from}; "
            f"leave the flag out, remove that folder, or prepare beside it with another --data_dir"
        )
    return builder
