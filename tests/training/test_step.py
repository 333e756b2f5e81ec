"""The step: what it changes, on one replica and on two, at every precision."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf.distribution import replica_rows
from stackgan_tf.structs import Logits
from stackgan_tf.training import collapse
from stackgan_tf.training import step as step_module
from stackgan_tf.training.ema import decay_at
from stackgan_tf.training.state import TrainState
from stackgan_tf.training.step import TrainStep, draw_noise
from tests.conftest import random_batch, tiny_config

ONE_BRANCH = {"branches": 1}
QUICK = {("one_replica", "v2"), ("two_replicas", "v1_stage1")}  # accumulated in the default tests
FAST = {"generator_learning_rate": 1e-3, "discriminator_learning_rate": 1e-3}


def train(config, strategy, steps, state=None):
    """The state after some steps on fixed random data, and the metrics of the last."""
    state = state or TrainState(config, strategy, steps_per_epoch=10)
    step = TrainStep(state, strategy, config)
    data = [random_batch(config, seed) for seed in range(steps)]
    for batch in data:
        dataset = tf.data.Dataset.from_tensors(batch)
        metrics = step(next(iter(strategy.experimental_distribute_dataset(dataset))))
    return state, {name: float(value) for name, value in metrics.items()}


def weights(model):
    return [np.array(v.value.numpy()) for v in model.variables]


def distance(a, b):
    return max(np.abs(x - y).max() for x, y in zip(weights(a), weights(b), strict=True))


@pytest.mark.parametrize("family", ["v2", "v1_stage1"])
def test_two_replicas_give_the_weights_of_one(one_replica, two_replicas, family):
    """Float32, the same global batch, batch norm synchronised: losses of the third step to 1e-3, and of each weight
    tensor the mean difference below 5 % of the way that all steps can go. Not closer, because Adam divides by the
    gradient's own size: rounding in a gradient near zero moves a weight by up to the rate. The first step of every
    kind of network is held to the released code in `test_parity.py`."""
    config = tiny_config(family, optimizer=FAST)
    one, one_metrics = train(config, one_replica, 3)
    two, two_metrics = train(config, two_replicas, 3)
    for name, value in one_metrics.items():
        assert two_metrics[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
    for a, b in zip(
        (one.generator, *one.discriminators, one.average),
        (two.generator, *two.discriminators, two.average),
        strict=True,
    ):
        typical = [np.mean(np.abs(x - y)) for x, y in zip(weights(a), weights(b), strict=True)]
        assert max(typical) < 0.05 * 3e-3, a.name


def test_batch_norm_that_is_not_synchronised_is_seen(one_replica, two_replicas):
    """The known-bad twin of the test above."""
    config = tiny_config("v1_stage1", optimizer=FAST)
    good, _ = train(config, one_replica, 3)
    bad_state = TrainState(config, two_replicas, steps_per_epoch=10)
    for model in (bad_state.generator, *bad_state.discriminators):
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = False
    bad, _ = train(config, two_replicas, 3, bad_state)
    typical = [np.mean(np.abs(x - y)) for x, y in zip(weights(good.generator), weights(bad.generator), strict=True)]
    assert max(typical) > 0.05 * 3e-3


@pytest.mark.parametrize(
    "replicas, family",
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in itertools.product(("one_replica", "two_replicas"), ("v2", "v1_stage1", "v1_stage2"))
    ],
)
def test_accumulated_gradients_are_those_of_the_whole_batch(replicas, family, request):
    """Without batch norm's batch: in D layer norm, in G statistics that stand still. Sums of another order: 1e-5."""
    strategy = request.getfixturevalue(replicas)
    found = {}
    for parts in (1, 2, 4) if replicas == "one_replica" else (1, 2):
        fields = {"batch_size": 8, "accumulate": parts}
        loss = {"r1_weight": 0.5, "r1_every_steps": 2} if family == "v1_stage1" else {}
        config = tiny_config(family, model={"discriminator_norm": "layer"}, loss=loss, train=fields)
        state = TrainState(config, strategy, steps_per_epoch=10)
        for layer in state.generator._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.call = lambda x, training=None, mask=None, call=layer.call: call(x, training=False)
        _, metrics = train(config, strategy, 1, state)
        moments = [np.array(m.numpy()) for o in state.optimizers.values() for m in o.adam.m.values()]
        found[parts] = moments, {n: value for n, value in metrics.items() if not n.endswith("diversity")}
    (whole, told), *others = found.values()
    for moments, metrics in others:
        assert metrics == pytest.approx(told, rel=1e-4, abs=1e-5)
        for a, b in zip(whole, moments, strict=True):
            np.testing.assert_allclose(b, a, atol=1e-5 * np.abs(a).max() + 1e-9)


def test_noise_differs_between_replicas_and_not_with_their_number(two_replicas):
    sizes = {"z": 3, "eps": 2}
    noise = draw_noise(sizes, 4, 7, tf.constant(5, tf.int64))
    seen = two_replicas.run(lambda: noise["z"][replica_rows(4)]).values
    np.testing.assert_array_equal(np.concatenate(seen), noise["z"])
    assert {name: tuple(value.shape) for name, value in noise.items()} == {"z": (4, 3), "eps": (4, 2)}
    assert np.abs(noise["z"][:2] - noise["z"][2:]).min() > 0, "the rows of replica 0 and of replica 1"
    assert np.abs(noise["z"][:, :2] - noise["eps"]).min() > 0
    again, later = (draw_noise(sizes, 4, 7, tf.constant(s, tf.int64)) for s in (5, 6))
    np.testing.assert_array_equal(noise["z"], again["z"])
    assert np.abs(noise["z"] - later["z"]).min() > 0


@pytest.mark.parametrize("family", ["v1_stage1", "v2"])
def test_half_precision_follows_float32(one_replica, family):
    model = ONE_BRANCH if family == "v2" else {}
    exact, exact_metrics = train(tiny_config(family, model=model), one_replica, 2)
    for precision in ("mixed_bfloat16", "mixed_float16"):
        config = tiny_config(family, model=model, train={"precision": precision})
        half, half_metrics = train(config, one_replica, 2)
        for name, value in exact_metrics.items():
            assert half_metrics[name] == pytest.approx(value, rel=0.1, abs=0.05), (precision, name)
        assert all(v.dtype == "float32" for v in half.generator.trainable_variables)
        assert distance(exact.generator, half.generator) > 0


def test_each_network_has_its_own_adam_and_learns(one_replica):
    config = tiny_config()
    start = TrainState(config, one_replica, steps_per_epoch=10)
    end, metrics = train(config, one_replica, 1)
    optimizers = [end.generator_optimizer, *end.discriminator_optimizers]
    assert len({id(o) for o in optimizers}) == 3
    for optimizer in optimizers:
        adam = optimizer.adam
        assert int(adam.iterations) == 1
        assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.5, 0.999, 1e-8)
    pairs = zip((start.generator, *start.discriminators), (end.generator, *end.discriminators), strict=True)
    for before, after in pairs:
        for a, b in zip(before.trainable_variables, after.trainable_variables, strict=True):
            assert np.any(a.numpy() != b.numpy()), f"{b.path} did not move"
    assert all(np.isfinite(value) for value in metrics.values())


def test_g_is_taught_by_the_updated_d(one_replica):
    """With D's rate at zero, L_G is what the old D says; else it must differ from it."""
    config = tiny_config(model=ONE_BRANCH)
    frozen = TrainState(config, one_replica, steps_per_epoch=10)
    for optimizer in frozen.discriminator_optimizers:
        optimizer.adam.rate = lambda step: tf.constant(0.0, tf.float64)
    _, old = train(config, one_replica, 1, frozen)
    _, new = train(config, one_replica, 1)
    assert old["d0/loss"] == pytest.approx(new["d0/loss"], rel=1e-5)
    assert abs(old["g/conditional/0"] - new["g/conditional/0"]) > 1e-5


@pytest.mark.parametrize("start_from, decay", [("", 0.9), ("a run", 0.1)])
def test_the_average_follows_weights_and_statistics(two_replicas, start_from, decay):
    config = tiny_config(model=ONE_BRANCH, train={"start_from": start_from})
    start = TrainState(config, two_replicas, steps_per_epoch=10)
    assert distance(start.generator, start.average) == 0
    end, _ = train(config, two_replicas, 1)
    moved = 0
    for first, live, average in zip(
        weights(start.generator), weights(end.generator), weights(end.average), strict=True
    ):
        np.testing.assert_allclose(average, decay * first + (1 - decay) * live, atol=1e-6)
        moved += np.any(first != live)
    assert moved == len(start.generator.variables), "batch norm's statistics move as well"


def test_of_a_run_that_starts_from_another_the_average_is_short_at_first():
    """TensorFlow's own average with `num_updates` is the oracle."""
    train = tiny_config(train={"start_from": "a run", "ema_decay": 0.95}).train
    values = np.random.default_rng(0).normal(size=400).astype(np.float32)
    live, updates, ours = tf.Variable(0.0), tf.Variable(0), 0.0
    theirs = tf.train.ExponentialMovingAverage(0.95, num_updates=updates)
    theirs.apply([live])
    for step, value in enumerate(values):
        live.assign(value)
        updates.assign(step)
        theirs.apply([live])
        decay = decay_at(train, tf.constant(step, tf.int64))
        ours = decay * ours + (1 - decay) * value
        assert float(ours) == pytest.approx(float(theirs.average(live)), rel=1e-4, abs=1e-6)
    assert float(decay) == pytest.approx(0.95), "in the end it is the usual one"


def test_stage2_leaves_stage1_alone(one_replica):
    config = tiny_config("v1_stage2")
    start = TrainState(config, one_replica, steps_per_epoch=10)
    end, _ = train(config, one_replica, 1)
    before, after = start.generator.stage1, end.generator.stage1
    for a, b in zip(before.trainable_variables, after.trainable_variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_what_a_step_tells(one_replica):
    config = tiny_config()
    state, metrics = train(config, one_replica, 1)
    for network in ("d0", "d1", "g"):
        assert metrics[f"{network}/gradient_norm"] > 0
    assert {metrics[f"d{i}/accuracy_{kind}"] for i in range(2) for kind in ("real", "fake")} <= {0, 0.25, 0.5, 0.75, 1}
    assert 0 < metrics["g/diversity"] < 1
    assert "g/loss_scale" not in metrics
    _, metrics = train(tiny_config(train={"precision": "mixed_float16"}), one_replica, 1)
    assert metrics["g/skipped"] in (0, 1) and metrics["g/loss_scale"] == 2 ** (15 - metrics["g/skipped"])


def test_signs_of_a_collapse(two_replicas):
    logits = {"real": Logits(None, tf.constant([2.0, -1.0])), "fake": Logits(tf.constant([-3.0, 0.5]), None)}
    told = collapse.accuracy(logits)
    assert [told[f"accuracy_{kind}"].numpy().tolist() for kind in ("real", "fake")] == [[1, 0], [1, 0]]

    def seen(*pixels):
        images = tf.constant(pixels, tf.float32)[:, None, None, None] * tf.ones((1, 2, 2, 3))
        found = two_replicas.run(lambda: collapse.diversity(images[replica_rows(4)], 4))
        return np.concatenate([v.numpy() for v in two_replicas.experimental_local_results(found)]).tolist()

    assert seen(0.5, 0.5, 0.5, 0.5) == [0, 0, 0, 0]
    assert seen(1, 1, -1, -1) == [1, 1, 1, 1], "the same on each replica is not the same"


RECIPES = {
    "hinge": {"loss": {"adversarial": "hinge"}},
    "label_smoothing": {"loss": {"label_smoothing": 0.2}},
    "r1": {"loss": {"r1_weight": 0.5, "r1_every_steps": 2}},
    "matching_aware": {"loss": {"matching_aware_weight": 0.1}},
    "diff_augment": {"loss": {"diff_augment": "color,translation,cutout"}},
    "spectral_norm": {"model": {"spectral_norm": True}},
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_reach_the_step_and_are_the_same_on_two_replicas(one_replica, two_replicas, recipe):
    """Against a twin without: another gradient of D. Norms of second derivatives, in float32: 1e-2."""
    family = "v1_stage1" if recipe in ("r1", "label_smoothing") else "v2"
    model = ONE_BRANCH if family == "v2" else {}
    plain, _ = train(tiny_config(family, model=model), one_replica, 1)
    sections = RECIPES[recipe]
    config = tiny_config(family, **sections | {"model": model | sections.get("model", {})})
    (one, told), (two, as_told) = (train(config, strategy, 1) for strategy in (one_replica, two_replicas))
    assert as_told == pytest.approx(told, rel=1e-2, abs=1e-3)

    def moments(state):
        return np.concatenate([m.numpy().ravel() for m in state.discriminator_optimizers[0].adam.m.values()])

    size = np.linalg.norm(moments(one))
    assert np.linalg.norm(moments(one) - moments(two)) < 0.01 * size
    assert np.linalg.norm(moments(one) - moments(plain)) > 0.05 * size


def test_r1_is_lazy_and_then_as_heavy_as_all_the_steps_between(one_replica):
    config = tiny_config("v1_stage1", loss={"r1_weight": 0.5, "r1_every_steps": 2})
    state = TrainState(config, one_replica, steps_per_epoch=10)
    extra = []
    for _ in range(4):
        _, told = train(config, one_replica, 1, state)
        extra.append(told["d0/loss"] - told["d0/real"] - (told["d0/mismatched"] + told["d0/fake"]) / 2)
    assert min(extra[0], extra[2]) > 1e-4 and np.abs([extra[1], extra[3]]).max() < 1e-6
    heavier = tiny_config("v1_stage1", loss={"r1_weight": 0.5, "r1_every_steps": 8})
    _, told = train(heavier, one_replica, 1)
    assert told["d0/loss"] - told["d0/real"] - (told["d0/mismatched"] + told["d0/fake"]) / 2 == pytest.approx(
        4 * extra[0], rel=1e-3
    )


def test_what_d_sees_is_augmented_and_g_is_taught_through_it(one_replica, monkeypatch):
    seen = []
    augment = step_module.diff_augment
    monkeypatch.setattr(step_module, "diff_augment", lambda *args: seen.append(args[1].shape) or augment(*args))
    config = tiny_config(loss={"diff_augment": "translation"})
    train(config, one_replica, 1)
    assert len(seen) == 2 * len(step_module.SHOWN), "each kind of image at each scale"
    numbers = step_module.draw_augmentation(3, 2, 7, tf.constant(5, tf.int64)).numpy()
    assert len(np.unique(numbers)) == numbers.size, "every image has its own"


def test_g_learns_through_what_d_sees(one_replica, monkeypatch):
    """Where the images that G is taught by are the only ones augmented, only that can change its gradient."""

    def moments(policy):
        def shown(self, kind, i, images, part):
            return augment(self, kind, i, images, part) if kind == "taught" else images

        augment = TrainStep._shown
        with monkeypatch.context() as patch:
            patch.setattr(TrainStep, "_shown", shown)
            state, _ = train(tiny_config(loss={"diff_augment": policy}), one_replica, 1)
        of_d = [o.adam.m.values() for o in state.discriminator_optimizers]
        return [
            np.concatenate([m.numpy().ravel() for m in ms]) for ms in (*of_d, state.generator_optimizer.adam.m.values())
        ]

    *of_d, of_g = zip(moments(""), moments("translation"), strict=True)
    for plain, other in of_d:
        np.testing.assert_array_equal(plain, other)
    plain, other = of_g
    assert np.linalg.norm(plain - other) > 0.05 * np.linalg.norm(plain)
