"""Exports of tiny runs."""

import numpy as np

from stackgan_tf import networks, text
from stackgan_tf.exporting.job import Job
from stackgan_tf.generation import TextToImage
from tests.conftest import tiny_config

KINDS = {
    "v1_stage1": tiny_config("v1_stage1", model={"eps_distribution": "truncated_normal"}),
    "v1_stage2": tiny_config("v1_stage2"),
    "v2": tiny_config(train={"precision": "mixed_float16"}),  # what is exported is float32 all the same
    "v2_one_scale": tiny_config(model={"branches": 1, "conditioning_augmentation": False}),
    "v2_unconditional": tiny_config(model={"conditional": False}),
}


def job_of(run_dir, config, **options):
    """An export of a generator that makes something of its inputs."""
    generator, rng = networks.build_generator(config), np.random.default_rng(0)
    for variable in generator.variables:
        if variable.path.endswith("kernel"):  # as they begin, v1's leave nothing of what goes in
            deviation = 1.5 / np.sqrt(np.prod(variable.shape[:-1]))
            variable.assign(deviation * rng.standard_normal(variable.shape))
    artist = TextToImage(config, generator, text.load(config.data) if config.model.conditional else None, step=1)
    if artist.encoder:
        embeddings = rng.standard_normal((12, artist.encoder.size)).astype(np.float32)
        options = {"embeddings": embeddings} | options
    return Job(run_dir=run_dir, artist=artist, model=run_dir.name, builder=None, **options)
