"""Killed and resumed equals uninterrupted, bit for bit; damaged files are named."""

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import checkpoint
from stackgan_tf.checkpoint import Checkpoints
from stackgan_tf.errors import UserError
from stackgan_tf.generation import load_generator
from stackgan_tf.training.state import TrainState
from stackgan_tf.training.step import TrainStep
from tests.conftest import random_batch, tiny_config


def advance(state, config, strategy, steps):
    step = TrainStep(state, strategy, config)
    for number in steps:
        step(random_batch(config, number))


def everything(state):
    models = (state.generator, *state.discriminators, state.average)
    optimizers = [v for o in state.optimizers.values() for v in tf.nest.flatten(o.saved())]
    found = [v for model in models for v in model.variables] + optimizers + [state.step, state.position]
    return [np.array(v.numpy()) for v in found]


@pytest.mark.parametrize(
    "family, precision",
    [("v1_stage1", "mixed_float16"), ("v1_stage2", "mixed_bfloat16")],
)
def test_four_steps_are_two_and_two(tmp_path, one_replica, family, precision):
    """v2 in float32, data position included: `test_programs`."""
    config = tiny_config(family, train={"precision": precision})
    whole = TrainState(config, one_replica, 10)
    advance(whole, config, one_replica, range(4))
    first = TrainState(config, one_replica, 10)
    advance(first, config, one_replica, range(2))
    Checkpoints(tmp_path, first.parts(), keep=3).save()
    second = TrainState(config, one_replica, 10)
    Checkpoints(tmp_path, second.parts(), keep=3).restore()
    assert int(second.step.numpy()) == 2
    advance(second, config, one_replica, range(2, 4))
    for a, b in zip(everything(whole), everything(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_variable_is_in_the_file(tmp_path, one_replica):
    config = tiny_config()
    state = TrainState(config, one_replica, 10)
    Checkpoints(tmp_path, state.parts(), keep=1).save()
    saved = tf.train.list_variables(checkpoint.latest(tmp_path))
    count = sum(name.endswith("VARIABLE_VALUE") for name, _ in saved)
    assert count == len(everything(state)) + 1  # and the checkpoint's own save counter


def test_forgetting_the_optimizers_is_seen(tmp_path, one_replica):
    """The known-bad twin: networks alone do not continue the run."""
    config = tiny_config("v1_stage1")
    whole = TrainState(config, one_replica, 10)
    advance(whole, config, one_replica, range(2))
    networks_only = tf.train.Checkpoint(generator=whole.generator, discriminators=list(whole.discriminators))
    path = networks_only.save(str(tmp_path / "bad"))
    advance(whole, config, one_replica, range(2, 4))
    second = TrainState(config, one_replica, 10)
    tf.train.Checkpoint(generator=second.generator, discriminators=list(second.discriminators)).restore(path)
    second.step.assign(2)
    advance(second, config, one_replica, range(2, 4))
    pairs = zip(whole.generator.variables, second.generator.variables, strict=True)
    assert any(np.any(a.numpy() != b.numpy()) for a, b in pairs)


@pytest.fixture
def saved(tmp_path, one_replica):
    """A run directory with two checkpoints."""
    from stackgan_tf import config as configs

    config = tiny_config("v1_stage1")
    state = TrainState(config, one_replica, 10)
    checkpoints = Checkpoints(tmp_path, state.parts(), keep=3)
    for number in range(2):
        checkpoints.save()
        advance(state, config, one_replica, [number])
    checkpoints.save()
    (tmp_path / "config.yaml").write_text(configs.dump(config))
    return tmp_path, config, state


def test_the_newest_is_loaded_and_the_average_is_what_draws(saved):
    folder, config, state = saved
    assert checkpoint.checkpoint_step(checkpoint.latest(folder)) == 2
    artist = load_generator(folder)
    for a, b in zip(artist.generator.variables, state.average.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("how", ["cut short", "overwritten", "index cut short"])
def test_a_damaged_checkpoint_is_named_and_kept(saved, one_replica, how):
    folder, config, _ = saved
    path = checkpoint.latest(folder)
    victim = folder / "checkpoints" / ("ckpt-2.index" if how.startswith("index") else "ckpt-2.data-00000-of-00001")
    data = bytearray(victim.read_bytes())
    damaged = bytes(data[: len(data) // 10])
    if how == "overwritten":
        data[::64] = b"\x5a" * len(data[::64])
        damaged = bytes(data)
    victim.write_bytes(damaged)
    state = TrainState(config, one_replica, 10)
    for load in (Checkpoints(folder, state.parts(), keep=3).restore, lambda: load_generator(folder)):
        with pytest.raises(UserError, match="is damaged") as error:
            load()
        assert path in str(error.value) and "\n" not in str(error.value)
    assert victim.read_bytes() == damaged


def test_a_first_save_cut_short_is_no_checkpoint(tmp_path):
    (tmp_path / "checkpoints/ckpt-1000_temp").mkdir(parents=True)
    assert checkpoint.latest(tmp_path) is None


def test_a_damaged_list_of_checkpoints(saved):
    folder, _, _ = saved
    (folder / "checkpoints/checkpoint").write_text("}{")
    with pytest.raises(UserError, match="its index 'checkpoint' is damaged"):
        checkpoint.latest(folder)


def test_a_checkpoint_of_another_network(saved, one_replica):
    folder, _, _ = saved
    other = TrainState(tiny_config("v1_stage1", model={"gf": 16}), one_replica, 10)
    with pytest.raises(UserError, match="is the checkpoint of another network"):
        Checkpoints(folder, other.parts(), keep=3).restore()


def test_no_checkpoint_yet(tmp_path):
    from stackgan_tf import config as configs

    with pytest.raises(UserError, match="not a run directory"):
        load_generator(tmp_path)
    (tmp_path / "config.yaml").write_text(configs.dump(tiny_config()))
    with pytest.raises(UserError, match="has no checkpoint yet"):
        load_generator(tmp_path)


def test_a_run_of_another_version_says_so(tmp_path):
    (tmp_path / "config.yaml").write_text("model: {family: v2, wings: 4}\n")
    with pytest.raises(UserError, match=f"^{tmp_path}/config.yaml: model.wings: unknown key"):
        load_generator(tmp_path)
    (tmp_path / "environment.json").write_text('{"stackgan_tf": "9.9"}')
    with pytest.raises(UserError, match=r"wings: unknown key.*\(the run is of stackgan_tf 9.9, this is "):
        load_generator(tmp_path)
