"""Requests and answers that are wrong: one line each, and no retry."""

import numpy as np
import pytest

from stackgan_tf import serving
from stackgan_tf.errors import UserError
from stackgan_tf.remote import RemoteArtist
from tests.serving.test_client import PROTOCOLS, SENTENCES, connect, remote


def embeddings(rows=2, size=16, dtype=np.float32, value=0.5):
    return np.full((rows, size), value, dtype)


def noised(rows):
    """What the signature `png` is asked."""
    return {
        "text_embedding": embeddings(rows),
        "seed": np.zeros(rows, np.int64),
        "truncation": np.ones(rows, np.float32),
    }


def each(change):
    """Of every output's files."""
    return lambda outputs: {name: np.array(change(files), object) for name, files in outputs.items()}


@pytest.mark.parametrize(
    "model, asked, message",
    [
        ("flowers", embeddings(size=7), r"text embeddings of shape \(2, 7\): must be \(N, 16\)"),
        ("flowers", embeddings(rows=0), r"of shape \(0, 16\)"),
        ("flowers", embeddings()[0], r"of shape \(16,\)"),
        ("flowers", embeddings(dtype=np.int64), "must be finite floating-point numbers"),
        ("flowers", embeddings(value=np.nan), "must be finite floating-point numbers"),
        ("flowers", embeddings(dtype=np.float64, value=1e300), "must be finite floating-point numbers"),
        ("flowers", ["a red circle", " "], "the sentence ' ' has no word"),
        ("flowers", 2, "--text: what shall be drawn"),
        ("patterns", ["a red circle"], "--model=patterns draws without text; give --num only"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_sent(server, model, asked, message):
    far = remote(server, "rest", model)
    server.asked = 0
    with pytest.raises(UserError, match=message):
        far(asked)
    assert server.asked == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "inputs, message",
    [
        ({"text_embedding": embeddings(size=7)}, r"\(2, 7\)"),
        ({"seed": np.full(2, 0.5, np.float32)}, "int64"),
        ({"seed": np.zeros(3, np.int64)}, "equal 0th-dimension"),
        ({"seed": None}, "seed"),
        (noised(17), "Task size 17 is larger than maximum input batch size 16"),
    ],
)
def test_what_the_server_refuses_is_one_line_and_no_retry(server, protocol, inputs, message):
    asked = connect(server, protocol)
    signature = asked.signatures()["png"]
    assert len(asked.png_files(signature, noised(2))["image_16_bytes"]) == 2
    server.asked = 0
    with pytest.raises(UserError, match=f"--model=flowers at .*: (invalid argument|HTTP 400): .*{message}"):
        asked.png_files(signature, {n: v for n, v in (noised(2) | inputs).items() if v is not None})
    assert server.asked <= 1


def test_too_many_rows_for_a_server_go_in_several_requests(server):
    far = remote(server, "grpc")
    assert len(far(["a red circle"] * 17)[16]) == 17
    with pytest.raises(UserError, match="invalid argument: Task size 17 is larger than maximum input batch size 16"):
        far(["a red circle"] * 17, batch_size=17)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "spoil, message",
    [
        (each(lambda files: [b"a picture"] * len(files)), "not a PNG file"),
        (each(lambda files: [file[:60] for file in files]), "not a PNG file"),
        (lambda files: dict.fromkeys(files, files["image_8_bytes"]), "not a PNG file of 16 pixels"),
        (each(lambda files: files[:1]), "other pictures than were asked"),
        (lambda files: {"image_bytes": files["image_8_bytes"], "more_bytes": files["image_8_bytes"]}, "other pictures"),
    ],
)
def test_answers_that_are_no_pictures(server, protocol, spoil, message):
    far = remote(server, protocol)
    server.spoil = spoil
    with pytest.raises(UserError, match=f"--host=127.0.0.1:.*{message}"):
        far(SENTENCES)


@pytest.mark.parametrize(
    "body, message",
    [
        (b"<html>a web site</html>", "answered HTTP 200 without a JSON object; is it the REST port"),
        (b"[" * 10**5, "without a JSON object"),
        (b'["\xff"]', "without a JSON object"),
        (b'{"outputs": {"image_8_bytes": ["%"]}}', "without PNG files in base64"),
        (b'{"outputs": {"image_8_bytes": [{"b64": "%"}]}}', "without PNG files in base64"),
        (b'{"predictions": []}', "without PNG files in base64"),
        (b'{"outputs": []}', "without PNG files in base64"),
    ],
)
def test_answers_that_are_no_rest(server, body, message):
    far = remote(server, "rest")
    server.body = body
    with pytest.raises(UserError, match=message):
        far(SENTENCES)
    with pytest.raises(UserError, match="without a JSON object|does not describe its model as TensorFlow Serving does"):
        remote(server, "rest")


def test_rest_gives_a_single_output_without_its_name(server):
    far = remote(server, "rest")
    server.spoil = lambda files: {"image_16_bytes": files["image_16_bytes"]}
    with pytest.raises(UserError, match="without PNG files"):
        far(SENTENCES)  # which of two outputs is it?
    far._signatures["png_from_text"].outputs[:] = ["image_16_bytes"]
    assert list(far(SENTENCES)) == [16]


def test_a_model_of_another_kind_is_refused(server):
    foreign = connect(server, "rest")
    foreign.signatures = lambda: {"serving_default": serving.Signature("serving_default", {"x": (-1,)}, ["y"])}
    with pytest.raises(UserError, match="--model=flowers: has no signature 'png', as the models of stackgan_tf.export"):
        RemoteArtist(foreign)


def test_a_model_that_cannot_read_wants_embeddings(server, artists):
    far = remote(server, "rest")
    del far._signatures["png_from_text"]  # as of an encoder that is no graph
    with pytest.raises(UserError, match="--text: --model=flowers cannot read sentences itself; give --embeddings"):
        far(SENTENCES)
    assert len(far(artists["flowers"].encoder.encode(SENTENCES))[16]) == 3
