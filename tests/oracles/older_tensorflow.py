"""Does an older TensorFlow draw the same pictures of an exported model? Needs nothing but TensorFlow and numpy.

python older_tensorflow.py models/flowers/1 pictures.npz    with the TensorFlow that exported it: keeps its pictures
python older_tensorflow.py models/flowers/1 pictures.npz    with another: compares
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf


def draw(folder: str) -> dict[str, np.ndarray]:
    """Every output of every signature, as a server asks for them."""
    found, rng = {}, np.random.default_rng(0)
    with tf.compat.v1.Session(graph=tf.Graph()) as session, session.graph.as_default():
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], folder).signature_def
        for name in sorted(signatures):
            feed = {tensor.name: rows(key, tensor, rng) for key, tensor in sorted(signatures[name].inputs.items())}
            wanted = {key: tensor.name for key, tensor in signatures[name].outputs.items()} if feed else {}
            for key, values in session.run(wanted, feed).items():
                files = key.endswith("_bytes")
                found[f"{name}/{key}"] = (
                    np.stack([session.run(tf.io.decode_png(file)) for file in values]) if files else values
                )
    return found


def rows(name: str, tensor: tf.compat.v1.MetaGraphDef, rng: np.random.Generator) -> np.ndarray:
    """Three rows of an input."""
    if name == "text":
        return np.array([b"this flower has pink petals", b"a yellow bird", b"nine \xc3\xa9t\xc3\xa9s"], object)
    if name == "seed":
        return np.array([0, -1, 2**40], np.int64)
    if name == "truncation":
        return np.array([1.0, 0.5, 0.0], np.float32)
    return rng.standard_normal((3, tensor.tensor_shape.dim[1].size)).astype(np.float32)


def main() -> None:
    """Keeps or compares."""
    folder, kept = sys.argv[1], Path(sys.argv[2])
    drawn = draw(folder)
    if not kept.exists():
        np.savez(kept, **drawn)
        return
    before = np.load(kept)
    assert sorted(before) == sorted(drawn), (sorted(before), sorted(drawn))
    for name, values in drawn.items():
        off = np.abs(values.astype(np.float64) - before[name]).max()
        sys.stdout.write(f"TensorFlow {tf.__version__}  {name:<32}{off:.2g}\n")


if __name__ == "__main__":
    main()
