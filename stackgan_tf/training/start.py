"""A run that starts from the networks of another, or of a model that comes with the repository."""

from absl import logging

from stackgan_tf import checkpoint
from stackgan_tf import config as configs
from stackgan_tf.config import Config
from stackgan_tf.errors import UserError
from stackgan_tf.generation import run_config
from stackgan_tf.pretrained import folder_of
from stackgan_tf.training.state import TrainState


def check_start(config: Config) -> None:
    """Whether the networks that a run starts from are such as it describes.

    Raises:
        UserError: as `run_config`, or they are of another size, or know another text encoder's embeddings.
    """
    theirs = run_config(folder_of(config.train.start_from))
    text = ("data.text_encoder", "data.text_size") if config.model.conditional else ()
    changed = {
        name: values
        for name, values in configs.differences(theirs, config).items()
        if name.startswith("model.") or name in text
    }
    if changed:
        listed = ", ".join(f"{name} is {old!r} there, {new!r} here" for name, (old, new) in changed.items())
        flags = " ".join(f"--set {name}={old}" for name, (old, _) in changed.items())
        raise UserError(f"train.start_from={config.train.start_from}: other networks ({listed}); add {flags}")


def start(state: TrainState, config: Config) -> None:
    """Gives both generators the averaged weights, and the discriminators their own where they are there.

    Adam, the average's past and the count of steps start anew.
    """
    run_dir = folder_of(config.train.start_from)
    for generator in (state.generator, state.average):
        checkpoint.restore_generator(generator, run_dir)
    shapes = [checkpoint.shapes_by_path(d) for d in state.discriminators]
    found = checkpoint.saved_discriminators(run_dir, shapes)
    if found is None:
        logging.warning("%s has no discriminators: these start anew", run_dir)
        return
    for d, values in zip(state.discriminators, found, strict=True):
        checkpoint.assign(d, values)
