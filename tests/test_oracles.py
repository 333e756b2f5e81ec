"""Ours against TF-GAN and TensorFlow Addons, with a known-bad twin where there is one: see oracles/README.md.

With --log-cli-level=INFO a table is printed: what, ours, the oracle's, the largest relative difference.
"""

import logging
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf.evaluation.fid import frechet_distance
from stackgan_tf.evaluation.inception_score import inception_score
from stackgan_tf.evaluation.kid import kernel_distance, kernel_distances
from stackgan_tf.evaluation.moments import Moments
from stackgan_tf.evaluation.sliced_wasserstein import laplacian_pyramid, normalized, sliced_distance
from stackgan_tf.losses.adversarial import binary_cross_entropy
from stackgan_tf.models.diff_augment import cut_out, translated
from stackgan_tf.models.spectral_norm import SpectralConv2D, spectral_norm
from stackgan_tf.training.ema import update_average

REFERENCE = np.load(Path(__file__).parent / "oracles/reference.npz")


def oracle(case):
    """The arrays and numbers of one case."""
    return {key.removeprefix(f"{case}/"): REFERENCE[key][()] for key in REFERENCE if key.startswith(f"{case}/")}


def close(expected):
    return pytest.approx(expected, rel=1e-4)


def agree(what, ours, expected, atol=0.0):
    """Within 1e-4 of the oracle, or so little away where that is nearly 0."""
    ours, expected = np.asarray(ours, np.float64), np.asarray(expected, np.float64)
    scale = np.maximum(np.abs(expected), 1e-12) if expected.ndim == 0 else np.abs(expected).max()
    told = [f"{x:.8g}" if x.ndim == 0 else f"[{x.size}]" for x in (ours, expected)]
    logging.info("| %s | %s | %s | %.1e |", what, *told, np.abs(ours - expected).max() / scale)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("case", ["peaked", "flat"])
def test_inception_score(case):
    found = oracle(f"inception_score/{case}")
    agree(f"Inception Score, {case}", inception_score(found["logits"].astype(np.float64)), found["score"])


@pytest.mark.parametrize("case", ["full_rank", "low_rank"])
def test_frechet_distance(case):
    found = oracle(f"frechet_distance/{case}")
    rows = [found[name].astype(np.float64) for name in "ab"]
    a, b = map(Moments.of, rows)
    agree(f"FID, {case}", frechet_distance(a.mean, a.covariance, b.mean, b.covariance), found["distance"])
    # the known-bad way: divided by N
    biased = [np.cov(r, rowvar=False, bias=True) for r in rows]
    assert frechet_distance(a.mean, biased[0], b.mean, biased[1]) != close(found["distance"])


def kernel(a, b):
    return (a @ b.T / a.shape[1] + 1) ** 3


def test_kernel_distance():
    found = oracle("kernel_distance")
    a, b = (found[name].astype(np.float64) for name in "ab")
    agree("KID, one block", kernel_distance(a, b), found["one_block/distance"])
    assert np.isnan(found["one_block/standard_error"])
    # the known-bad way: the biased estimate, of each row with itself too
    biased = kernel(a, a).mean() + kernel(b, b).mean() - 2 * kernel(a, b).mean()
    assert biased != close(found["one_block/distance"])


def test_kernel_distance_of_blocks():
    found = oracle("kernel_distance")
    a, b = (found[name].astype(np.float64) for name in "ab")
    distances = kernel_distances(a, b, 64)
    error = found["blocks/standard_error"]
    agree("KID, five blocks", distances.mean(), found["blocks/distance"])
    agree("KID, standard error", np.std(distances, ddof=1) / np.sqrt(len(distances)), error)
    # the known-bad ways: the first blocks are longer, not the last; divided by the number of blocks
    shifted = [kernel_distance(*pair) for pair in zip(np.array_split(a, 5), np.array_split(b, 5), strict=True)]
    assert len(distances) == 5 and np.mean(shifted) != close(found["blocks/distance"])
    assert np.std(distances) / np.sqrt(len(distances)) != close(error)


def test_laplacian_pyramid():
    found = oracle("sliced_wasserstein_distance/levels")
    pyramid = laplacian_pyramid(found["real"][:1].astype(np.float64), 3)
    assert len(pyramid) == 3
    for i, level in enumerate(pyramid):
        agree(f"Laplacian pyramid, level {i}", level, found[f"pyramid{i}"], atol=1e-3)  # float32, of values up to 255


def patches(images, centres):
    """The squares that TF-GAN drew, as many of each picture. Shapes: [B, S, S, 3], [2, M] -> [M, 7, 7, 3]."""
    each = centres.shape[1] // len(images)
    corners = enumerate(centres.T.astype(int) - 3)
    return np.stack([images[i // each, y : y + 7, x : x + 7] for i, (y, x) in corners])


def flat(array):
    return array.reshape(len(array), -1)


def normalized_together(squares):
    """As the paper has it, each colour over all patches: TF-GAN normalises each patch by itself."""
    return (squares - squares.mean((0, 1, 2))) / squares.std((0, 1, 2))


def sliced_distances(normalize):
    """Of every level: real from real pictures, real from fake ones. Then TF-GAN's."""
    found = oracle("sliced_wasserstein_distance/levels")
    real, fake = (laplacian_pyramid(found[name].astype(np.float64), 3) for name in ("real", "fake"))
    distances = []
    for level, centres in enumerate(found["centres"]):
        images = (real[level], real[level], fake[level])
        first, *others = (flat(normalize(patches(*pair))) for pair in zip(images, centres, strict=True))
        for other, repetitions in zip(others, found["directions"][level], strict=True):
            directions = np.concatenate(list(repetitions.astype(np.float64)), axis=1)
            distances.append(sliced_distance(first, other, directions / np.linalg.norm(directions, axis=0)))
    return distances, found["distances"].ravel()


def test_sliced_wasserstein_distance():
    distances, expected = sliced_distances(normalized)
    agree("sliced Wasserstein, three levels", distances, expected)


def test_sliced_wasserstein_distance_is_not_that_of_patches_normalized_together():
    distances, expected = sliced_distances(normalized_together)
    assert all(distance != close(value) for distance, value in zip(distances, expected, strict=True))


def test_sliced_wasserstein_distance_along_the_singular_vectors():
    found = oracle("sliced_wasserstein_distance/svd")
    real, fake = (flat(normalized(found[name].astype(np.float64))) for name in ("real", "fake"))
    directions = np.linalg.svd(np.concatenate([real, fake]), full_matrices=False)[2].T
    agree("sliced Wasserstein, singular vectors", sliced_distance(real, fake, directions), found["distances"][0, 1])


@pytest.mark.parametrize("batch", [0, 1], ids=["usual", "extreme"])
def test_adversarial_losses(batch):
    found = {name: array[batch] for name, array in oracle("adversarial").items()}
    real, fake = found["real"], found["fake"]
    kind = ("usual", "extreme")[batch]
    agree(f"generator loss, {kind} logits", np.mean(binary_cross_entropy(fake, 1.0)), found["modified_generator"])
    loss = np.mean(binary_cross_entropy(real, 1.0)) + np.mean(binary_cross_entropy(fake, 0.0))
    for name in ("modified", "minimax"):
        agree(f"{name} discriminator loss, {kind} logits", loss, found[f"{name}_discriminator"])


def test_probabilities_lose_extreme_logits():
    """The known-bad way: in float32 sigmoid(30) is 1, and the loss -log(1 - 1)."""
    found = oracle("adversarial")
    assert tf.sigmoid(found["fake"][1]).numpy().max() == 1 and np.isfinite(found["modified_discriminator"]).all()


def test_spectral_normalization():
    """Theirs keeps the normalised kernel for the next call, ours the kernel as it is trained: the quotient is one."""
    found = oracle("spectral_normalization/conv")
    ours = SpectralConv2D(4, 3)
    ours.build(found["inputs"].shape)
    ours.kernel.assign(found["kernel0"])
    ours.u.assign(found["u0"][0])
    for call in (1, 2, 3):
        norm, _ = spectral_norm(ours.kernel, ours.u)
        outputs = ours(found["inputs"], training=True)
        for name, value in (("outputs", outputs), ("kernel", ours.kernel / norm), ("u", ours.u[None])):
            agree(f"spectral normalisation, conv, {name} {call}", value, found[f"{name}{call}"], atol=1e-6)
    # the known-bad way: by the exact norm, not by one step towards it
    exact = np.linalg.norm(found["kernel0"].reshape(-1, found["u0"].size), 2)
    assert not np.allclose(found["kernel0"] / exact, found["kernel1"], rtol=1e-2)


def test_spectral_norm_of_a_dense_kernel():
    found = oracle("spectral_normalization/dense")
    kernel, u = found["kernel0"], found["u0"][0]
    for call in (1, 2, 3):
        norm, u = spectral_norm(kernel, u)
        outputs = found["inputs"] @ (kernel / norm)
        for name, value in (("outputs", outputs), ("kernel", kernel / norm), ("u", u[None])):
            agree(f"spectral normalisation, dense, {name} {call}", value, found[f"{name}{call}"], atol=1e-6)


def averages(strategy, start, steps):
    """Ours, after each step of a model with one vector of weights."""
    average, live = (keras.Sequential([keras.Input((1,)), keras.layers.Dense(4, use_bias=False)]) for _ in range(2))
    average.set_weights([start[None]])
    found = []
    for weights in steps:
        live.set_weights([weights[None]])
        update_average(strategy, average, live, 0.9)
        found.append(average.get_weights()[0][0])
    return np.stack(found)


def test_moving_average(one_replica):
    """TFA's starts from the variable's first value too, and takes in the value after each step."""
    found = oracle("moving_average")
    start, *steps = found["variables"]
    agree("moving average", averages(one_replica, start, steps), found["averages"])
    # the known-bad ways: from nought; with the value before the step
    assert not np.allclose(averages(one_replica, 0 * start, steps), found["averages"], rtol=1e-2)
    assert not np.allclose(averages(one_replica, start, [start, *steps[:-1]]), found["averages"], rtol=1e-2)


def test_cutout():
    """A hole, 4 high and 2 wide, around (y, x), the first pixel of its second half; cut off at the edge."""
    found = oracle("image_operations")
    ours = cut_out(found["images"], found["centres"][:, ::-1], 4, 2)
    agree("cutout", ours, found["cutout"])
    # the known-bad way: around (x, y)
    assert not np.array_equal(cut_out(found["images"], found["centres"], 4, 2), found["cutout"])


def test_translate():
    """A shift is (x, y), to the right and downwards; what comes in from outside is 0."""
    found = oracle("image_operations")
    shifts = found["shifts"].astype(np.int32)
    agree("translation", translated(found["images"], shifts), found["translate"])
    # the known-bad ways: (y, x); the other way
    for bad in (shifts[:, ::-1], -shifts):
        assert not np.array_equal(translated(found["images"], bad), found["translate"])
