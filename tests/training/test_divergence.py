"""Numbers that are not finite: what is told and kept, and how a run goes on without the batch."""

import json

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import config as configs
from stackgan_tf import text
from stackgan_tf.checkpoint import Checkpoints
from stackgan_tf.config_rules import CHOICES
from stackgan_tf.data.pipeline import BatchPlan
from stackgan_tf.data.prepare import prepare
from stackgan_tf.errors import UserError
from stackgan_tf.training import divergence, precision
from stackgan_tf.training import run as runs
from stackgan_tf.training.state import TrainState
from stackgan_tf.training.step import TrainStep
from tests.conftest import random_batch, tiny_config

STEPS, BAD = 6, 4  # batch 4 is that of step 5


def config_of(**train):
    every = {"log_every_steps": 3, "checkpoint_every_steps": 2, "sample_every_steps": 100}
    sections = {"model": {"branches": 1}, "train": {"steps": STEPS} | every | train}
    return tiny_config(**sections, data={"dataset": "shapes", "text_encoder": "hashing"})


@pytest.fixture
def train(shapes_data_dir, tmp_path, monkeypatch, one_replica):
    """Trains in this process, on shapes; `bad` batches have a sentence that is no number."""
    monkeypatch.setattr(runs, "environment", lambda _: {})
    monkeypatch.setattr(runs, "held_out_accuracy", lambda *_: {})
    monkeypatch.setattr(runs, "table", lambda _: "")
    fetch = BatchPlan.fetch

    def trained(config, bad=(BAD,)):
        seen = []

        def spoilt(plan, number, *rows):
            embeddings, *others = fetch(plan, number, *rows)
            seen.append(int(number))
            return (np.where(int(number) in bad, np.float32(np.nan), embeddings), *others)

        monkeypatch.setattr(BatchPlan, "fetch", spoilt)
        builder = prepare("shapes", shapes_data_dir)
        (tmp_path / "run").mkdir(exist_ok=True)
        where = tmp_path / "run", "auto", one_replica
        return runs.train(config, text.load(config.data), builder, *where, tell=lambda *_: None), seen

    return trained


def values(path):
    reader = tf.train.load_checkpoint(str(path))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.endswith("VALUE") and "counter" not in name
    }


def test_it_stops_and_keeps_the_state_before_the_batch_and_the_noise(train, tmp_path):
    with pytest.raises(UserError) as error:
        train(config_of())
    folder = tmp_path / "run/post_mortem/step_0000005"
    for told in ("step 5: d0/real", str(folder), "gradient of discriminator_8/", "--on_nan=rollback"):
        assert told in str(error.value)
    report = json.loads((folder / "report.json").read_text())
    assert (report["step"], report["position"], report["seed"]) == (5, BAD, 0)
    assert "d0/real" in report["not_finite"]["terms"]
    batch = np.load(folder / "batch.npz")
    assert np.isnan(batch["text_embedding"]).all() and batch["images_8"].shape == (4, 2, 8, 8, 3)
    assert batch["z"].shape == (4, 6) and batch["eps"].shape == (4, 5)
    state, last = values(folder / "state"), values(tmp_path / "run/checkpoints/ckpt-4")
    assert state.keys() == last.keys()
    for name, value in last.items():
        np.testing.assert_array_equal(state[name], value, name)
    assert not list((tmp_path / "run/checkpoints").glob("ckpt-6*")), "a bad state is never saved"


def test_it_rolls_back_and_leaves_the_batch_out(train, tmp_path):
    finished, seen = train(config_of(on_nan="rollback"))
    assert finished and max(seen) >= 6, "batches 5 and 6 take the place of 4 and 5"
    saved = values(tmp_path / "run/checkpoints/ckpt-6")
    found = {name.split("/")[0]: int(value) for name, value in saved.items() if name.startswith(("step/", "position/"))}
    assert found == {"step": STEPS, "position": STEPS + 1}
    assert all(np.isfinite(value).all() for value in saved.values())
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "g/loss" in line] == [3, 6]
    assert (tmp_path / "run/post_mortem/step_0000005").is_dir()


def test_going_back_in_vain_ends(train, tmp_path):
    with pytest.raises(UserError, match="no post-mortem: .*/post_mortem has 3; .*step 4 3 times has not helped"):
        train(config_of(on_nan="rollback"), bad=range(BAD, 100))
    names = sorted(path.name for path in (tmp_path / "run/post_mortem").iterdir())
    assert names == ["step_0000005", "step_0000005_again", "step_0000005_again_again"]
    with pytest.raises(UserError, match="there is no checkpoint to go back to"):
        (tmp_path / "run").rename(tmp_path / "other")
        train(config_of(on_nan="rollback"), bad=range(100))


def test_a_weight_that_is_no_number_is_named(tmp_path, one_replica):
    config = tiny_config()
    state = TrainState(config, one_replica, 10)
    kernel = state.discriminators[1].trainable_variables[0]
    kernel.assign(kernel + np.inf)
    rows = [TrainStep(state, one_replica, config)(random_batch(config))]
    guard = divergence.Guard(state, config, tmp_path, None, Checkpoints(tmp_path, state.parts(), 1))
    with pytest.raises(divergence.Diverged, match=f"step 1: d1/real .*, in weights {kernel.path}"):
        guard.check(1, rows)


def test_the_term_is_that_of_the_step_that_failed(tmp_path, one_replica):
    """A skipped update of float16 before it, and what comes of the failed one behind it, are not it."""
    state = TrainState(tiny_config(), one_replica, 10)
    state.step.assign(12)
    state.healthy.assign(False)
    rows = [{"d0/loss": loss, "g/loss": other} for loss, other in ((np.inf, 0), (0, 0), (0, np.nan), (np.nan, 0))]
    guard = divergence.Guard(state, tiny_config(), tmp_path, None, Checkpoints(tmp_path, state.parts(), 1))
    with pytest.raises(divergence.Diverged, match="step 13: g/loss not finite"):
        guard.check(14, rows)


def test_an_overflow_in_the_forward_pass_of_float16_is_survived(one_replica):
    config = tiny_config(train={"precision": "mixed_float16"}, model={"branches": 1})
    state = TrainState(config, one_replica, 10)
    step = TrainStep(state, one_replica, config)
    step(random_batch(config))
    loud = random_batch(config, 1)
    metrics = step(loud._replace(text_embedding=1e30 * loud.text_embedding))
    assert not np.isfinite(metrics["g/loss"]) and bool(state.healthy.numpy())
    metrics = step(random_batch(config, 2))
    assert np.isfinite(metrics["g/loss"]) and int(state.step) == 3
    for model in (state.generator, *state.discriminators, state.average):
        assert all(np.isfinite(v.numpy()).all() for v in model.variables)


@pytest.mark.parametrize(
    "gpus, flags, gain, expected",
    [
        ([(8, 0)], "", 0, "mixed_bfloat16"),
        ([(9, 0), (7, 5)], "", 0, "mixed_float16"),
        ([(6, 1)], "avx512_bf16", 2, "float32"),
        ([], "fpu amx_bf16 avx512_bf16", 0.5, "mixed_bfloat16"),
        ([], "fpu avx512_bf16", 2, "mixed_bfloat16"),
        ([], "fpu avx512_bf16", 0.5, "float32"),
        ([], "fpu avx2", 2, "float32"),
    ],
)
def test_the_fastest_precision(monkeypatch, gpus, flags, gain, expected):
    monkeypatch.setattr(precision.tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(precision.tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": gpu})
    monkeypatch.setattr(precision, "_cpu_flags", lambda: set(flags.split()))
    monkeypatch.setattr(precision, "_gain", lambda: gain)
    assert precision.fastest()[0] == expected


def test_a_gain_is_a_ratio_of_times(monkeypatch):
    """Of a clock by which every product in float32 takes 3 s and every one in bfloat16 2 s."""
    times = iter([t for _ in range(5) for t in (0, 3, 0, 2)])
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(times))
    assert precision._gain() == 1.5


def test_auto_is_decided_once(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "fastest", lambda: ("mixed_bfloat16", "it is"))
    auto = configs.from_dict({"train": {"precision": "auto"}})
    assert precision.resolved(auto, tmp_path).train.precision == "mixed_bfloat16"
    (tmp_path / "config.yaml").write_text(configs.dump(configs.from_dict({})))
    assert precision.resolved(auto, tmp_path).train.precision == "float32", "the run goes on as it began"
    assert "auto" in CHOICES["train.precision"]
