"""A SavedModel as TensorFlow Serving loads it."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.framework.types_pb2 import DT_BFLOAT16, DT_FLOAT, DT_HALF
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework import op_def_registry

from stackgan_tf import noise
from stackgan_tf.exporting import parity, saved_model
from tests.conftest import tiny_config
from tests.exporting.jobs import KINDS, job_of
from tests.serving.served_model import Version
from tests.text.test_char_cnn_rnn import save_encoder

SENTENCES = ["a red circle", "Ein blaues Quadrat, GRÖSSER als der Kreis", "", "of the"]


def write(job, folder):
    folder.mkdir()
    saved_model.write(job, folder)
    return folder


def asked(job, seeds, truncation=1.0):
    text = {"text_embedding": job.embeddings[: len(seeds)]} if job.artist.encoder else {}
    return text | {"seed": np.array(seeds, np.int64), "truncation": np.full(len(seeds), truncation, np.float32)}


def pictures(files):
    return np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_server_draws_is_what_the_run_draws(kind, tmp_path):
    """One export for all of it: exporting is what takes the time."""
    job = job_of(tmp_path / "run", KINDS[kind])
    folder = write(job, tmp_path / "1")
    server = Version(folder, max_batch_size=8)
    drawn = server.predict("with_noise", dict(job.compared) | {"truncation": np.ones(8, np.float32)})
    assert parity.differences(drawn, job.expected)[0] <= 1e-5
    off = {name: image + 1e-4 for name, image in drawn.items()}
    assert parity.differences(off, job.expected)[0] > 1e-5, "the difference is one"

    seeds = [3, -1, 2**62]
    together = server.predict("serving_default", asked(job, seeds))
    assert set(together) == {f"image_{side}" for side in job.artist.scales}
    alone = {name: rows[1:2] for name, rows in asked(job, seeds).items()}
    other = server.predict("serving_default", alone | {"seed": np.array([0], np.int64)})
    for name, images in server.predict("serving_default", alone).items():
        assert images.dtype == np.float32 and np.abs(images).max() <= 1
        np.testing.assert_allclose(images[0], together[name][1], atol=1e-5)
        assert np.abs(images - other[name]).max() > 1e-2, "of another seed another picture"

    ours = job.artist(job.embeddings[:3] if job.artist.encoder else 3, seed=4, truncation=0.5)
    for name, files in server.predict("png", asked(job, noise.row_seeds(4, range(3)), 0.5)).items():
        side = int(name.removeprefix("image_").removesuffix("_bytes"))
        np.testing.assert_allclose(pictures(files).astype(int), ours[side], atol=1)
    server.close()
    holds_nothing_but_tensorflow(folder)
    says_what_goes_in_and_what_comes_out(folder, job, server.signatures)


def holds_nothing_but_tensorflow(folder):
    (graph,) = SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs
    library = graph.graph_def.library.function
    operations = {node.op for function in library for node in function.node_def}
    operations |= {node.op for node in graph.graph_def.node}
    assert "Conv2D" in operations
    assert not {name for name in operations if "Py" in name}
    functions = {function.signature.name for function in library}
    assert not [name for name in operations - functions if op_def_registry.get(name) is None]
    types = {node.attr["T"].type for function in library for node in function.node_def}
    assert DT_FLOAT in types and not types & {DT_HALF, DT_BFLOAT16}
    kinds = {node.user_object.identifier for node in graph.object_graph_def.nodes if node.HasField("user_object")}
    assert not any("keras" in kind for kind in kinds), kinds


def says_what_goes_in_and_what_comes_out(folder, job, signatures):
    card = json.loads((folder / "model_card.json").read_text())
    assert set(card["signatures"]) == set(signatures) - {"__saved_model_init_op"}
    for name, sides in card["signatures"].items():
        for side, told in sides.items():
            tensors = getattr(signatures[name], side)
            shapes = {key: tf.TensorShape(tensor.tensor_shape).as_list() for key, tensor in tensors.items()}
            assert {key: value["shape"] for key, value in told.items()} == shapes
            assert all(told[key]["dtype"] == tf.as_dtype(tensor.dtype).name for key, tensor in tensors.items())
            assert all(value["what"] for value in told.values())
    assert card["step"] == 1 and card["scales"] == list(job.artist.scales)
    assert card["licence_of_the_weights"].startswith("not stated")


def test_figures_go_into_the_card(tmp_path):
    job = job_of(tmp_path / "run", tiny_config(), licence="CC BY 4.0")
    (job.run_dir / "evaluation").mkdir(parents=True)
    figures = [
        {"name": "fid30k", "value": 12.5, "error": None, "weights": "ema"},
        {"name": "fid30k", "value": 99.0, "error": None, "weights": "live"},
    ]
    (job.run_dir / "evaluation/1.json").write_text(json.dumps({"step": 1, "figures": figures}))
    card = job.card({})
    assert card["metrics"] == {"fid30k": {"value": 12.5, "error": None}}
    assert card["licence_of_the_weights"] == "CC BY 4.0"


@pytest.mark.parametrize("encoder", ["hashing", "char_cnn_rnn"])
def test_a_sentence_in_and_pictures_out(encoder, tmp_path):
    """The embedding of the graph is that of the encoder, empty sentences and non-ASCII letters included."""
    data = {"text_encoder": encoder, "text_size": 16}
    if encoder == "char_cnn_rnn":
        save_encoder(tmp_path)
        data |= {"text_path": str(tmp_path), "text_size": 12}
    job = job_of(tmp_path / "run", tiny_config(data=data))
    version = Version(write(job, tmp_path / "1"), max_batch_size=8)
    row = {"seed": np.arange(4), "truncation": np.ones(4, np.float32)}
    text = np.array([sentence.encode() for sentence in SENTENCES], object)
    embedded = job.artist.encoder.encode(SENTENCES)
    drawn = version.predict("from_text", {"text": text} | row)
    for name, images in version.predict("serving_default", {"text_embedding": embedded} | row).items():
        np.testing.assert_allclose(drawn[name], images, atol=1e-5)
    wrong = version.predict("serving_default", {"text_embedding": embedded[::-1].copy()} | row)
    assert np.abs(wrong[name] - drawn[name]).max() > 1e-3, "the words are heard"
    for name, files in version.predict("png_from_text", {"text": text} | row).items():
        levels = np.rint((drawn[name.removesuffix("_bytes")] + 1) * 127.5)
        np.testing.assert_allclose(pictures(files), levels, atol=1)
    version.close()


def test_an_encoder_that_is_no_graph_has_no_from_text(tmp_path):
    np.savez(tmp_path / "table.npz", sentences=SENTENCES[:1], embeddings=np.ones((1, 16), np.float32))
    data = {"text_encoder": "precomputed", "text_path": str(tmp_path / "table.npz")}
    job = job_of(tmp_path / "run", tiny_config(data=data))
    assert set(job.signatures.served()) == {"serving_default", "with_noise", "png"}
