"""Killed and resumed equals uninterrupted, bit for bit; damaged files are named."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from stackgan_tf import checkpoint, text
from stackgan_tf import config as configs
from stackgan_tf.checkpoint import Checkpoints
from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.pipeline import BatchPlan, training_batches
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.generation import load_generator
from stackgan_tf.training.checks import stage1_generator
from stackgan_tf.training.state import TrainState
from stackgan_tf.training.step import TrainStep
from tests.conftest import random_batch, tiny_config

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
MODELS = {"v1_stage1": "v1_stage1", "v1_stage2": "v1_stage2", "v2": "v2", "v2_unconditional": "v2"}
QUICK = [
    ("v1_stage1", "mixed_float16"),
    ("v1_stage2", "mixed_bfloat16"),
    ("v2", "mixed_float16"),
    ("v2_unconditional", "float32"),
]


def everything(state):
    models = (state.generator, *state.discriminators, state.average)
    optimizers = [v for o in state.optimizers.values() for v in tf.nest.flatten(o.saved())]
    found = [v for model in models for v in model.variables] + optimizers + [state.step, state.position]
    return [np.array(v.numpy()) for v in found]


def differing(a, b):
    """How many variables of two states are not the same, bit for bit."""
    return sum(x.tobytes() != y.tobytes() for x, y in zip(everything(a), everything(b), strict=True))


class Process:
    """What a process makes anew: a state, its step, and the batches from where it is."""

    def __init__(self, config, strategy, shapes_data_dir):
        self.state = TrainState(config, strategy, 10)
        self.step = TrainStep(self.state, strategy, config)
        records = Records(prepare("shapes", Path(shapes_data_dir)), "train")
        embeddings = Embeddings(records, text.load(config.data)) if config.model.conditional else None
        self.plan = BatchPlan(records, config, embeddings)

    def checkpoints(self, folder):
        return Checkpoints(folder, self.state.parts(), keep=1)

    def advance(self, steps):
        batches = training_batches(self.plan, int(self.state.position.numpy()))
        for batch in batches.take(steps):
            self.step(batch)


@pytest.mark.parametrize(
    "model, precision",
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in itertools.product(MODELS, PRECISIONS)
    ],
)
def test_killed_it_goes_on_bit_for_bit(tmp_path, one_replica, shapes_data_dir, model, precision):
    """Ten steps at once, or in two pieces: the same state; the data continue where they were.

    The loss scale of float16 skips up to six of them at first.
    """
    conditional = {"conditional": False} if model == "v2_unconditional" else {}
    config = tiny_config(MODELS[model], model=conditional, train={"precision": precision})
    whole = Process(config, one_replica, shapes_data_dir)
    whole.state.position.assign(3)  # as after a rollback: the data are ahead
    for steps, done in ((1, 1), (7, 8)):
        whole.advance(steps)
        whole.checkpoints(tmp_path / str(done)).save()
    whole.advance(2)
    resumed = Process(config, one_replica, shapes_data_dir)
    networks = ((p.state.generator, *p.state.discriminators) for p in (whole, resumed))
    for learnt, fresh in zip(*networks, strict=True):
        assert np.any(learnt.trainable_variables[0] != fresh.trainable_variables[0]), "all were skipped"
    for done in (1, 8):
        resumed.checkpoints(tmp_path / str(done)).restore()
        assert int(resumed.state.step.numpy()) == done
        resumed.advance(10 - done)
        assert not differing(whole.state, resumed.state)


def test_whatever_is_forgotten_is_seen(tmp_path, one_replica, shapes_data_dir):
    """The known-bad twins: without any one part, or one slot of an optimizer, the run is not continued."""
    config = tiny_config("v1_stage1", optimizer={"halve_every_epochs": 1})
    whole = Process(config, one_replica, shapes_data_dir)
    whole.advance(2)
    whole.checkpoints(tmp_path / "two").save()
    whole.advance(2)
    resumed = Process(config, one_replica, shapes_data_dir)
    fresh = resumed.checkpoints(tmp_path / "fresh")
    fresh.save()
    parts = resumed.state.parts()
    slot = list(parts["generator_optimizer"])[-1]
    forgetful = {name: {key: part for key, part in parts.items() if key != name} for name in parts}
    forgetful["a slot"] = parts | {
        "generator_optimizer": {name: v for name, v in parts["generator_optimizer"].items() if name != slot}
    }
    for forgotten, kept in ({"nothing": parts} | forgetful).items():
        fresh.restore()
        tf.train.Checkpoint(**kept).read(checkpoint.latest(tmp_path / "two")).expect_partial()
        resumed.advance(2)
        assert bool(differing(whole.state, resumed.state)) == (forgotten != "nothing"), forgotten


def test_every_variable_is_in_the_file(tmp_path, one_replica):
    config = tiny_config()
    state = TrainState(config, one_replica, 10)
    Checkpoints(tmp_path, state.parts(), keep=1).save()
    saved = tf.train.list_variables(checkpoint.latest(tmp_path))
    assert sum(name.endswith("VARIABLE_VALUE") for name, _ in saved) == len(everything(state))


@pytest.fixture
def saved(tmp_path, one_replica):
    """A run directory with the checkpoints of steps 0 and 1."""
    config = tiny_config("v1_stage1")
    state = TrainState(config, one_replica, 10)
    checkpoints = Checkpoints(tmp_path, state.parts(), keep=3)
    checkpoints.save()
    TrainStep(state, one_replica, config)(random_batch(config))
    checkpoints.save()
    (tmp_path / "config.yaml").write_text(configs.dump(config))
    return tmp_path, config, state


def test_the_newest_is_loaded_and_the_average_is_what_draws(saved):
    folder, _, state = saved
    artist = load_generator(folder)
    assert artist.step == 1
    for a, b in zip(artist.generator.variables, state.average.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_damaged_newest_is_passed_over_by_whoever_reads(saved, one_replica, caplog):
    """Training and the programs that draw, alike; what damages are seen: `test_checkpoint_files`."""
    folder, config, state = saved
    victim = folder / "checkpoints/ckpt-1.data-00000-of-00001"
    victim.write_bytes(victim.read_bytes()[:1000])
    resumed = TrainState(config, one_replica, 10)
    Checkpoints(folder, resumed.parts(), keep=3).restore()
    assert int(resumed.step.numpy()) == 0 and load_generator(folder).step == 0
    assert [message.startswith(f"damaged: {folder}/checkpoints/ckpt-1 (") for message in caplog.messages] == [True] * 2
    (folder / "checkpoints/ckpt-0.index").write_bytes(b"")
    for load in (Checkpoints(folder, state.parts(), keep=3).restore, lambda: load_generator(folder)):
        with pytest.raises(UserError, match="no checkpoint is whole: .*ckpt-1 .*ckpt-0 "):
            load()


def test_stage2_does_not_start_from_what_was_before_the_end(saved):
    folder, config, _ = saved
    (folder / "config.yaml").write_text(configs.dump(config).replace("steps: 4\n", "steps: 1\n"))
    stage2 = tiny_config("v1_stage2", train={"stage1_run_dir": str(folder)})
    assert stage1_generator(stage2)
    (folder / "checkpoints/ckpt-1.index").write_bytes(b"")
    with pytest.raises(UserError, match="is at step 0 of 1; finish it first"):
        stage1_generator(stage2)


def test_a_first_save_cut_short_is_no_checkpoint(tmp_path):
    (tmp_path / "checkpoints/ckpt-1000_temp").mkdir(parents=True)
    assert checkpoint.latest(tmp_path) is None


def test_a_checkpoint_of_other_widths(saved, one_replica):
    folder, config, _ = saved
    wider = tiny_config("v1_stage1", model={"gf": 16})
    state = TrainState(wider, one_replica, 10)
    (folder / "config.yaml").write_text(configs.dump(wider))
    loads = {"generator": Checkpoints(folder, state.parts(), keep=3).restore, "average": lambda: load_generator(folder)}
    for part, load in loads.items():
        with pytest.raises(UserError, match=rf"{part}/.* is \[\d+, \d+\] there, \[\d+, \d+\] here$") as error:
            load()
        assert "\n" not in str(error.value)


def test_no_checkpoint_yet(tmp_path):
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
