"""Makes reference.npz: what TF-GAN and TensorFlow Addons compute on small inputs. See README.md.

Runs in an environment of its own: no TensorFlow that this package works with can import them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa
import tensorflow_gan as tfgan
from tensorflow_gan.python.eval import sliced_wasserstein

Arrays = dict[str, np.ndarray]
LEVELS, PATCHES, PATCH, REPETITIONS, PROJECTIONS = 3, 4, 7, 2, 8  # of the sliced Wasserstein distance


def double(array: np.ndarray) -> tf.Tensor:
    return tf.constant(array, tf.float64)


def inception_score() -> Arrays:
    """Sure classifications of many classes, and unsure ones, whose score is near 1."""
    rng = np.random.default_rng(1)
    found = {}
    for case, scale in (("peaked", 4.0), ("flat", 0.2)):
        logits = (scale * rng.standard_normal((200, 20))).astype(np.float32)
        score = tfgan.eval.classifier_score_from_logits(double(logits))
        found |= {f"{case}/logits": logits, f"{case}/score": score}
    return found


def activations(rng: np.random.Generator, rows: int, size: int) -> np.ndarray:
    """Rows of a normal distribution with a random mean and covariance."""
    mixing = rng.standard_normal((size, size)) / np.sqrt(size)
    return (rng.standard_normal((rows, size)) @ mixing + rng.uniform(-0.5, 0.5, size)).astype(np.float32)


def frechet_distance() -> Arrays:
    """More rows than columns; fewer, so that the covariances have no inverse."""
    rng = np.random.default_rng(2)
    found = {}
    for case, rows_a, rows_b, size in (("full_rank", 300, 260, 16), ("low_rank", 20, 24, 32)):
        a, b = activations(rng, rows_a, size), activations(rng, rows_b, size)
        distance = tfgan.eval.frechet_classifier_distance_from_activations(double(a), double(b))
        found |= {f"{case}/a": a, f"{case}/b": b, f"{case}/distance": distance}
    return found


def kernel_distance() -> Arrays:
    """One block; five blocks, of which the last ones have a row more."""
    rng = np.random.default_rng(3)
    a, b = activations(rng, 203, 16), activations(rng, 257, 16)
    found = {"a": a, "b": b}
    for case, most in (("one_block", 1024), ("blocks", 64)):
        distance = tfgan.eval.kernel_classifier_distance_from_activations(double(a), double(b), most)
        again, error = tfgan.eval.kernel_classifier_distance_and_std_from_activations(double(a), double(b), most)
        np.testing.assert_array_equal(distance, again)
        found |= {f"{case}/distance": distance, f"{case}/standard_error": error}
    return found


def pictures(rng: np.random.Generator, count: int, side: int, roughness: float) -> np.ndarray:
    """Blocks of colour under noise, as bytes."""
    blocks = rng.uniform(40, 215, (count, side // 4 + 1, side // 4 + 1, 3)).repeat(4, axis=1).repeat(4, axis=2)
    noise = roughness * rng.standard_normal((count, side, side, 3))
    return (blocks[:, :side, :side] + noise).clip(0, 255).astype(np.uint8)


@contextmanager
def recorded(module: object, name: str) -> Iterator[list[np.ndarray]]:
    """What a function that draws at random gave, call by call."""
    draws, original = [], getattr(module, name)

    def draw(*args, **kwargs):
        value = original(*args, **kwargs)
        draws.append(np.array(value))
        return value

    with mock.patch.object(module, name, draw):
        yield draws


def sliced_wasserstein_distance() -> Arrays:
    """Three levels with every random draw; and pictures no larger than a patch, where nothing is drawn."""
    rng = np.random.default_rng(4)
    real, fake = pictures(rng, 12, 32, 10.0), pictures(rng, 12, 32, 60.0)
    np.random.seed(4)
    tf.random.set_seed(4)
    with recorded(np.random, "randint") as places, recorded(tf.random, "normal") as normals:
        scores = tfgan.eval.sliced_wasserstein_distance(
            tf.constant(real), tf.constant(fake), 8, PATCHES, PATCH, REPETITIONS, PROJECTIONS
        )
    # drawn: y and x of every level of the real pictures, twice each; then those of the fake ones
    places = np.array(places, np.uint8).reshape(3 * LEVELS, 2, -1)
    real_places, fake_places = places[: 2 * LEVELS].reshape(LEVELS, 2, 2, -1), places[2 * LEVELS :, None]
    found = {
        "levels/real": real,
        "levels/fake": fake,
        "levels/centres": np.concatenate([real_places, fake_places], axis=1),
        "levels/directions": np.array(normals).reshape(LEVELS, 2, REPETITIONS, -1, PROJECTIONS),
        "levels/distances": scores,
    }
    for level, pyramid in enumerate(sliced_wasserstein.laplacian_pyramid(tf.constant(real[:1]), LEVELS)):
        found[f"levels/pyramid{level}"] = pyramid
    real, fake = pictures(rng, 24, PATCH, 10.0), pictures(rng, 24, PATCH, 60.0)
    scores = tfgan.eval.sliced_wasserstein_distance(
        tf.constant(real), tf.constant(fake), patches_per_image=1, patch_size=PATCH, use_svd=True
    )
    return found | {"svd/real": real, "svd/fake": fake, "svd/distances": scores}


def adversarial() -> Arrays:
    """One batch of usual logits, one of extreme ones."""
    usual = np.random.default_rng(5).standard_normal((2, 6)).astype(np.float32)
    real = np.stack([usual[0], np.float32([30, -30, 0, 12, -12, 1])])
    fake = np.stack([usual[1], np.float32([-30, 30, -12, 12, 0, -1])])
    losses = tfgan.losses.losses_impl  # their own reduction: SUM_BY_NONZERO_WEIGHTS
    pairs = list(zip(real, fake, strict=True))
    return {
        "real": real,
        "fake": fake,
        "modified_generator": [losses.modified_generator_loss(f) for f in fake],
        "modified_discriminator": [losses.modified_discriminator_loss(r, f, 0.0) for r, f in pairs],
        "minimax_discriminator": [losses.minimax_discriminator_loss(r, f, 0.0) for r, f in pairs],
    }


def spectral_normalization() -> Arrays:
    """A dense and a convolutional kernel, with the vector u, before and after one and three training calls."""
    tf.keras.utils.set_random_seed(6)
    found = {}
    for case, layer, shape in (
        ("dense", tf.keras.layers.Dense(6), (2, 5)),
        ("conv", tf.keras.layers.Conv2D(4, 3), (2, 5, 5, 3)),
    ):
        wrapped = tfa.layers.SpectralNormalization(layer, power_iterations=1)
        wrapped.build(shape)
        inputs = tf.random.normal(shape)
        found[f"{case}/inputs"] = inputs
        for call in range(4):
            if call:
                found[f"{case}/outputs{call}"] = wrapped(inputs, training=True)
            found |= {f"{case}/kernel{call}": layer.kernel.numpy(), f"{case}/u{call}": wrapped.u.numpy()}
    return found


def moving_average() -> Arrays:
    """Four steps of gradient descent on a quadratic: the variable, its start included, and the average after each."""
    start = np.float32([1.0, -2.0, 0.5, 4.0])
    variable = tf.Variable(start)
    optimizer = tfa.optimizers.MovingAverage(
        tf.keras.optimizers.legacy.SGD(0.3), average_decay=0.9, num_updates=None, dynamic_decay=False, start_step=0
    )
    variables, averages = [start], []
    for _ in range(4):
        optimizer.apply_gradients([(2.0 * variable, variable)])
        variables.append(variable.numpy())
        averages.append(optimizer.get_slot(variable, "average").numpy())
    return {"variables": variables, "averages": averages}


def image_operations() -> Arrays:
    """A hole and a shift of each picture of a batch, within the picture and over its edge."""
    images = np.random.default_rng(8).uniform(0.1, 1, (2, 8, 8, 3)).astype(np.float32)
    centres, shifts = np.int32([[3, 5], [7, 0]]), np.float32([[2, -1], [-3, 0]])
    return {
        "images": images,
        "centres": centres,
        "shifts": shifts,
        "cutout": tfa.image.cutout(images, (4, 2), centres, constant_values=0),
        "translate": tfa.image.translate(images, shifts, interpolation="nearest", fill_mode="constant"),
    }


CASES: tuple[Callable[[], Arrays], ...] = (
    inception_score,
    frechet_distance,
    kernel_distance,
    sliced_wasserstein_distance,
    adversarial,
    spectral_normalization,
    moving_average,
    image_operations,
)


def main() -> None:
    arrays = {f"{case.__name__}/{name}": np.asarray(value) for case in CASES for name, value in case().items()}
    np.savez_compressed(Path(__file__).with_name("reference.npz"), **arrays)


if __name__ == "__main__":
    main()
