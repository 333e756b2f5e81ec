"""Any network in a .keras file or a SavedModel: what it gives are features, or a dictionary of features and logits."""

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.extractors import INCEPTION, Extractor, digest, extractor_of


def load(path: Path) -> Extractor:
    """The network of a file or folder, named like it; it is shown images in [-1, 1].

    Raises:
        UserError: it is missing, damaged, or takes no images. No Python code in a file is run.
    """
    if not path.exists():
        raise UserError(f"--extractor={path}: no such file; name {INCEPTION}, a .keras file or a SavedModel's folder")
    try:
        network, shape = _saved_model(path) if path.is_dir() else _keras_file(path)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"--extractor={path}: cannot be read as a .keras file or a SavedModel ({reason})") from None
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return extractor_of(path, digest(file.read_bytes() for file in files), network, shape)


def _keras_file(path: Path) -> tuple[Callable, tuple]:
    model = keras.models.load_model(path, compile=False)
    (shape,) = [tuple(x.shape) for x in model.inputs]
    return lambda images: model(images, training=False), shape


def _saved_model(path: Path) -> tuple[Callable, tuple]:
    module = tf.saved_model.load(str(path))
    signature = module.signatures["serving_default"]
    ((name, spec),) = signature.structured_input_signature[1].items()

    def network(images: tf.Tensor) -> dict[str, tf.Tensor] | tf.Tensor:
        outputs = signature(**{name: images})
        return outputs if "features" in outputs or len(outputs) > 1 else next(iter(outputs.values()))

    network.module = module  # its variables live as long
    return network, tuple(spec.shape)
