"""A run that starts from the networks of another, or of a model that comes with the repository."""

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from stackgan_tf import checkpoint, networks, pretrained, text
from stackgan_tf import config as configs
from stackgan_tf.checkpoint import latest
from stackgan_tf.config import Config
from stackgan_tf.errors import UserError
from stackgan_tf.generation import run_config
from stackgan_tf.pretrained import folder_of
from stackgan_tf.training.state import TrainState


def check_start(config: Config) -> None:
    """Whether the networks that a run starts from are such as it describes, or a tree with fewer branches.

    Raises:
        UserError: as `run_config`, or they are of another size, know another text encoder's embeddings, or those of
            one of this name that was trained on something else.
    """
    said = config.train.start_from
    theirs = run_config(folder_of(said))
    grows = not (config.model.same_size or config.model.only_finest)  # there, other branches are other networks
    embedding = ("data.text_encoder", "data.text_size") if config.model.conditional else ()
    changed = {
        name: values
        for name, values in configs.differences(theirs, config).items()
        if name.startswith("model.")
        and not (name == "model.branches" and grows and values[0] < values[1])
        or name in embedding
    }
    if changed:
        listed = ", ".join(f"{name} is {old!r} there, {new!r} here" for name, (old, new) in changed.items())
        flags = " ".join(f"--set {name}={old}" for name, (old, _) in changed.items())
        raise UserError(f"train.start_from={said}: has other networks ({listed}); add {flags}")
    own = folder_of(said) / text.FOLDER
    if config.model.conditional and own.is_dir():
        before = text.load(theirs.data, own.parent).fingerprint()
        if not config.data.text_path or text.load(config.data).fingerprint() != before:
            name = config.data.text_encoder
            raise UserError(f"train.start_from={said}: has a {name} of its own; add --set data.text_path={own}")


def started_at(config: Config) -> str:
    """The step or the checkpoint of what a run starts from, on which all workers must agree."""
    if not config.train.start_from:
        return "none"
    folder = folder_of(config.train.start_from)
    return f"step {pretrained.card(folder)['step']}" if pretrained.is_pretrained(folder) else str(latest(folder))


def start(state: TrainState, config: Config) -> None:
    """Gives both generators the averaged weights, and the discriminators their own where they are there.

    Branches that were not there start anew, and so do Adam, the average's past and the count of steps.
    """
    run_dir = folder_of(config.train.start_from)
    with tf.Graph().as_default():  # names and shapes only: no weight is drawn
        theirs = networks.build(run_config(run_dir))
    _, values = checkpoint.saved_generator(run_dir, checkpoint.shapes_by_path(theirs.generator))
    for generator in (state.generator, state.average):
        _assign(generator, values)
    found = checkpoint.saved_discriminators(run_dir, [checkpoint.shapes_by_path(d) for d in theirs.discriminators])
    if found is None:
        logging.warning("%s has no discriminators: these start anew", run_dir)
    for d, values in zip(state.discriminators, found or [], strict=False):  # coarsest first; the finer ones are new
        _assign(d, values)


def _assign(model: keras.Model, values: dict[str, np.ndarray]) -> None:
    for variable in model.variables:
        if variable.path in values:
            variable.assign(values[variable.path])
