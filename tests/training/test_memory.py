"""What a run needs, counted before it starts; and what is said where there is too little."""

import subprocess
import sys
import textwrap

import pytest
import tensorflow as tf

from stackgan_tf.data.embeddings import Embeddings
from stackgan_tf.data.pipeline import BatchPlan, batch_spec, training_batches
from stackgan_tf.data.prepare import prepare
from stackgan_tf.data.records import Records
from stackgan_tf.errors import UserError
from stackgan_tf.text.hashing import Encoder
from stackgan_tf.training import liveness, memory
from stackgan_tf.training.liveness import peak_bytes
from stackgan_tf.training.state import TrainState
from stackgan_tf.training.step import TrainStep
from tests.conftest import random_batch, tiny_config

KB = 1000  # of a tensor of 250 float32


def graph_of(function, *shapes):
    return tf.function(function, autograph=False).get_concrete_function(*map(tf.TensorSpec, shapes)).graph


def widened(x, times):
    """[n] -> [times, n], a new tensor."""
    return tf.tile(tf.expand_dims(x, 0), [times, 1])


def test_a_chain_holds_two_links():
    """Sorting makes a new tensor of each: the one that is read and the one that is made."""
    graph = graph_of(lambda x: tf.cumsum(tf.cumsum(tf.cumsum(widened(x, 4)))), [250])
    assert peak_bytes(graph) == 2 * 4 * KB


def test_what_is_read_later_stays():
    """The first of three is read at the end, with the third."""

    def fan(x):
        first = widened(x, 4)
        third = tf.cumsum(tf.cumsum(first))
        return tf.concat([first, third], axis=0)

    assert peak_bytes(graph_of(fan, [250])) == 4 * 4 * KB, "two of four rows, and their concatenation of eight"


def test_same_buffers_count_once():
    """Another shape or name is no copy; arithmetic writes over what nobody else will read."""
    graph = graph_of(lambda x: tf.reshape(tf.identity(tf.nn.relu(widened(x, 4)) + 1.0), [-1]), [250])
    assert peak_bytes(graph) == 4 * KB
    kept = graph_of(lambda x: (y := widened(x, 4), tf.nn.relu(y)), [250])
    assert peak_bytes(kept) == 2 * 4 * KB, "both are asked for"


def test_what_nobody_asks_for_does_not_run():
    def idle(x):
        widened(x, 100)
        return widened(x, 2)

    assert peak_bytes(graph_of(idle, [250])) == 2 * KB


def inside(branch_of):
    """A function of [250] whose only large tensors are within a branch: of 30 rows, and of 10."""
    return lambda x: branch_of(
        x[0] > 0, lambda: tf.reduce_sum(widened(x, 30), axis=0), lambda: tf.reduce_max(widened(x, 10), axis=0)
    )


def test_of_branches_the_larger_counts():
    assert peak_bytes(graph_of(inside(tf.cond), [250])) == pytest.approx(31 * KB, abs=KB + 10), "30, sum, and result"


def test_of_a_loop_one_pass_counts():
    def loop(x):
        return tf.while_loop(
            lambda i, total: i < 100,
            lambda i, total: (i + 1, total + tf.reduce_sum(widened(x, 30), axis=0)),
            (0, tf.cumsum(x)),
        )[1]

    assert peak_bytes(graph_of(loop, [250])) == pytest.approx(33 * KB, abs=50), "30 and their sum, x, and total"


def test_a_walk_that_passes_over_functions_is_seen(monkeypatch):
    """The known-bad twin of the two above."""
    monkeypatch.setattr(liveness, "_called", lambda op: [])
    assert peak_bytes(graph_of(inside(tf.cond), [250])) < 2 * KB


def test_a_called_function_counts_while_it_runs():
    called = tf.function(lambda x: tf.reduce_sum(widened(x, 30), axis=0), autograph=False)
    graph = graph_of(lambda x: called(x) + called(x + 1.0), [250])
    assert peak_bytes(graph) == pytest.approx(32 * KB, abs=2 * KB), "one after the other, not both at once"


def test_variables_are_not_the_graphs():
    weights = tf.Variable(tf.zeros([250, 250]))
    graph = graph_of(lambda x: tf.expand_dims(x, 0) @ weights, [250])
    assert peak_bytes(graph) == KB


def test_of_two_devices_one_is_counted(two_replicas):
    def each():
        return two_replicas.run(lambda: tf.cumsum(tf.fill([250], tf.random.uniform([]))))

    graph = graph_of(each)
    one, both = peak_bytes(graph, two_replicas.extended.worker_devices[1]), peak_bytes(graph)
    assert one == pytest.approx(2 * KB, abs=50) and both == pytest.approx(2 * one, rel=0.3)


@pytest.mark.parametrize("family", ["v2", "v1_stage1", "v1_stage2"])
def test_the_need_of_a_step(one_replica, family):
    """Its state is all that is saved, to the byte; every shape is known; and the trace serves the first step."""
    config = tiny_config(family)
    state = TrainState(config, one_replica, steps_per_epoch=10)
    step = TrainStep(state, one_replica, config)
    batch = tf.nest.map_structure(lambda v: v if v is None else tf.convert_to_tensor(v), random_batch(config))
    spec = tf.nest.map_structure(lambda t: t if t is None else tf.TensorSpec(t.shape, t.dtype), batch)
    need = memory.needed(step, spec)
    trained = [v.value for model in (state.generator, *state.discriminators) for v in model.trainable_variables]
    moved = sum(v.numpy().nbytes for v in trained)
    whole = sum(v.numpy().nbytes for v in tf.nest.flatten(state.parts()))
    assert need.state == whole > 3 * moved, "each trained weight and its two moments, and the average"
    graph = step.__call__.get_concrete_function(spec).graph
    unknown = [t for op in graph.get_operations() for t in op.outputs if t.shape.num_elements() is None]
    assert {t.dtype for t in unknown} <= set(liveness.HANDLES)
    step(batch)
    assert step.__call__.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("replicas", ["one_replica", "two_replicas"])
@pytest.mark.parametrize("family", ["v2", "v1_stage1"])
def test_the_trace_is_that_of_the_pipelines_batches(shapes_data_dir, replicas, family, request):
    """As `run.train` does it; and on one replica the batches are as the configuration alone says."""
    strategy = request.getfixturevalue(replicas)
    config = tiny_config(family, data={"text_size": 1024})
    records = Records(prepare("shapes", shapes_data_dir), "train")
    plan = BatchPlan(records, config, Embeddings(records, Encoder(1024, "")))
    state = TrainState(config, strategy, steps_per_epoch=10)
    step = TrainStep(state, strategy, config)
    batches = strategy.distribute_datasets_from_function(lambda context: training_batches(plan, 0, context))
    need = memory.needed(step, batches.element_spec, "/job:localhost/replica:0/task:0/device:CPU:0")
    assert need.state == memory.state_bytes(state) and need.step > 0
    step(next(iter(batches)))
    assert step.__call__.experimental_get_tracing_count() == 1
    if replicas == "one_replica":
        assert batch_spec(config) == tf.nest.map_structure(memory._as_called, batches.element_spec)


def test_nothing_is_drawn_for_an_estimate():
    """In a graph, as a dry run does it, the need is that of the true state."""
    config, strategy = tiny_config(), tf.distribute.get_strategy()
    with tf.Graph().as_default():
        drawn = TrainState(config, strategy, steps_per_epoch=1)
        shapes_only = memory.needed(TrainStep(drawn, strategy, config), batch_spec(config))
    state = TrainState(config, strategy, steps_per_epoch=1)
    true = memory.needed(TrainStep(state, strategy, config), batch_spec(config))
    assert shapes_only == pytest.approx(true, rel=0.02)


def test_too_little_is_warned_of(monkeypatch):
    need, config = memory.Need(1e9, 2e9, 3e9, 5e8), tiny_config()
    monkeypatch.setattr(memory, "free_bytes", lambda: 7e9)
    assert memory.verdict(need, config) == (
        "needs about 6.5 GB of memory on each device (TensorFlow 1.0, weights, moments and averages 2.0, a step 3.0, "
        "batches 0.5); 7.0 GB are free",
        True,
    )
    monkeypatch.setattr(memory, "free_bytes", lambda: 6e9)
    said, enough = memory.verdict(need, config)
    assert not enough
    for flag in ("--batch_size", "--accumulate=K", "--precision=mixed_bfloat16", "train.recompute", "model.gf"):
        assert flag in said
    half = tiny_config(train={"precision": "mixed_bfloat16"})
    assert "--precision" not in memory.verdict(need, half)[0], "it has that"
    monkeypatch.setattr(memory, "free_bytes", lambda: None)
    assert memory.verdict(need, config)[1]


def refuse_memory():
    tf.zeros([10**6, 10**9])


def in_the_pipeline():
    def load(_):
        raise MemoryError

    next(iter(tf.data.Dataset.range(1).map(lambda i: tf.numpy_function(load, [i], tf.float32))))


@pytest.mark.parametrize("fails", [refuse_memory, in_the_pipeline, lambda: bytearray(2**62)])
def test_who_gets_no_memory_is_told_so(tmp_path, fails):
    with pytest.raises(UserError, match="out of memory with train.batch_size=4.*--accumulate=K.*nothing is saved yet"):
        with memory.told(tiny_config(), tmp_path):
            fails()


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.ResourceExhaustedError(None, None, "run/checkpoints/x; No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "Collective ops is aborted by: OOM when allocating tensor"),
        ValueError("something else"),
    ],
)
def test_another_error_is_no_lack_of_memory(tmp_path, error):
    """A full disk is none, nor the loss of another worker, whatever it died of."""
    with pytest.raises(type(error)) as raised, memory.told(tiny_config(), tmp_path):
        raise error
    assert raised.value is error


HUNGRY = """
import tensorflow as tf

from stackgan_tf import program, train
from stackgan_tf.training import step

draw = step.draw_noise


def hungry(sizes, rows, seed, position, *rest):
    side = tf.where(position < 3, 1, 10**7)
    taken = tf.reduce_sum(tf.fill(tf.stack([side, side]), tf.cast(position, tf.float32)))
    return {name: value + 0.0 * taken for name, value in draw(sizes, rows, seed, position, *rest).items()}


step.draw_noise = hungry
program.run(train.main)
"""
CARD = """
data: {dataset: shapes, text_size: 16, random_crop: false, random_flip: false}
model: {family: v2, base_size: 8, branches: 1, gf: 8, df: 4, noise_size: 6, condition_size: 5, residual_blocks: 1}
train: {steps: 9, batch_size: 4, log_every_steps: 1, sample_every_steps: 9, checkpoint_every_steps: 2}
"""


def test_a_run_out_of_memory_says_which_flag_to_lower(tmp_path, shapes_data_dir):
    """From its fourth step on it asks for 400 TB; TensorFlow's own allocator refuses, and what was saved stays."""
    (tmp_path / "card.yaml").write_text(CARD)
    (tmp_path / "hungry.py").write_text(textwrap.dedent(HUNGRY))
    command = [sys.executable, "hungry.py", "--config=card.yaml", f"--data_dir={shapes_data_dir}", "--run_dir=run"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    last = ended.stderr.splitlines()[-1]
    assert ended.returncode == 2 and "Traceback" not in ended.stderr, ended.stderr
    assert last.startswith("error: out of memory with train.batch_size=4, train.accumulate=1, train.precision=float32")
    assert (
        "(needs about " in last
        and " are free" not in last
        and "--accumulate=K above 1" in last
        and "--batch_size below 4" in last
    )
    assert last.endswith("the last checkpoint is run/checkpoints/ckpt-2")
    assert ended.stderr.count("needs about ") == 2, "before the first step, and here"
    reader = tf.train.load_checkpoint(str(tmp_path / "run/checkpoints/ckpt-2"))
    assert reader.get_tensor("step/.ATTRIBUTES/VARIABLE_VALUE") == 2
    again = subprocess.run(
        [sys.executable, "-m", "stackgan_tf.train", *command[2:], "--steps=4", "--accumulate=2", "--resume=must"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert again.returncode == 0, again.stderr
