"""The same networks on Keras' other backends. Needs JAX and PyTorch; each is skipped where it is not installed."""

import importlib.util
import logging
import os
import subprocess
import sys

import numpy as np
import pytest

from stackgan_tf import config as configs
from stackgan_tf.checkpoint import Checkpoints
from stackgan_tf.generation import load_generator
from stackgan_tf.training.state import TrainState
from tests.conftest import tiny_config

DRAW = """
import sys
import keras, numpy as np
from stackgan_tf.generation import load_generator
assert keras.backend.backend() == sys.argv[2]
inputs = dict(np.load(sys.argv[3]))
outputs = load_generator(sys.argv[1]).generator(**inputs)
np.savez(sys.argv[4], *(keras.ops.convert_to_numpy(image) for image in outputs.images))
"""


@pytest.mark.parametrize("family", ["v2", pytest.param("v1_stage2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_saved_generator_draws_the_same(backend, family, tmp_path, one_replica):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    config = tiny_config(family)
    state = TrainState(config, one_replica, steps_per_epoch=10)
    rng = np.random.default_rng(0)
    for variable in state.average.variables:  # moving statistics that are not zero and one
        if "moving" in variable.path:
            variable.assign(variable.numpy() * 0.5 + 0.01 * rng.random(variable.shape))
        elif family == "v1_stage2" and "kernel" in variable.path:  # drawn so small that the pictures are grey
            variable.assign(variable.numpy() * 5)
    Checkpoints(tmp_path, state.parts(), keep=1).save()
    (tmp_path / "config.yaml").write_text(configs.dump(config))
    generator = load_generator(tmp_path).generator
    sizes = generator.noise_sizes | ({"text_embedding": config.data.text_size} if config.model.conditional else {})
    inputs = {name: rng.standard_normal((3, size)).astype(np.float32) for name, size in sizes.items()}
    np.savez(tmp_path / "inputs.npz", **inputs)
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    arguments = [str(tmp_path), backend, str(tmp_path / "inputs.npz"), str(tmp_path / "images.npz")]
    subprocess.run([sys.executable, "-c", DRAW, *arguments], check=True, env=environment)
    theirs = np.load(tmp_path / "images.npz")
    for ours, name in zip(generator(**inputs).images, theirs.files, strict=True):
        logging.info("%s, %s: largest difference %.1e", backend, family, np.abs(ours - theirs[name]).max())
        assert np.std(ours) > 0.01, "a picture that does not saturate"
        np.testing.assert_allclose(ours, theirs[name], atol=1e-4)
