"""Many machines, as processes on loopback: the weights of one process, faults, and what is refused."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml

from stackgan_tf import cluster, interrupts, workers
from stackgan_tf.cluster import Cluster, check_same, from_environment, meet
from stackgan_tf.errors import UserError
from tests.test_programs import refused

CARD = """
data: {dataset: shapes, text_size: 16, random_crop: false, random_flip: false}
model: {family: v2, base_size: 8, branches: 2, gf: 8, df: 4, noise_size: 6, condition_size: 5, residual_blocks: 1}
train: {steps: 6, batch_size: 8, log_every_steps: 1, sample_every_steps: 100, checkpoint_every_steps: 2}
"""
TWO_DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from stackgan_tf import train
train.run()
"""
TOLERANCE = 1e-5  # of weights, averages and moments after 6 steps; 1.9e-6 was the most seen, of moments up to 0.7
PATIENCE = 900  # seconds, on a busy machine; what hangs ends then
TRAIN = ("-m", "stackgan_tf.train")
# Known-bad twins: the program with one thing taken out. The source files are the same, so that the workers agree.
SAME_ROWS = """
from stackgan_tf.data.pipeline import BatchPlan
fetch = BatchPlan.fetch
BatchPlan.fetch = lambda self, number, part, parts: fetch(self, number, 0, parts)
from stackgan_tf import train
train.run()
"""
BLIND = """
import numpy as np, os
from stackgan_tf import program
program.load_tensorflow()
from stackgan_tf.checkpoint import Checkpoints
from stackgan_tf.data.pipeline import BatchPlan
restore, fetch = Checkpoints._restore, BatchPlan.fetch
def restored(self, path):
    if '"index": {rank}' in os.environ["TF_CONFIG"] and path.endswith("ckpt-{step}"):
        raise ValueError("a block is lost")
    return restore(self, path)
def spoilt(self, number, *rows):
    embeddings, *others = fetch(self, number, *rows)
    return (np.where(int(number) == {bad}, np.float32(np.nan), embeddings), *others)
Checkpoints._restore, BatchPlan.fetch = restored, spoilt
from stackgan_tf import train
train.run()
"""
OWN_BATCH_NORM = """
from stackgan_tf import program
program.load_tensorflow()
from stackgan_tf import distribution
distribution.synchronize_batch_norm = lambda model: None
from stackgan_tf import train
train.run()
"""


def addresses(count):
    """Free ports of this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    names = tuple(f"127.0.0.1:{s.getsockname()[1]}" for s in sockets)
    for s in sockets:
        s.close()
    return names


def tf_config(names, index, job="worker"):
    return json.dumps({"cluster": {"worker": list(names)}, "task": {"type": job, "index": index}})


class Workers:
    """Processes of one cluster, each with the same command."""

    every = []  # that a test has started

    def __init__(self, folder, data_dir, count, *flags, program=TRAIN, of_the_last=()):
        self.names, self.folder = addresses(count), folder
        flags = ["--config=card.yaml", f"--data_dir={data_dir}", "--peers_deadline_seconds=120", *flags]
        self.command = [sys.executable, *program, *flags]
        self.processes = [self.start(i) for i in range(count - 1)] + [self.start(count - 1, *of_the_last)]

    def start(self, index, *flags):
        environment = os.environ | {"TF_CONFIG": tf_config(self.names, index)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([*self.command, *flags], cwd=self.folder, env=environment, text=True, **pipes)
        self.every.append(process)
        return process

    def end(self):
        """The results of all, which must come."""
        with ThreadPoolExecutor(len(self.processes)) as pool:
            outputs = list(pool.map(lambda p: p.communicate(timeout=PATIENCE), self.processes))
        return [
            subprocess.CompletedProcess(p.args, p.returncode, *output)
            for p, output in zip(self.processes, outputs, strict=True)
        ]

    def at_step(self, run_dir, step):
        """Waits for a line of the metrics."""
        metrics = self.folder / run_dir / "metrics.jsonl"
        deadline = time.monotonic() + PATIENCE
        while not (metrics.exists() and metrics.read_text().count("\n") >= step):
            assert time.monotonic() < deadline and all(p.poll() is None for p in self.processes)
            time.sleep(0.1)


@pytest.fixture(autouse=True)
def none_is_left():
    yield
    for process in Workers.every:
        process.kill()
    Workers.every.clear()


def finish(started):
    results = started.end()
    assert [r.returncode for r in results] == [0] * len(results), "\n".join(r.stderr[-3000:] for r in results)
    return results


def differences(folder, one, other, step=6):
    """The largest difference of each variable in two runs' checkpoints."""
    a, b = (tf.train.load_checkpoint(str(folder / run / f"checkpoints/ckpt-{step}")) for run in (one, other))
    names = [name for name in a.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    return {name: np.abs(np.float64(a.get_tensor(name)) - np.float64(b.get_tensor(name))).max() for name in names}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, shapes_data_dir):
    """A card, and a run of one process."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "card.yaml").write_text(CARD)
    command = [sys.executable, *TRAIN, "--config=card.yaml", f"--data_dir={shapes_data_dir}", "--run_dir=one"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


def test_two_workers_have_the_weights_of_one_process(folder, shapes_data_dir):
    """And the chief alone has written: one line of metrics a step, one picture."""
    finish(Workers(folder, shapes_data_dir, 2, "--run_dir=two"))
    worst = differences(folder, "one", "two")
    assert len(worst) > 100 and max(worst.values()) < TOLERANCE, sorted(worst.items(), key=lambda i: i[1])[-3:]
    lines = [json.loads(line) for line in (folder / "two/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "g/loss" in line] == [1, 2, 3, 4, 5, 6]
    assert json.loads((folder / "two/environment.json").read_text())["replicas"] == 2


@pytest.mark.slow
def test_four_workers_have_them_too(folder, shapes_data_dir):
    finish(Workers(folder, shapes_data_dir, 4, "--run_dir=four"))
    assert max(differences(folder, "one", "four").values()) < TOLERANCE


@pytest.mark.slow
def test_workers_that_save_memory_have_the_weights_of_two_devices(folder, shapes_data_dir):
    """Parts and recomputation. Batch norm is of a part, so the other process must have the same parts: without them it
    has other weights."""
    flags = ("--accumulate=2", "--set=train.recompute=true")
    command = ["--config=card.yaml", f"--data_dir={shapes_data_dir}", "--run_dir=devices", *flags]
    result = subprocess.run([sys.executable, "-c", TWO_DEVICES, *command], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    finish(Workers(folder, shapes_data_dir, 2, "--run_dir=saving", *flags))
    assert max(differences(folder, "devices", "saving").values()) < TOLERANCE
    assert max(differences(folder, "one", "saving").values()) > 100 * TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("twin", [SAME_ROWS, OWN_BATCH_NORM], ids=["same rows", "own batch norm"])
def test_known_bad_twins_are_seen(folder, shapes_data_dir, twin, request):
    run_dir = request.node.callspec.id.replace(" ", "_")
    finish(Workers(folder, shapes_data_dir, 2, f"--run_dir={run_dir}", program=("-c", twin)))
    assert max(differences(folder, "one", run_dir).values()) > 100 * TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("victim, count", [(1, 2), (0, 2), (2, 4)])
def test_a_killed_worker_comes_back_and_nothing_is_lost(folder, shapes_data_dir, victim, count):
    """Killed in the middle and started again, as a supervisor does; the others start again by themselves."""
    run_dir = f"killed_{victim}_of_{count}"
    started = Workers(folder, shapes_data_dir, count, f"--run_dir={run_dir}", "--steps=40")
    started.at_step(run_dir, 10)
    started.processes[victim].kill()
    started.processes[victim].communicate()
    started.processes[victim] = started.start(victim)
    results = finish(started)
    survivors = [(rank, result) for rank, result in enumerate(results) if rank != victim]
    assert all(f"this one, worker {rank}, starts again" in result.stderr for rank, result in survivors)
    lines = [json.loads(line) for line in (folder / run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "g/loss" in line] == list(range(1, 41))
    command = [sys.executable, *TRAIN, "--config=card.yaml", f"--data_dir={shapes_data_dir}", "--run_dir=long"]
    assert subprocess.run([*command, "--steps=40"], cwd=folder, capture_output=True).returncode == 0
    assert max(differences(folder, "long", run_dir, 40).values()) < TOLERANCE


def test_all_go_on_from_what_the_chief_can_read(folder, shapes_data_dir):
    """The newest one is whole, and the other worker could read it."""
    shutil.copytree(folder / "one", folder / "older")
    blind = BLIND.format(rank=0, step=6, bad=-1)
    first, second = finish(Workers(folder, shapes_data_dir, 2, "--run_dir=older", program=("-c", blind)))
    assert "ckpt-4, the newest that is whole" in first.stderr and "damaged" not in second.stderr
    assert max(differences(folder, "one", "older").values()) < TOLERANCE


@pytest.mark.slow
def test_all_go_back_to_what_the_chief_can_read(folder, shapes_data_dir):
    flags, blind = ("--run_dir=back", "--on_nan=rollback"), BLIND.format(rank=0, step=4, bad=4)
    for result in finish(Workers(folder, shapes_data_dir, 2, *flags, program=("-c", blind))):
        assert "step 5: " in result.stderr and "; back to step 2, and on with" in result.stderr
    last = tf.train.load_checkpoint(str(folder / "back/checkpoints/ckpt-6"))
    assert last.get_tensor("position/.ATTRIBUTES/VARIABLE_VALUE") == 9


@pytest.mark.slow
def test_what_another_worker_cannot_read_ends_all(folder, shapes_data_dir):
    flags, blind = ("--run_dir=blind", "--on_nan=rollback"), BLIND.format(rank=1, step=4, bad=4)
    first, second = Workers(folder, shapes_data_dir, 2, *flags, program=("-c", blind)).end()
    assert "; there is no going back (worker 1: blind/checkpoints: no checkpoint is whole: " in refused(first)
    assert "; there is no going back (blind/checkpoints: no checkpoint is whole: " in refused(second)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_falls_silent_is_gone_too(folder, shapes_data_dir, victim):
    """Stopped, as a machine that loses its network: TensorFlow misses its heartbeat after ten seconds."""
    run_dir = f"silent_{victim}"
    started = Workers(folder, shapes_data_dir, 2, f"--run_dir={run_dir}", "--steps=40")
    started.at_step(run_dir, 10)
    silent = started.processes[victim]
    silent.send_signal(signal.SIGSTOP)
    try:
        other = started.processes[1 - victim]
        for line in other.stderr:
            if "another worker is gone" in line:
                break
    finally:
        silent.kill()
    silent.communicate()
    started.processes[victim] = started.start(victim)
    finish(started)


@pytest.mark.slow
@pytest.mark.parametrize("told", [0, 1])
def test_sigterm_of_one_saves_and_ends_all_at_the_same_step(folder, shapes_data_dir, told):
    run_dir = f"ended_{told}"
    flags = (f"--run_dir={run_dir}", "--steps=100000", "--set", "train.checkpoint_every_steps=100000")
    started = Workers(folder, shapes_data_dir, 2, *flags)
    started.at_step(run_dir, 4)
    started.processes[told].send_signal(signal.SIGTERM)
    results = started.end()
    assert [r.returncode for r in results] == [0, 0] and all("interrupted and saved" in r.stderr for r in results)
    (saved,) = (folder / run_dir / "checkpoints").glob("*.index")
    last = json.loads((folder / run_dir / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    assert saved.name == f"ckpt-{last}.index"


@pytest.mark.slow
@pytest.mark.parametrize("told", [0, 1])
def test_sigterm_before_the_first_step_ends_that_worker_and_the_other_waits_for_it(folder, shapes_data_dir, told):
    run_dir = f"ended_early_{told}"
    flags = (f"--run_dir={run_dir}", "--steps=100000", "--peers_deadline_seconds=60")
    started = Workers(folder, shapes_data_dir, 2, *flags)
    while not (folder / run_dir / "config.yaml").exists():
        assert all(p.poll() is None for p in started.processes)
        time.sleep(0.1)
    started.processes[told].send_signal(signal.SIGTERM)
    results = started.end()
    assert results[told].returncode == 143 and results[told].stderr.endswith("terminated before anything was saved\n")
    assert f"worker {told} is not there" in refused(results[1 - told])


def test_workers_that_differ_are_refused_by_all(folder, shapes_data_dir):
    for result in Workers(folder, shapes_data_dir, 2, "--run_dir=differ", of_the_last=["--seed=1"]).end():
        assert "worker 1 differs from worker 0 in train.seed: 1, not 0" in refused(result)
    assert not (folder / "differ").exists()


def test_what_the_chief_refuses_ends_all(folder, shapes_data_dir):
    first, second = Workers(folder, shapes_data_dir, 2, "--run_dir=refused", "--batch_size=9998").end()
    assert "error: train.batch_size=9998: the training split has 936 images only" in refused(first)
    assert "error: worker 0: train.batch_size=9998: the training split has" in refused(second)
    assert not (folder / "refused").exists()


def test_told_to_end_before_anything_is_saved_a_worker_has_failed(folder):
    """Its supervisor would take 0 for the end of the training."""
    environment = os.environ | {"TF_CONFIG": tf_config(addresses(2), 0)}
    command = [sys.executable, *TRAIN, "--config=card.yaml", "--run_dir=told"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "waiting for 1 of 2 workers" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM and stderr == "terminated before anything was saved\n"


def test_a_peer_that_is_not_there_has_a_deadline(folder):
    environment = os.environ | {"TF_CONFIG": tf_config(addresses(2), 1)}
    command = [sys.executable, *TRAIN, "--config=card.yaml", "--run_dir=alone", "--peers_deadline_seconds=1"]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert "worker 0 is not there: no answer from 127.0.0.1:" in refused(result)
    assert not (folder / "alone").exists()


@pytest.mark.parametrize(
    "variables, flags, message",
    [
        ({"TF_CONFIG": "{"}, (), "TF_CONFIG: is not JSON"),
        ({"TF_CONFIG": tf_config(("a:1", "b:1"), 0)}, ("--peers_deadline_seconds=0",), "must be at least 1"),
        ({"TF_CONFIG": tf_config(("a:1", "b:1"), 0)}, ("--resume=never",), "--resume=never: with TF_CONFIG, workers"),
        ({"TF_CONFIG": tf_config(("a:1", "b:1"), 0)}, ("--batch_size=7",), "2 replicas do not divide it; use 6"),
        ({"CUDA_VISIBLE_DEVICES": "77"}, (), "CUDA_VISIBLE_DEVICES=77: TensorFlow finds 0 of these 1 GPUs"),
    ],
)
def test_train_refuses(folder, variables, flags, message):
    command = [sys.executable, *TRAIN, "--config=card.yaml", "--run_dir=none", *flags]
    result = subprocess.run(
        command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, timeout=120
    )
    assert message in refused(result)
    assert not (folder / "none").exists()


def given(monkeypatch, value):
    monkeypatch.setenv("TF_CONFIG", value if isinstance(value, str) else json.dumps(value))
    return from_environment()


def test_who_takes_part(monkeypatch):
    assert given(monkeypatch, tf_config(("a:1", "[::1]:2"), 1)) == Cluster(("a:1", "[::1]:2"), 1)


@pytest.mark.parametrize("alone", ["", "{}", '{"cluster": {}}', tf_config(("a:1",), 0)])
def test_one_worker_is_no_cluster(monkeypatch, alone):
    assert given(monkeypatch, alone) is None


@pytest.mark.parametrize(
    "value, message",
    [
        ("{'cluster'", "is not JSON"),
        ("[]", "TF_CONFIG must be a mapping, not []"),
        ({"cluster": ["a:1"]}, "cluster must be a mapping"),
        ({"cluster": {"ps": ["a:1"], "worker": ["b:1"]}}, "has the job 'ps'; here are workers only"),
        ({"cluster": {"chief": ["a:1"], "worker": ["b:1"]}}, "has the job 'chief'; here are workers only, the first"),
        ({"cluster": {"worker": "a:1"}}, "worker must be a list of addresses, not 'a:1'"),
        ({"cluster": {"worker": ["a:1", "b"]}}, "'b' is not the address of a worker, host:port"),
        ({"cluster": {"worker": ["a:1", "b:70000"]}}, "'b:70000' is not the address"),
        ({"cluster": {"worker": ["a:1", 7]}}, "7 is not the address"),
        ({"cluster": {"worker": ["a:1", "a:1"]}}, "names a:1 twice"),
        ({"cluster": {"worker": ["a:1", "b:1"]}}, "task must be a mapping, not None"),
        (tf_config(("a:1", "b:1"), 2), "which is not of its cluster"),
        (tf_config(("a:1", "b:1"), "0"), "which is not of its cluster"),
        (tf_config(("a:1", "b:1"), True), "which is not of its cluster"),
        (tf_config(("a:1", "b:1"), 0, "chief"), "which is not of its cluster"),
    ],
)
def test_a_malformed_tf_config_is_told(monkeypatch, value, message):
    with pytest.raises(UserError, match="^TF_CONFIG: .*; as in TF_CONFIG='{") as error:
        given(monkeypatch, value)
    assert message in str(error.value)


def test_all_hear_what_all_say():
    names = addresses(3)
    with ThreadPoolExecutor(3) as pool:
        heard = list(pool.map(lambda rank: meet(Cluster(names, rank), {"seed": str(rank)}, 30), range(3)))
    assert heard == [[{"seed": "0"}, {"seed": "1"}, {"seed": "2"}]] * 3


def test_what_is_not_confirmed_was_not_heard(monkeypatch):
    """Worker 1 hears the answer, and its own rank is lost on the way back: it asks again."""
    names, lost = addresses(2), []
    ask = cluster._ask

    def ask_and_lose(members, rank, heard, unheard):
        with monkeypatch.context() as patch:
            if members.rank == 1 and not lost:
                lost.append(rank)
                patch.setattr(socket.socket, "sendall", lambda self, data: self.shutdown(socket.SHUT_RDWR))
            ask(members, rank, heard, unheard)

    monkeypatch.setattr(cluster, "_ask", ask_and_lose)
    with ThreadPoolExecutor(2) as pool:
        heard = list(pool.map(lambda rank: meet(Cluster(names, rank), {}, 30), range(2)))
    assert lost == [0] and heard == [[{}, {}]] * 2


def test_who_comes_late_is_waited_for():
    names = addresses(2)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(meet, Cluster(names, 0), {}, 30)
        time.sleep(0.5)
        assert not first.done()
        assert meet(Cluster(names, 1), {}, 30) == first.result() == [{}, {}]


def test_who_is_not_there_is_named():
    names = (*addresses(1), "no-such-host.invalid:1")
    with pytest.raises(UserError, match=r"worker 1 is not there: no answer from no-such-host.invalid:1 in 0.3 seconds"):
        meet(Cluster(names, 0), {}, 0.3)


def test_a_stranger_on_the_port_is_not_a_worker():
    names = addresses(2)
    host, port = names[1].split(":")
    with socket.create_server((host, int(port))) as stranger:
        threading.Thread(target=lambda: stranger.accept()[0].sendall(b"HTTP/1.1 400\r\n"), daemon=True).start()
        with pytest.raises(UserError, match=r"worker 1 is not there: .*\((something else answers there|timed out)\)"):
            meet(Cluster(names, 0), {}, 0.3)


def test_who_cannot_reach_back_is_named():
    """Worker 1 answers and never asks, as behind a firewall."""
    names = addresses(2)
    with cluster._answering(Cluster(names, 1), {}), pytest.raises(UserError, match="worker 1 at .* has not reached"):
        meet(Cluster(names, 0), {}, 0.5)


def test_a_taken_port_is_told():
    names = addresses(2)
    with (
        socket.create_server(("", int(names[0].split(":")[1]))),
        pytest.raises(UserError, match="port .* cannot be used"),
    ):
        meet(Cluster(names, 0), {}, 1)


def test_what_differs_is_told():
    check_same([{"a": "1"}, {"a": "1"}])
    with pytest.raises(UserError, match="worker 2 differs from worker 0 in keras: 3.12, not 3.15; all workers need"):
        check_same([{"keras": "3.15"}, {"keras": "3.15"}, {"keras": "3.12"}])
    with pytest.raises(UserError, match="worker 1 differs from worker 0 in b: None, not 2"):
        check_same([{"b": "2"}, {}])


def test_another_source_file_is_another_code(tmp_path, monkeypatch):
    digest = cluster.code_digest()
    assert digest == cluster.code_digest()
    (tmp_path / "cluster.py").write_text("")
    monkeypatch.setattr(cluster, "__file__", str(tmp_path / "cluster.py"))
    assert cluster.code_digest() != digest


def test_only_the_loss_of_another_worker_starts_anew(monkeypatch):
    started = []
    monkeypatch.setattr(os, "execv", lambda *command: started.append(command))
    gone = tf.errors.UnavailableError(None, None, "Connection reset by peer")
    members = Cluster(("a:1", "b:1"), 0)
    for others, error in [(None, gone), (members, tf.errors.InvalidArgumentError(None, None, "shapes"))]:
        with pytest.raises(type(error)), workers.starting_again(others):
            raise error
    assert not started
    with workers.starting_again(members):
        raise gone
    assert started == [(sys.executable, [sys.executable, *sys.orig_argv[1:]])]


def test_one_that_was_told_to_end_does_not_start_anew(monkeypatch):
    monkeypatch.setattr(os, "execv", lambda *command: pytest.fail("it did"))
    monkeypatch.setattr(interrupts, "_noted", [signal.SIGTERM])
    with (
        pytest.raises(UserError, match=r"another worker is gone \(reset\), and this one was told to end"),
        workers.starting_again(Cluster(("a:1", "b:1"), 0)),
    ):
        raise tf.errors.UnavailableError(None, None, "reset")


def test_none_goes_on_where_one_cannot(monkeypatch, one_replica):
    with pytest.raises(UserError, match="^mine$"), workers.together(one_replica):
        raise UserError("mine")
    with workers.together(one_replica):
        pass
    monkeypatch.setattr(workers, "exchange", lambda strategy, said: [said, {"failure": "theirs"}])
    with pytest.raises(UserError, match="^worker 1: theirs$"), workers.together(one_replica):
        pass


PAGES = Path(__file__).parent.parent / "configs/clusters"


def test_the_kubernetes_manifest_names_its_own_pods(monkeypatch):
    service, job = yaml.safe_load_all((PAGES / "kubernetes.yaml").read_text())
    spec = job["spec"]["template"]["spec"]
    variables = spec["containers"][0]["env"]
    assert [v["name"] for v in variables] == ["INDEX", "TF_CONFIG"], "one may refer to those before it only"
    assert spec["subdomain"] == service["metadata"]["name"]
    count = job["spec"]["completions"]
    pods = tuple(f"{job['metadata']['name']}-{i}.{service['metadata']['name']}:2222" for i in range(count))
    for i in range(count):
        assert given(monkeypatch, variables[1]["value"].replace("$(INDEX)", str(i))) == Cluster(pods, i)


def test_the_slurm_script_names_its_nodes(tmp_path, monkeypatch):
    """With stand-ins for Slurm's programs and for Python, which tells what it is given."""
    programs = {
        "scontrol": "printf 'node%s\\n' 1 2 3",
        "srun": 'shift 2; SLURM_PROCID=2 exec "$@"',
        "python": 'echo "$TF_CONFIG"; echo "$@"',
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "node[1-3]", "SLURM_CPUS_PER_TASK": "8"}
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "WORK": "/w"} | slurm
    result = subprocess.run(["bash", PAGES / "slurm.sh"], env=environment, capture_output=True, text=True, check=True)
    tf_config, command = result.stdout.splitlines()
    assert given(monkeypatch, tf_config) == Cluster(("node1:2222", "node2:2222", "node3:2222"), 2)
    assert command.startswith("-m stackgan_tf.train --dataset=oxford102 --source_dir=/w/oxford102")
