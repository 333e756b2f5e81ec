"""Two tiny models, exported once, and a server that has them."""

import keras
import pytest

from stackgan_tf import networks, text
from stackgan_tf.exporting import model_folder, saved_model
from stackgan_tf.exporting.job import Job
from stackgan_tf.generation import TextToImage
from tests.conftest import tiny_config
from tests.serving.loopback import Server


def artist_of(config):
    keras.utils.set_random_seed(7)  # untrained generators differ in how much they make of their inputs
    encoder = text.load(config.data) if config.model.conditional else None
    return TextToImage(config, networks.build_generator(config), encoder, step=1)


def export(artist, models, name):
    """The next version in `models/name`."""
    with model_folder.new_version(models / name, ["saved_model"]) as made:
        saved_model.write(Job(models, artist, name, builder=None), made["saved_model"])


@pytest.fixture(scope="session")
def artists():
    """`flowers` draws sentences, `patterns` draws without text."""
    unconditional = tiny_config(model={"conditional": False})
    return {"flowers": artist_of(tiny_config()), "patterns": artist_of(unconditional)}


@pytest.fixture(scope="session")
def models(artists, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, artist in artists.items():
        export(artist, folder, name)
    return folder


@pytest.fixture(scope="session")
def running(models):
    with Server(models, labels={"stable": 1}) as server:
        yield server


@pytest.fixture
def server(running):
    """The server, as it should be."""
    yield running
    running.delay, running.failures, running.spoil, running.body, running.asked = 0.0, 0, None, None, 0
