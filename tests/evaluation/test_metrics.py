"""Each metric by hand-worked numbers, beside variants known to be bad. Against other people's code: test_oracles.py."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from stackgan_tf.data.builders.shapes import COMBINATIONS, draw
from stackgan_tf.errors import UserError
from stackgan_tf.evaluation.fid import Fid, frechet_distance
from stackgan_tf.evaluation.inception_score import InceptionScore, inception_score
from stackgan_tf.evaluation.kid import Kid, kernel_distance, kernel_distances
from stackgan_tf.evaluation.metric import Seen
from stackgan_tf.evaluation.moments import Moments
from stackgan_tf.evaluation.ms_ssim import MsSsim, ms_ssim
from stackgan_tf.evaluation.plan import Plan
from stackgan_tf.evaluation.precision_recall import PrecisionRecall, covered
from stackgan_tf.evaluation.r_precision import RPrecision
from stackgan_tf.evaluation.shape_attributes import ShapeAttributes
from stackgan_tf.evaluation.sliced_wasserstein import SlicedWasserstein
from stackgan_tf.evaluation.stream import Samples


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def told(metric, features=None, logits=None, images=None, batch=32):
    """A metric that was shown these, some at a time."""
    total = next(len(x) for x in (features, logits, images) if x is not None)
    for start in range(0, total, batch):
        some = slice(start, min(start + batch, total))
        numbers = np.arange(some.start, some.stop)
        images_ = np.zeros((len(numbers), 1, 1, 3), np.uint8) if images is None else images[some]
        metric.add(Seen(numbers, images_, *(None if x is None else x[some] for x in (features, logits))))
    return metric


class Split:
    """Records without images."""

    def __init__(self, labels, captions=2):
        self.labels, self.index = labels, SimpleNamespace(caption_counts=np.full(len(labels), captions))

    def __len__(self):
        return len(self.labels)


# Moments, FID


def test_moments_stream_and_merge_to_those_of_all(rng):
    rows = 1e4 + rng.standard_normal((101, 5))  # far from 0: sums of squares would lose half of the digits
    parts = [Moments.of(part) for part in (rows[:1], rows[1:40], rows[40:])]
    left, right = parts[0].merged(parts[1]).merged(parts[2]), parts[0].merged(parts[1].merged(parts[2]))
    for merged in (left, right):
        assert merged.count == 101
        np.testing.assert_allclose(merged.mean, rows.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(merged.covariance, np.cov(rows, rowvar=False), rtol=1e-9)
    naive = (rows.astype(np.float32).T @ rows.astype(np.float32)) / 101 - np.outer(left.mean, left.mean)
    assert not np.allclose(naive, left.covariance, rtol=0.1), "known bad: float32 sums of squares"


def test_the_frechet_distance_of_gaussians_of_one_dimension():
    """(1 - 4)^2 + 4 + 9 - 2 sqrt(4 x 9) = 10."""
    one = [np.array([1.0]), np.array([[4.0]])], [np.array([4.0]), np.array([[9.0]])]
    assert frechet_distance(*one[0], *one[1]) == pytest.approx(10)


def test_the_frechet_distance_of_singular_covariances():
    a = np.diag([4.0, 0.0]), np.diag([9.0, 0.0])
    assert frechet_distance(np.zeros(2), a[0], np.zeros(2), a[1]) == pytest.approx(1)


def test_fid_says_when_a_covariance_has_too_few_images(rng):
    few, many = rng.standard_normal((8, 8)), rng.standard_normal((50, 8))
    metric, real = told(Fid(8, None), few), told(Fid(50, None), many)
    floor = "real: one half of the real images beside the other, 25 each"
    assert metric.notes(real) == ["rank-deficient: 8 samples, 8 features", floor] and real.notes(real) == [floor]
    assert real.scores(real)[""].value == pytest.approx(0, abs=1e-9)


def test_the_floor_of_fid_is_the_distance_between_every_second_real_image_and_the_others(rng):
    rows = np.concatenate([rng.normal(0, 1, (51, 3)), rng.normal(4, 2, (50, 3))])  # in the order of their classes
    real, drawn = told(Fid(101, None), rows, batch=7), told(Fid(40, None), rng.standard_normal((40, 3)))
    halves = [part for half in (rows[::2], rows[1::2]) for part in (half.mean(axis=0), np.cov(half, rowvar=False))]
    assert drawn.scores(real)[""].real == pytest.approx(frechet_distance(*halves), rel=1e-9)
    np.testing.assert_allclose(real.moments.covariance, np.cov(rows, rowvar=False), rtol=1e-9)
    cut = [part for half in (rows[:51], rows[51:]) for part in (half.mean(axis=0), np.cov(half, rowvar=False))]
    assert frechet_distance(*cut) > 10 * drawn.scores(real)[""].real, "known bad: first half and second half"
    assert drawn.scores(told(Fid(3, None), rows[:3]))[""].real is None, "one image has no covariance"


def test_samples_are_rounded_to_grey_levels_and_not_truncated(rng):
    """Known bad: cut off, as casting does, the pictures are half a level too dark, and FID tells."""
    drawn = tf.constant(rng.uniform(-0.9, 0.9, (500, 2, 1, 3)), tf.float32)
    artist = SimpleNamespace(generator=lambda: SimpleNamespace(images=[drawn]))
    rounded, finite = Samples(artist, None, None, 0, 500).images({})
    truncated = tf.cast((drawn + 1) * 127.5, tf.uint8)
    assert finite.numpy().all() and rounded.dtype == tf.uint8
    exact, *others = (Moments.of(np.reshape(x, (500, 6))) for x in ((drawn + 1) * 127.5, rounded, truncated))
    fids = [frechet_distance(exact.mean, exact.covariance, other.mean, other.covariance) for other in others]
    assert fids[0] < 0.1 < 1 < fids[1] < 2  # 6 pixels off by 1/2: 6 x 1/4


# Inception Score


def test_the_inception_score_of_sure_and_of_unsure_judgements():
    sure, unsure = 50.0 * np.eye(5)[np.arange(20) % 5], np.zeros((20, 5))
    assert inception_score(sure) == pytest.approx(5) and inception_score(unsure) == pytest.approx(1)


def test_ten_splits_are_not_all_at_once(rng):
    """Known bad: the score of all samples at once is another, and higher."""
    logits = 3 * rng.standard_normal((100, 10))
    score = told(InceptionScore(100, None), logits=logits, batch=7).scores(
        told(InceptionScore(9, None), logits=logits[:9])
    )
    of_splits = [inception_score(logits[start : start + 10]) for start in range(0, 100, 10)]
    assert score[""].value == pytest.approx(np.mean(of_splits)) and score[""].error == pytest.approx(np.std(of_splits))
    assert inception_score(logits) > score[""].value + 0.3
    many, few = (told(InceptionScore(n, None), logits=np.resize(logits, (n, 10))) for n in (600, 100))
    assert many.notes(few) == ["few real images: 10 in a split, 10 classes"] and not many.notes(many)


# KID


def test_the_kernel_distance_by_hand():
    """Kernels of (0) and (1): within a: (0 0 + 1)^3 = 1; within b: 8; between: 1. 1 + 8 - 2 = 7."""
    assert kernel_distance(np.zeros((2, 1)), np.ones((3, 1))) == pytest.approx(7)


def test_kid_of_the_same_kind_is_around_0_where_the_biased_one_is_not(rng):
    a, b = rng.standard_normal((2, 800, 8))
    distances = kernel_distances(a, b, 100)
    error = distances.std(ddof=1) / np.sqrt(len(distances))
    assert len(distances) == 8 and abs(distances.mean()) < 4 * error

    def biased(x, y):
        means = [((p @ q.T / 8 + 1) ** 3).mean() for p, q in ((x, x), (y, y), (x, y))]
        return means[0] + means[1] - 2 * means[2]

    blocks = [biased(*pair) for pair in zip(np.split(a, 8), np.split(b, 8), strict=True)]
    assert np.mean(blocks) > 4 * error, "known bad: each row with itself"


def test_kid_of_two_real_images_takes_no_more_rows_than_a_block_has(monkeypatch, rng):
    sizes = []
    monkeypatch.setattr(
        "stackgan_tf.evaluation.kid.kernel_distance", lambda a, b: sizes.append((len(a), len(b))) or 0.0
    )
    kernel_distances(rng.standard_normal((900, 2)), rng.standard_normal((2, 2)), 50)
    kernel_distances(rng.standard_normal((900, 2)), rng.standard_normal((7, 2)), 50)
    assert sizes == [(50, 2), (50, 2), (50, 2), (50, 3)]


def test_kid_of_few_images(rng):
    metric, real = told(Kid(3, None), rng.standard_normal((3, 4))), told(Kid(2, None), rng.standard_normal((2, 4)))
    score = metric.scores(real)[""]
    assert np.isfinite(score.value) and score.error is None, "one block: no error"


# Precision and recall


def test_coverage_by_hand():
    """Of 0, 1, 2, 3 the second neighbours are at 2, 1, 1, 2: 4.9 lies within reach of 3, 5.1 of none."""
    by = np.array([[0.0], [1.0], [2.0], [3.0]])
    assert covered(np.array([[4.9], [5.1], [-1.9], [0.5]]), by, neighbours=2) == 0.75


def test_precision_and_recall_tell_what_is_missing(rng):
    real = np.concatenate([rng.standard_normal((100, 2)), 20 + rng.standard_normal((100, 2))])
    half = told(PrecisionRecall(100, None), rng.standard_normal((100, 2)))
    scores = half.scores(told(PrecisionRecall(200, None), real))
    assert scores["precision"].value > 0.9 and 0.4 < scores["recall"].value < 0.55
    assert half.notes(told(PrecisionRecall(200, None), real)) == ["unequal numbers: 100 samples, 200 real images"]


# Sliced Wasserstein, MS-SSIM


def pictures(rng, count, side=32, grain=40):
    smooth = np.kron(rng.uniform(60, 190, (count, side // 8, side // 8, 3)), np.ones((1, 8, 8, 1)))
    return np.clip(smooth + grain * rng.standard_normal(smooth.shape), 0, 255).astype(np.uint8)


def test_sliced_wasserstein_sees_other_textures(rng):
    real, like, blurred = pictures(rng, 40), pictures(rng, 40), ndimage.uniform_filter(pictures(rng, 40), (0, 5, 5, 0))
    real, like, blurred = (told(SlicedWasserstein(40, None), images=images) for images in (real, like, blurred))
    same, other = like.scores(real), blurred.scores(real)
    assert set(same) == {"", "32", "16"} and real.scores(real)[""].value == 0
    assert other["32"].value > 1.6 * same["32"].value
    assert same[""].value == pytest.approx((same["32"].value + same["16"].value) / 2)


def test_flat_patches_are_no_nan(rng):
    flat = told(SlicedWasserstein(4, None), images=np.full((4, 32, 32, 3), 200, np.uint8))
    assert np.isfinite(flat.scores(told(SlicedWasserstein(4, None), images=pictures(rng, 4)))[""].value)


@pytest.mark.parametrize("side", [8, 16, 64, 256])
def test_ms_ssim_of_every_side(side, rng):
    a = pictures(rng, 2, side)
    np.testing.assert_allclose(ms_ssim(a, a), 1, atol=1e-5)
    assert (ms_ssim(a, pictures(rng, 2, side)) < 0.7).all()


def test_a_collapse_has_ms_ssim_1(rng):
    pairs = np.repeat(pictures(rng, 10), 2, axis=0)
    assert told(MsSsim(20, None), images=pairs).scores(None)[""].value == pytest.approx(1, abs=1e-5)
    assert told(MsSsim(2, None), images=pairs[:2]).scores(None)[""].error is None
    mixed = told(MsSsim(20, None), images=np.roll(pairs, 1, axis=0)).scores(None)[""]
    assert mixed.value < 0.7 and mixed.error > 0


# What looks at the captions


def test_a_plan_goes_through_all_records_and_then_their_next_captions():
    plan = Plan(Split(np.zeros(10), captions=3))
    rounds = plan.record(np.arange(30)).reshape(3, 10)
    assert (
        (np.sort(rounds) == np.arange(10)).all() and (rounds == rounds[0]).all() and (rounds[0] != np.arange(10)).any()
    )
    assert plan.caption(np.arange(40)).reshape(4, 10)[:, 0].tolist() == [0, 1, 2, 0]
    pairs = Plan(Split(np.zeros(10)), each=2)
    assert (pairs.record(np.arange(20))[::2] == pairs.record(np.arange(20))[1::2]).all()


class Joint:
    """Embeddings of captions: those of a record point in a direction of their own."""

    def __init__(self, rng, count):
        self.directions = np.linalg.qr(rng.standard_normal((count, count)))[0]

        self.rows = np.repeat(self.directions, 2, axis=0)

    def of(self, record, captions):
        return self.rows[2 * record + captions]


@pytest.mark.parametrize("labels", [np.arange(150), np.zeros(150, int)], ids=["classes", "one class"])
def test_r_precision_of_pictures_that_know_their_caption_and_of_others(labels, rng):
    plan = Plan(Split(labels), joint=Joint(rng, 150))
    own = plan.joint.directions[plan.record(np.arange(300))]
    right, chance = told(RPrecision(300, plan), own), told(RPrecision(300, plan), rng.standard_normal((300, 150)))
    score = right.scores(chance)[""]
    assert score.value == 1 and score.real < 0.05
    assert chance.scores(right)[""].error == pytest.approx(np.sqrt(score.real * (1 - score.real) / 300))


def test_the_others_are_99_different_captions_of_other_classes(rng):
    plan = Plan(Split(np.arange(150) // 75), joint=Joint(rng, 150))
    metric = RPrecision(1, plan)
    rows = metric.others(0, record=3)
    assert len(set(rows)) == 99 and rows.min() >= 150, "two captions each of the first 75, which are of its class"
    assert set(metric.others(0, 3)) == set(rows) != set(metric.others(1, 3))
    with pytest.raises(UserError, match="needs 99 captions of other classes"):
        RPrecision(1, Plan(Split(np.arange(49)), joint=Joint(rng, 49)))


def test_attributes_of_right_and_of_wrong_pictures(rng):
    labels = np.arange(12)
    plan = Plan(Split(labels))
    dice = random.Random(0)
    images = np.stack([np.asarray(draw(COMBINATIONS[i], "middle", "middle", dice)) for i in plan.record(labels)])
    right, wrong = told(ShapeAttributes(12, plan), images=images), told(ShapeAttributes(12, plan), images=images[::-1])
    scores = wrong.scores(right)
    assert scores["all"].value < 0.5 and {score.real for score in scores.values()} == {1.0}


# Saved and gone on with


def test_every_metric_goes_on_from_what_it_had_kept(rng):
    plan = Plan(Split(np.arange(60)), joint=Joint(rng, 60))
    seen = {
        "features": rng.standard_normal((24, 60)).astype(np.float32),
        "logits": rng.standard_normal((24, 6)),
        "images": pictures(rng, 24),
    }
    for cls in (Fid, InceptionScore, Kid, PrecisionRecall, SlicedWasserstein, MsSsim, RPrecision):
        once, first, second = (cls(24, plan) for _ in range(3))
        told(once, **seen, batch=8)
        for metric, batches in ((first, [0]), (second, [1, 2])):
            if metric is second:
                metric.restore(first.state())
            for batch in batches:
                rows = slice(8 * batch, 8 * batch + 8)
                metric.add(Seen(np.arange(24)[rows], *(seen[name][rows] for name in ("images", "features", "logits"))))
        for name, value in once.state().items():
            np.testing.assert_array_equal(value, second.state()[name], f"{cls.__name__}.{name}")
