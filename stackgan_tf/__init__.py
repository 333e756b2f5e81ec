"""Text-to-image synthesis with stacked GANs, in TensorFlow 2 and Keras 3.

    import stackgan_tf
    generator = stackgan_tf.load_generator("runs/shapes_v2")
    images = generator("a small solid red cross on a blue background", seed=0)  # one array a scale

Importing this loads no TensorFlow.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["load_generator"]


def __getattr__(name: str) -> Any:
    if name == "load_generator":
        from stackgan_tf.generation import load_generator

        return load_generator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
