"""Two logical CPU devices stand for two GPUs; one strategy over them serves the whole session."""

import os
import shutil
import subprocess
from contextlib import contextmanager

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import config as configs
from stackgan_tf.structs import Batch

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
# Graphs are run once or twice here: optimising them takes longer than they do.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(scope="session")
def two_replicas():
    """A second MirroredStrategy in one process would break synchronised batch norm: this is the only one."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def one_replica():
    return tf.distribute.get_strategy()


@pytest.fixture(scope="session")
def shapes_data_dir(tmp_path_factory):
    """`shapes`, prepared once, with a few images of each combination."""
    from pathlib import Path

    from stackgan_tf.data.builders.shapes import Shapes
    from stackgan_tf.data.prepare import prepare

    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shapes, "IMAGES_PER_COMBINATION", {"train": 4, "test": 24})
        prepare("shapes", Path(folder))
    return folder


def tiny_config(family="v2", **sections):
    """The smallest network of a family that still has all its parts."""
    values = {
        "data": {"text_size": 16, "random_crop": False, "random_flip": False},
        "model": {
            "family": family,
            "base_size": 8,
            "gf": 8,
            "df": 4,
            "noise_size": 6,
            "condition_size": 5,
            "residual_blocks": 1,
        },
        "train": {"batch_size": 4, "steps": 4, "ema_decay": 0.9},
    }
    if family == "v2":
        values["model"]["branches"] = 2
    for section, fields in sections.items():
        values.setdefault(section, {}).update(fields)
    return configs.from_dict(values)


def save_run(run_dir, config):
    """A run directory, at step 1, with an untrained generator as its average and a noised one as the live one."""
    from stackgan_tf import networks
    from stackgan_tf.checkpoint import Checkpoints, variables_by_path

    average, live = (networks.build_generator(config) for _ in range(2))
    for mean, value in zip(average.variables, live.variables, strict=True):
        value.assign(mean + 0.1)
    parts = {"average": variables_by_path(average), "generator": variables_by_path(live), "step": tf.Variable(1)}
    Checkpoints(run_dir, parts, keep=1).save()
    (run_dir / "config.yaml").write_text(configs.dump(config))


@contextmanager
def full_disk(folder, megabytes=1):
    """A folder on a full disk of its own, with what was in it; yields what makes room.

    Skips where nothing may be mounted.
    """
    outside = folder.with_name(f"{folder.name}_outside")
    shutil.copytree(folder, outside)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], capture_output=True
    ).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        shutil.copytree(outside, folder, dirs_exist_ok=True)
        fill(folder)
        yield (folder / "filler").unlink
        shutil.rmtree(outside)
        shutil.copytree(folder, outside)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # a failed test may hold files open
    shutil.rmtree(folder)
    outside.rename(folder)


def fill(folder):
    """Until there is no space left."""
    with pytest.raises(OSError, match="No space left"), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def random_batch(config, seed=0):
    """A global batch as the pipeline makes it, of noise instead of photographs."""
    rng = np.random.default_rng(seed)
    size = config.train.batch_size

    def images():
        return tuple(rng.uniform(-1, 1, (size, s, s, 3)).astype(np.float32) for s in config.judged_scales)

    if not config.model.conditional:
        return Batch(images())
    text = rng.standard_normal((size, config.data.text_size)).astype(np.float32)
    if config.model.family == "v2":
        return Batch(images(), text, images())
    weight = np.array([size / (size - 1)] * (size - 1) + [0], np.float32)
    return Batch(images(), text, None, np.roll(text, -1, axis=0), weight)
