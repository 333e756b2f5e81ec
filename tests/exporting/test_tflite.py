"""A .tflite as a device runs it."""

import json
import subprocess
import sys
import zipfile

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from flatbuffers.table import Table

from stackgan_tf.errors import UserError
from stackgan_tf.exporting import QUANTIZED, int8, parity, tflite
from stackgan_tf.on_device import OnDevice
from tests.conftest import tiny_config
from tests.exporting.jobs import KINDS, job_of
from tests.text.test_char_cnn_rnn import save_encoder

SENTENCES = ["a red circle", "Ein blaues Quadrat, GRÖSSER als der Kreis"]
ALL = ("none", "float16", "dynamic", "int8")


def operations(file):
    model = flatbuffer_utils.read_model(str(file))
    return {flatbuffer_utils.opcode_to_name(model, i) for i in range(len(model.operatorCodes))}


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_draws_what_the_run_draws(kind, tmp_path):
    job = job_of(tmp_path / "run", KINDS[kind])
    tflite.write(job, tmp_path)
    assert not [name for name in operations(tmp_path / "float32.tflite") if name is None or "Flex" in name]
    asked = job.embeddings[:3] if job.artist.encoder else 3
    ours = job.artist(asked, seed=4, truncation=0.7)
    for name in ("float32", "float32_batch1"):
        theirs = OnDevice(tmp_path / f"{name}.tflite")(asked, seed=4, truncation=0.7)
        assert list(theirs) == list(ours)
        for side, images in theirs.items():
            np.testing.assert_allclose(images.astype(int), ours[side], atol=1)
    other = OnDevice(tmp_path / "float32.tflite")(asked, seed=5, truncation=0.7)
    assert np.abs(other[side].astype(int) - ours[side]).max() > 8

    run = Interpreter(str(tmp_path / "float32.tflite")).get_signature_runner()
    together = run(**job.compared)
    assert parity.differences(together, job.expected)[0] <= 1e-4, "eight rows at once"
    run = Interpreter(str(tmp_path / "float32_batch1.tflite")).get_signature_runner()
    assert all(told["shape_signature"][0] == 1 for told in run.get_input_details().values())


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    save_encoder(folder)
    data = {"text_encoder": "char_cnn_rnn", "text_path": str(folder), "text_size": 12}
    config = tiny_config(data=data)
    return job_of(folder / "run", config, quantize=ALL, licence="CC BY 4.0")


@pytest.fixture(scope="module")
def folder(job, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tflite")
    tflite.write(job, folder)
    return folder


def test_quantised_files_are_smaller_and_near(job, folder):
    found = {row.file: row for row in tflite.compare(job, folder)}
    generators = [f"{name}{batch}.tflite" for name in QUANTIZED.values() for batch in ("", "_batch1")]
    assert list(found) == [*generators, "text_encoder.tflite"]
    assert found.pop("text_encoder.tflite").largest_difference < 1e-5
    worst = {name: min(row.psnr.values()) for name, row in found.items()}
    assert worst["float32.tflite"] > 100 > worst["float16.tflite"] > 50
    assert worst["dynamic.tflite"] > 30 and worst["int8.tflite"] > 25
    for name in QUANTIZED.values():
        assert worst[f"{name}.tflite"] == pytest.approx(worst[f"{name}_batch1.tflite"], abs=0.1)
        assert not [op for op in operations(folder / f"{name}.tflite") if op is None or "Flex" in op]
    weights = {name: found[f"{name}.tflite"].largest_difference for name in QUANTIZED.values()}
    assert weights["float32"] < weights["float16"] < weights["int8"]
    assert all(row.milliseconds[str(threads)] > 0 for row in found.values() for threads in parity.THREADS)
    table = parity.table(list(found.values()))
    assert table.count("\n") == 9 and "int8_batch1.tflite" in table
    assert json.loads(parity.dumped(list(found.values())))[0]["file"] == "float32.tflite"


def test_int8_computes_in_int8(folder):
    kinds = {}
    for name in ("int8", "dynamic", "float32"):
        graph = flatbuffer_utils.read_model(str(folder / f"{name}.tflite")).subgraphs[0]
        kinds[name] = {flatbuffer_utils.type_to_name(graph.tensors[op.outputs[0]].type) for op in graph.operators}
    assert "INT8" in kinds["int8"] and "INT8" not in kinds["dynamic"] | kinds["float32"]
    details = Interpreter(str(folder / "int8.tflite")).get_signature_runner().get_input_details()
    assert {told["dtype"] for told in details.values()} == {np.float32}


def test_one_wild_example_does_not_spoil_int8(job, folder, tmp_path, monkeypatch):
    examples = {name: rows.copy() for name, rows in job.calibration.items()}
    examples["noise"][7] *= 100
    saved = str(tmp_path / "saved")
    tf.saved_model.save(job.signatures.variables, saved, job.signatures.on_device())

    def psnr():
        (tmp_path / "int8.tflite").write_bytes(int8.converted(saved, examples))
        return min(parity.of_tflite(tmp_path / "int8.tflite", job).psnr.values())

    with_quantiles = psnr()
    monkeypatch.setattr(int8, "COVERED", 1.0)
    assert with_quantiles > psnr() + 3


def test_the_text_encoder_is_a_file_of_its_own(job, folder):
    ours, theirs = job.artist(SENTENCES, seed=1), OnDevice(folder / "float32.tflite")(SENTENCES, seed=1)
    for side, images in theirs.items():
        np.testing.assert_allclose(images.astype(int), ours[side], atol=1)
    np.testing.assert_allclose(
        OnDevice(folder / "float32.tflite").encoder.encode(SENTENCES), job.artist.encoder.encode(SENTENCES), atol=1e-5
    )


def strings(table, slot):
    """What a field of a FlatBuffers table holds: a string."""
    return table.String(table.Pos + table.Offset(4 + 2 * slot)).decode()


def tables(table, slot):
    offset = table.Offset(4 + 2 * slot)
    start = table.Vector(offset)
    places = (start + 4 * i for i in range(table.VectorLen(offset)))
    return [Table(table.Bytes, table.Indirect(place)) for place in places]


def test_names_and_ranges_are_in_the_file(folder):
    """Read by the field numbers of the published schema."""
    model = flatbuffer_utils.read_model(str(folder / "float16.tflite"))
    (entry,) = (entry for entry in model.metadata if entry.name == b"TFLITE_METADATA")
    data = bytes(model.buffers[entry.buffer].data)
    assert data[4:8] == b"M001"
    root = Table(bytearray(data), flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))
    assert strings(root, 0) == "run" and strings(root, 5) == "CC BY 4.0"
    (graph,) = tables(root, 3)
    names = {name.tensorIndex: name.name.decode() for name in model.signatureDefs[0].outputs}
    assert [strings(told, 0) for told in tables(graph, 3)] == [names[i] for i in model.subgraphs[0].outputs]
    assert {strings(told, 0) for told in tables(graph, 2)} == {"text_embedding", "noise", "eps"}
    for told in tables(graph, 3):
        stats = Table(told.Bytes, told.Indirect(told.Pos + told.Offset(4 + 2 * 5)))
        bounds = [
            stats.Get(flatbuffers.number_types.Float32Flags, stats.Vector(stats.Offset(4 + 2 * i))) for i in (0, 1)
        ]
        assert bounds == [1.0, -1.0], "max, min"
    with zipfile.ZipFile(folder / "float16.tflite") as archive:
        card = json.loads(archive.read("model_card.json"))
    assert card == json.loads((folder / "model_card.json").read_text())


def test_sample_draws_with_it_and_never_imports_tensorflow(job, folder, tmp_path):
    out = tmp_path / "picture.png"
    flags = [f"--tflite={folder / 'float32_batch1.tflite'}", f"--text={SENTENCES[0]}", f"--out={out}"]
    code = f"""
import sys
from stackgan_tf import sample
sample.FLAGS(["sample", *{flags!r}])
assert sample.main() == 0
print([name for name in ("tensorflow", "keras", "torch", "jax") if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]" and out.is_file()


@pytest.mark.parametrize("content", [b"", b"TFL3" * 20])
def test_what_is_no_generator_is_refused(content, tmp_path):
    (tmp_path / "broken.tflite").write_bytes(content)
    with pytest.raises(UserError, match="broken.tflite"):
        OnDevice(tmp_path / "broken.tflite")
    with pytest.raises(UserError, match="missing.tflite"):
        OnDevice(tmp_path / "missing.tflite")


def test_a_text_encoder_is_no_generator(folder):
    with pytest.raises(UserError, match="text_encoder.tflite: no model_card.json in it"):
        OnDevice(folder / "text_encoder.tflite")


def test_a_file_of_another_version_is_refused(folder, tmp_path):
    whole = (folder / "float32.tflite").read_bytes()
    with zipfile.ZipFile(folder / "float32.tflite") as archive:
        start = min(info.header_offset for info in archive.infolist())
        card = json.loads(archive.read("model_card.json"))
    (tmp_path / "new.tflite").write_bytes(whole[:start])
    with zipfile.ZipFile(tmp_path / "new.tflite", "a") as archive:
        archive.writestr("model_card.json", json.dumps(card | {"format": 2}))
    with pytest.raises(UserError, match=r"new.tflite: is of another version of stackgan_tf \(format 2, not 1\)"):
        OnDevice(tmp_path / "new.tflite")


def test_an_encoder_that_no_device_runs_wants_embeddings(tmp_path):
    np.savez(tmp_path / "table.npz", sentences=SENTENCES[:1], embeddings=np.ones((1, 16), np.float32))
    job = job_of(
        tmp_path / "run", tiny_config(data={"text_encoder": "precomputed", "text_path": str(tmp_path / "table.npz")})
    )
    tflite.write(job, tmp_path)
    artist = OnDevice(tmp_path / "float32.tflite")
    with pytest.raises(UserError, match="precomputed, does not run without TensorFlow.*--embeddings"):
        artist("a red circle")
    assert artist(job.embeddings[:2])[16].shape == (2, 16, 16, 3)
