"""Pictures from a server: the run's own by both protocols, from a server that is slow, busy or not there."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from stackgan_tf import serving
from stackgan_tf.errors import UserError
from stackgan_tf.remote import RemoteArtist

SENTENCES = ["a red circle", "a blue box", "a green triangle"]
PROTOCOLS = ["grpc", "rest"]


def connect(server, protocol, model="flowers", deadline_seconds=20, **which):
    address = serving.Address(f"127.0.0.1:{server.ports[protocol]}", model, **which)
    return serving.connect(protocol, address, deadline_seconds)


def remote(server, protocol, *args, **kwargs):
    return RemoteArtist(connect(server, protocol, *args, **kwargs))


def client(*flags):
    command = [sys.executable, "-m", "stackgan_tf.client", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def assert_same_pictures(ours, theirs):
    """To a level of 256: the sums of a batch of another size are rounded otherwise."""
    assert list(ours) == list(theirs)
    for a, b in zip(ours.values(), theirs.values(), strict=True):
        assert a.dtype == b.dtype == np.uint8
        np.testing.assert_allclose(a.astype(int), b, atol=1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_draws_what_the_run_draws(server, artists, protocol):
    far, near = remote(server, protocol), artists["flowers"]
    drawn = far(SENTENCES, seed=3, batch_size=2)
    assert_same_pictures(drawn, near(SENTENCES, seed=3))
    assert_same_pictures(far(near.encoder.encode(SENTENCES), seed=3), drawn)
    for other in (far(SENTENCES, seed=4), far(SENTENCES[::-1], seed=3), far(SENTENCES, seed=3, truncation=0.5)):
        assert np.abs(other[16].astype(int) - drawn[16]).max() > 5, "seed, sentence and truncation count"
    assert_same_pictures(far(SENTENCES, seed=3, truncation=0), far(SENTENCES, seed=4, truncation=0))
    patterns = remote(server, protocol, "patterns")
    assert_same_pictures(patterns(3, seed=5), artists["patterns"](3, seed=5))


def test_the_protocols_agree_to_the_bit(server):
    by_grpc, by_rest = (remote(server, protocol)(SENTENCES, seed=2**32 - 1, truncation=0.7) for protocol in PROTOCOLS)
    for side in by_grpc:
        np.testing.assert_array_equal(by_grpc[side], by_rest[side])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_version_or_a_label_is_asked_for(server, protocol):
    newest = remote(server, protocol)(SENTENCES)
    assert_same_pictures(remote(server, protocol, version=1)(SENTENCES), newest)
    assert_same_pictures(remote(server, protocol, label="stable")(SENTENCES), newest)


def test_32_clients_at_once_get_their_own_pictures(server, artists):
    version = server.models["flowers"].current
    version.batches.clear()

    def ask(i):
        return remote(server, PROTOCOLS[i % 2])([SENTENCES[i % 3]], seed=i)

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(32)))
    for i, answer in enumerate(answers):
        assert_same_pictures(answer, artists["flowers"](SENTENCES[i % 3], seed=i))
    assert len({answer[16].tobytes() for answer in answers}) == 32
    assert sum(version.batches) == 32 and max(version.batches) > 1, "requests came together in batches"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_is_busy_is_asked_again(server, protocol):
    far = remote(server, protocol)
    server.asked, server.failures = 0, 3
    assert far(SENTENCES[:1])[16].shape == (1, 16, 16, 3)
    assert server.asked == 4


class Clock:
    """Time that passes in pauses only, however busy the machine is."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_retries_end_at_the_deadline(server, protocol, monkeypatch):
    clock, limits = Clock(), []
    far = remote(server, protocol)
    monkeypatch.setattr(serving, "time", clock)
    monkeypatch.setattr(serving.random, "uniform", lambda _, longest: limits.append(longest) or 8.0)
    server.failures = 10**6
    with pytest.raises(UserError, match=r"cannot answer: .*queue .* is full.*\(asked 3 times in 20 seconds\)"):
        far(SENTENCES)
    assert clock.now == 16 and limits == [0.1, 0.2, 0.4], "a third pause would have gone past the deadline"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_that_does_not_come_ends_at_the_deadline(server, protocol):
    far = remote(server, protocol)
    far._server._deadline, server.delay = 1, 2.0
    with pytest.raises(UserError, match="--deadline_seconds=1: .* has not answered in time"):
        far(SENTENCES)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_is_not_there(server, protocol):
    address = serving.Address("127.0.0.1:1", "flowers")
    with pytest.raises(UserError, match="--host=127.0.0.1:1: cannot answer: .*refused"):
        RemoteArtist(serving.connect(protocol, address, 0.5))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "which, message",
    [
        ({"model": "weeds"}, "--model=weeds at .*: (not found|HTTP 404): Servable not found for request: Latest"),
        ({"version": 9}, "--model=flowers --version=9 at .*: (not found|HTTP 404): Servable not found .*9"),
        ({"label": "canary"}, "--label=canary at .*: (invalid argument|HTTP 400): Unrecognized servable version label"),
    ],
)
def test_a_model_that_is_not_there_is_asked_for_once(server, protocol, which, message):
    server.asked = 0
    with pytest.raises(UserError, match=message):
        remote(server, protocol, **which)
    assert server.asked == 1


@pytest.mark.parametrize(
    "values, message",
    [
        ({"host": "http://localhost"}, "--host=http://localhost: must be HOST or HOST:PORT"),
        ({"host": "localhost:99999"}, "must be HOST or HOST:PORT"),
        ({"host": "localhost:"}, "must be HOST or HOST:PORT"),
        ({"model": "a/b"}, "--model='a/b': must be a name"),
        ({"model": "\udcff"}, "must be a name"),
        ({"label": "a b"}, "--label='a b': must be of letters"),
        ({"label": "stable", "version": 1}, "--version, --label: give one of the two"),
    ],
)
def test_addresses_that_cannot_be(values, message):
    with pytest.raises(UserError, match=message):
        serving.Address(**{"host": "localhost", "model": "flowers"} | values)


def test_addresses_without_a_port_get_that_of_the_protocol():
    places = {host: serving.Address(host, "flowers").place(8500) for host in ("localhost", "[::1]", "[::1]:9", "a.b:9")}
    assert list(places.values()) == ["localhost:8500", "[::1]:8500", "[::1]:9", "a.b:9"]


def test_without_tensorflow_serving_grpc_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "stackgan_tf.serving.grpc", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis.predict_pb2", None)
    with pytest.raises(UserError, match=r'pip install "stackgan_tf\[serving\]"'):
        serving.connect("grpc", serving.Address("localhost", "flowers"))
    with pytest.raises(UserError, match="--protocol=soap: unknown; choose from grpc, rest"):
        serving.connect("soap", serving.Address("localhost", "flowers"))


def test_the_program_leaves_a_picture_by_either_protocol(server, tmp_path):
    common = ["--model=flowers", "--text=a red circle", "--text=a blue box", "--num=2", "--seed=3"]
    for protocol in PROTOCOLS:
        out, host = tmp_path / f"{protocol}.png", f"127.0.0.1:{server.ports[protocol]}"
        result = client(f"--host={host}", f"--protocol={protocol}", f"--out={out}", *common)
        assert result.returncode == 0, result.stderr
        assert result.stdout == f"{out}: 4 pictures at 8, 16 pixels\n"
    assert Image.open(out).size[0] > 200
    np.testing.assert_array_equal(*(np.asarray(Image.open(tmp_path / f"{protocol}.png")) for protocol in PROTOCOLS))


def test_the_program_refuses_in_one_line_and_leaves_nothing(server, tmp_path):
    host = f"--host=127.0.0.1:{server.ports['rest']}"
    out = f"--out={tmp_path / 'pictures.png'}"
    cases = [
        ([host, "--model=weeds", "--text=a"], "--model=weeds at .*: HTTP 404"),
        ([host, "--model=flowers"], "--text: what shall be drawn?"),
        ([host, "--model=flowers", "--truncation=nan"], "truncation=nan: must be from 0 to 1"),
        ([host, "--model=flowers", "--deadline_seconds=nan"], "--deadline_seconds=nan: must be above 0"),
    ]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda case: client("--protocol=rest", out, *case[0]), cases))
    for result, (_, message) in zip(results, cases, strict=True):
        assert result.returncode == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: ") and re.search(message, line), line
    assert not list(tmp_path.iterdir())


def test_rest_needs_no_tensorflow():
    code = "import sys, stackgan_tf.client, stackgan_tf.serving.rest; print({'tensorflow', 'grpc'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
