"""Our networks, losses and updates beside the authors' released code. Every figure of that code is in the goldens."""

import importlib.util
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf.training.state import TrainState
from tests.golden_case import NAMES, OFFICIAL, Rehearsal, large, small

EVALUATION, LOSS, GRADIENT = 1e-4, 1e-4, 1e-3  # absolute, relative, relative
# Of the noise, relative. The gradients of a network with kinks (ReLU) jump where an activation is within rounding of
# zero. Some of the large goldens hang on such edges: nudged by 1e-6, the released code itself moves by 3 to 35 %. So a
# gradient agrees if it does for the noise itself or for one nudged; the small goldens, chosen to be steady, get none,
# but for Stage-II.
NUDGES = (0.0, *(3e-8, 1e-7, 3e-7, 1e-6) * 25)

absent = (
    "the larger goldens are not beside this checkout"
    if not OFFICIAL.is_dir()
    else ""
    if importlib.util.find_spec("torch")
    else "PyTorch is not installed"
)
beside = pytest.mark.skipif(bool(absent), reason=absent or "there")
CASES = [pytest.param(small, name, id=f"small_{name}") for name in NAMES]
CASES += [pytest.param(large, name, id=f"large_{name}", marks=beside) for name in NAMES]
SLOW = {  # what they show the others show as well
    *((large, name, "two_replicas") for name in NAMES),
    (large, "stackgan_v2_uncond", "one_replica"),
    (small, "stackgan_v2_uncond", "two_replicas"),
    (small, "stackgan_v1_stage1", "two_replicas"),
}
STEPS = [
    pytest.param(
        *case.values,
        replicas,
        id=f"{case.id}-{replicas}",
        marks=(*case.marks, *([pytest.mark.slow] if (*case.values, replicas) in SLOW else [])),
    )
    for replicas in ("one_replica", "two_replicas")
    for case in CASES
]


def relative(ours, golden):
    return {name: abs(value - float(golden[name])) / abs(float(golden[name])) for name, value in ours.items()}


def with_sums(arrays):
    """The golden figures, and colour consistency as one."""
    if "loss_color_mean" in arrays:
        arrays = arrays | {"color": arrays["loss_color_mean"] + arrays["loss_color_cov"]}
    return arrays


def evaluate(case, state):
    """The largest difference of each evaluation-mode output."""
    config, golden = case.config(), case.arrays
    outputs = state.generator(**case.noise(), **case.text())
    found = {}
    for side, image in zip(config.scales, outputs.images, strict=True):
        stride = case.stride[side]
        found[f"eval_fake{side}"] = np.abs(image[:, ::stride, ::stride] - golden[f"eval_fake{side}"]).max()
    if outputs.mu is not None:
        found["mu"] = np.abs(outputs.mu - golden["mu"]).max()
        found["logvar"] = np.abs(outputs.log_var - golden["logvar"]).max()
    for i, (d, side) in enumerate(zip(state.discriminators, config.judged_scales, strict=True)):
        heads = [tf.sigmoid(logits) for logits in d(golden[f"real{side}"], outputs.mu) if logits is not None]
        assert len(heads) == len(golden[f"eval_prob_D{i}"])
        found[f"eval_prob_D{i}"] = np.abs(np.stack(heads) - golden[f"eval_prob_D{i}"]).max()
    return found


@pytest.mark.parametrize("load, name", CASES)
def test_evaluation_mode(load, name, one_replica):
    case = load(name)
    state = TrainState(case.config(), one_replica, steps_per_epoch=10)
    case.fill(state)
    found = evaluate(case, state)
    logging.info("%s: %s", name, {key: f"{value:.1e}" for key, value in found.items()})
    assert np.max(list(found.values())) <= EVALUATION, found


@pytest.mark.parametrize("load, name, replicas", STEPS)
def test_one_training_step(load, name, replicas, request, monkeypatch):
    """D before its update, G against the updated D: every loss term, every parameter's gradient norm.

    The small ones go on: five steps on the same batch and noise keep every loss finite.
    """
    case = load(name)
    if replicas == "two_replicas" and "v1" in name and len(case.arrays["z"]) < 4:
        pytest.skip("a batch of 2 leaves the second replica without a mismatched pair: training refuses it")
    rehearsal = Rehearsal(case, request.getfixturevalue(replicas), monkeypatch)
    golden, nearest = with_sums(case.arrays), {}
    steady = load is small and name != "stackgan_v1_stage2"
    for count, nudge in enumerate(NUDGES[:1] if steady else NUDGES, start=1):
        losses, norms = rehearsal.first_step(nudge, seed=count)
        if not nearest:
            off = relative({key: value for key, value in losses.items() if key in golden}, golden)
            assert np.max(list(off.values())) <= LOSS, off
            assert {key for key in golden if key.startswith("gradnorm")} == set(norms)
        for key, distance in relative(norms, golden).items():
            nearest[key] = np.minimum(distance, nearest.get(key, np.inf))  # NaN stays
        if np.max(list(nearest.values())) <= GRADIENT:
            break
    logging.info(
        "%s, %s: losses %.1e, gradients %.1e, nudges %d",
        name,
        replicas,
        max(off.values()),
        max(nearest.values()),
        count - 1,
    )
    far = {key: value for key, value in nearest.items() if not value <= GRADIENT}
    assert not far, far
    if load is small:
        trajectory = [rehearsal.step() for _ in range(4)]
        assert all(np.isfinite(value) for metrics in trajectory for value in metrics.values()), trajectory


def test_the_goldens_know_the_order_of_a_concatenation(one_replica):
    """Known-bad twin: (features, condition) where v2 has (condition, features)."""
    case = small("stackgan_v2_cond")
    state = TrainState(case.config(), one_replica, steps_per_epoch=10)
    case.fill(state)
    for d in state.discriminators:
        d.conditional_head.joint.code_first = False
    found = evaluate(case, state)
    assert found["eval_prob_D0"] > 10 * EVALUATION and found["eval_fake128"] <= EVALUATION


@pytest.mark.parametrize(
    "name, sections, seen",
    [
        ("stackgan_v1_stage1", {"loss": {"kl_weight": 1.0}}, "loss_KL"),
        ("stackgan_v1_stage1", {"loss": {"kl_reduction": "sum"}}, "loss_KL"),
        ("stackgan_v1_stage1", {"optimizer": {"discriminator_learning_rate": 1e-9}}, "loss_G_total"),  # the old D
        ("stackgan_v2_cond", {"loss": {"detach_condition": True}}, "gradnorm_G/ca_net.fc.weight"),
        ("stackgan_v2_cond", {"loss": {"color_weight": 1.0}}, "gradnorm_G/img_net2.img.0.weight"),
    ],
)
def test_the_goldens_know_a_wrong_step(name, sections, seen, one_replica, monkeypatch):
    """Known-bad twins."""
    case = small(name)
    losses, norms = Rehearsal(case, one_replica, monkeypatch, **sections).first_step()
    assert relative({seen: (losses | norms)[seen]}, case.arrays)[seen] > (GRADIENT if "grad" in seen else LOSS)


def test_no_nudge_makes_a_wrong_step_right(one_replica, monkeypatch):
    """Known-bad twin of the search among nudges: Stage-II with the sum for the KL term."""
    case = small("stackgan_v1_stage2")
    rehearsal = Rehearsal(case, one_replica, monkeypatch, loss={"kl_reduction": "sum"})
    seen = "gradnorm_G/ca_net.fc.weight"
    off = [relative({seen: rehearsal.first_step(n, k)[1][seen]}, case.arrays)[seen] for k, n in enumerate(NUDGES[:21])]
    assert min(off) > 3 * GRADIENT, off


def test_the_goldens_know_batch_norm_that_is_not_synchronised(two_replicas, monkeypatch):
    """Known-bad twin."""
    case = small("stackgan_v1_stage1")
    rehearsal = Rehearsal(case, two_replicas, monkeypatch)
    for model in (rehearsal.state.generator, *rehearsal.state.discriminators):
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = False
    losses, _ = rehearsal.first_step()
    assert relative({"loss_D": losses["loss_D"]}, case.arrays)["loss_D"] > LOSS
