"""Composition root: a configuration becomes networks. The only file that joins config and models."""

from typing import NamedTuple

import keras
import numpy as np

from stackgan_tf.config import Config
from stackgan_tf.models import v1, v2
from stackgan_tf.models.discriminator import Discriminator


class Networks(NamedTuple):
    """One generator, and a discriminator for each scale that is judged, coarsest first."""

    generator: keras.Model
    discriminators: tuple[Discriminator, ...]


def build_generator(config: Config, precision: str = "float32") -> keras.Model:
    """The generator of a configuration, its variables made."""
    m = config.model
    common = {
        "gf": m.gf,
        "condition_size": m.condition_size,
        "noise_size": m.noise_size,
        "base_size": m.base_size,
        "augment": m.conditioning_augmentation,
        "dtype": precision,
        "name": "generator",
    }
    if m.family == "v1_stage1":
        shape = {"gf": m.gf // 4, "base_size": 4 * m.base_size} if m.straight else {}
        generator = v1.StageOneGenerator(**common | shape)
    elif m.family == "v1_stage2":
        generator = v1.StageTwoGenerator(
            residual_blocks=m.residual_blocks,
            stage1_batch_statistics=m.stage1_batch_statistics,
            reads_text=m.stage2_text,
            **common,
        )
    else:
        shape = {"gf": m.gf // 2 ** (m.branches - 1), "base_size": config.scales[-1]} if m.same_size else {}
        generator = v2.Generator(
            branches=m.branches,
            residual_blocks=m.residual_blocks,
            conditional=m.conditional,
            only_finest=m.only_finest,
            grows=not m.same_size,
            **common | shape,
        )
    inputs = {name: np.zeros((1, size), np.float32) for name, size in generator.noise_sizes.items()}
    if m.conditional:
        if not config.data.text_size:
            raise ValueError("data.text_size=0: ask the text encoder first (text.resolved)")
        inputs["text_embedding"] = np.zeros((1, config.data.text_size), np.float32)
    generator(**inputs)
    return generator


def build(config: Config, precision: str = "float32") -> Networks:
    """All networks of a configuration, their variables made; weights drawn from Keras' global seed."""
    m = config.model
    first_generation = m.family != "v2"
    discriminators = tuple(
        Discriminator(
            size,
            m.df,
            conditional=m.conditional,
            unconditional=m.family == "v1_stage2"
            or (not first_generation and (config.loss.joint or not m.conditional)),
            condition_first=not first_generation,
            initializer=v1.INITIALIZER if first_generation else "orthogonal",
            norm=m.discriminator_norm,
            spectral_norm=m.spectral_norm,
            dtype=precision,
            name=f"discriminator_{size}",
        )
        for size in config.judged_scales
    )
    condition = np.zeros((1, m.condition_size), np.float32) if m.conditional else None
    for d in discriminators:
        d(np.zeros((1, d.size, d.size, 3), np.float32), condition)
    return Networks(build_generator(config, precision), discriminators)


def parameter_counts(networks: Networks) -> list[tuple[str, int]]:
    """The name of each network and its trainable parameters."""
    return [
        (model.name, sum(int(np.prod(v.shape)) for v in model.trainable_variables))
        for model in (networks.generator, *networks.discriminators)
    ]
