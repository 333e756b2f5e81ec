"""Builds a data set once, and opens it ever after."""

import contextlib
import importlib
import io
import pkgutil
from collections.abc import Sequence
from pathlib import Path

import tensorflow_datasets as tfds
from absl import logging
from google.protobuf import json_format
from tqdm import tqdm

from stackgan_tf.data import builders
from stackgan_tf.data.captioned import CaptionedImages
from stackgan_tf.data.photographs import plain
from stackgan_tf.data.records import Records, damaged
from stackgan_tf.errors import UserError


def builder_class(dataset: str) -> type[CaptionedImages]:
    """The builder of `stackgan_tf/data/builders/<dataset>.py`.

    Raises:
        UserError: there is none; names those that exist.
    """
    names = [module.name for module in pkgutil.iter_modules(builders.__path__)]
    if not dataset:
        raise UserError(
            "data.dataset='': this run does not say what it was trained on; name it when you import, as in "
            "--set data.dataset=cub"
        )
    if dataset not in names:
        raise UserError(f"data.dataset={dataset!r}: unknown data set; choose from {', '.join(names)}")
    importlib.import_module(f"{builders.__name__}.{dataset}")
    return tfds.builder_cls(dataset)


def prepare(
    dataset: str,
    data_dir: Path,
    source_dir: Path | None = None,
    skip_broken: bool = False,
    beam_options: Sequence[str] = (),
) -> tfds.core.DatasetBuilder:
    """The builder of a data set, its data prepared under `data_dir`.

    A failed preparation leaves nothing behind.

    Args:
        beam_options: of the Beam pipeline that builds a big set, such as `--runner=DirectRunner`.

    Raises:
        UserError: an unknown data set, a folder or source that cannot be used, prepared data that are damaged, or
            data prepared from another source.
    """
    cls = builder_class(dataset)
    data_dir, source_dir = data_dir.expanduser(), source_dir and source_dir.expanduser().resolve()
    if source_dir is not None and not source_dir.is_dir():
        raise UserError(f"--source_dir={source_dir}: no such folder")
    if source_dir is not None and not cls.READS_SOURCE:
        raise UserError(f"--source_dir={source_dir}: {dataset} draws its own images; leave the flag out")
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        builder = cls(
            data_dir=str(data_dir), file_format="array_record", source_dir=source_dir, skip_broken=skip_broken
        )
        if not builder.is_prepared():
            with contextlib.redirect_stdout(io.StringIO()):  # TFDS tells sizes that it does not know
                builder.download_and_prepare(download_config=cls.download_config(beam_options))
    except OSError as error:
        raise UserError(f"--data_dir={data_dir}: cannot be used ({error.strerror or error})") from None
    except json_format.ParseError as error:
        raise damaged(data_dir / dataset, error) from None
    logging.info("%s", "; ".join(_counted(builder)))
    prepared_from = (builder.info.metadata or {}).get("source_dir")
    if source_dir is not None and prepared_from != str(source_dir):
        raise UserError(
            f"--source_dir={source_dir}: {builder.data_path} was prepared from {prepared_from}; "
            f"leave the flag out, remove that folder, or prepare beside it with another --data_dir"
        )
    return builder


def summary(builder: tfds.core.DatasetBuilder) -> str:
    """What a prepared set holds, and what was left out: a few lines."""
    metadata = builder.info.metadata or {}
    lines = _counted(builder) + [f"left out: {what}" for what in metadata.get("broken_files", ())]
    left_out = metadata.get("named_images", 0) - sum(info.num_examples for info in builder.info.splits.values())
    if left_out > 0:
        lines.append(f"left out: {left_out} that cannot be used; they were named when they were read")
    return "\n".join(lines)


def _counted(builder: tfds.core.DatasetBuilder) -> list[str]:
    metadata = builder.info.metadata or {}
    lines = [str(builder.data_path)]
    lines += [f"{split}: {info.num_examples} images" for split, info in builder.info.splits.items()]
    counts = {name: count for name, count in metadata.items() if isinstance(count, int) and count}
    if counts:
        lines.append(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()))
    return lines


def verify(builder: tfds.core.DatasetBuilder) -> None:
    """Reads and decodes all of a prepared set.

    Raises:
        UserError: something cannot be read, or is not what the set says that it is.
    """
    for split, info in builder.info.splits.items():
        records = Records(builder, split)
        if len(records) != info.num_examples:
            raise damaged(records.folder, ValueError(f"{split} has {len(records)} images, not {info.num_examples}"))
        for i in tqdm(range(len(records)), f"verifying {split}", unit="image", leave=False):
            (record,) = records.fetch([i])
            try:
                plain(record.image)
            except Exception as error:  # of decoders
                raise damaged(records.folder, error) from None
        if records.index.digest != records.make_index().digest:
            raise damaged(records.folder, ValueError(f"the captions of {split} have changed"))
