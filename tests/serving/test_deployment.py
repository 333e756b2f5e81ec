"""What an operator relies on: versions that come and go under load, warm-up, and the files of export/tf_serving."""

import inspect
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
import tensorflow as tf
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from grpc import insecure_channel
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from stackgan_tf import serving
from stackgan_tf.exporting import model_folder, saved_model
from stackgan_tf.remote import RemoteArtist
from stackgan_tf.serving import grpc as by_grpc
from stackgan_tf.serving import rest as by_rest
from tests.serving.loopback import Server
from tests.serving.served_model import Refused, Version
from tests.serving.test_client import assert_same_pictures, remote

FOLDER = Path(__file__).parents[2] / "export/tf_serving"


@pytest.fixture(scope="module")
def light(models, tmp_path_factory):
    """A version that is soon warm: one request of its five."""
    version = shutil.copytree(models / "flowers/1", tmp_path_factory.mktemp("light") / "1")
    rewrite_warm_up(version, [log for log in warm_up(version) if signature_of(log) == "png_from_text"])
    return version


@pytest.fixture(scope="module")
def changing(light, tmp_path_factory):
    """A server whose versions these tests change."""
    models = tmp_path_factory.mktemp("changing")
    publish(light, models / "flowers")
    with Server(models) as server:
        yield server


def publish(source, model):
    """A copy as the next version, as `stackgan_tf.export` publishes one."""
    with model_folder.new_version(model, ["saved_model"]) as made:
        shutil.copytree(source, made["saved_model"], dirs_exist_ok=True)


def warm_up(version):
    records = tf.data.TFRecordDataset(str(version / saved_model.WARM_UP))
    return [PredictionLog.FromString(record) for record in records.as_numpy_iterator()]


def rewrite_warm_up(version, logs):
    with tf.io.TFRecordWriter(str(version / saved_model.WARM_UP)) as records:
        for log in logs:
            records.write(log.SerializeToString())


def signature_of(log):
    return log.predict_log.request.model_spec.signature_name


def wait_for(happened, seconds=30):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.02)


def states(server):
    """Of the versions of `flowers`, by its status."""
    stub = ModelServiceStub(insecure_channel(f"127.0.0.1:{server.ports['grpc']}"))
    found = stub.GetModelStatus(GetModelStatusRequest(model_spec=ModelSpec(name="flowers"))).model_version_status
    return {one.version: type(one).State.Name(one.state) for one in found}


def test_versions_change_under_load_and_no_request_fails(changing, light, artists):
    model, done = changing.models["flowers"], threading.Event()
    first = model.current
    asked = dict(enumerate(["a red circle", "a blue box", "a green triangle", "a red box"]))

    def keep_asking(i):
        far, answers = remote(changing, ["grpc", "rest"][i % 2]), []
        while not done.is_set():
            answers.append(far([asked[i]], seed=i))
        return answers

    with ThreadPoolExecutor(len(asked)) as pool:
        asking = [pool.submit(keep_asking, i) for i in asked]
        for _ in range(2):
            number = model.current.number
            publish(light, model.folder)
            wait_for(lambda number=number: model.current.number > number and model.current.batches)
        done.set()
        answers = [future.result() for future in asking]
    wait_for(lambda: model.past[-2:] == [first.number, first.number + 1])
    assert not model.failed and not changing.refused
    for i, pictures in enumerate(answers):
        right = artists["flowers"](asked[i], seed=i)
        assert len(pictures) > 1
        for picture in pictures:
            assert_same_pictures(picture, right)


def test_a_request_in_flight_ends_with_the_version_it_began_with(changing, light, monkeypatch):
    model = changing.models["flowers"]
    before, started = model.current, threading.Event()
    run = before._run

    def slow(*args):
        started.set()
        wait_for(lambda: model.current is not before)
        assert not before.closed
        return run(*args)

    monkeypatch.setattr(before._batchers["png_from_text"], "_run", slow)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(remote(changing, "grpc"), ["a red circle"])
        started.wait(10)
        publish(light, model.folder)
        assert asking.result()[16].shape == (1, 16, 16, 3)
    wait_for(lambda: before.closed)
    assert not model.current.batches, "it was the old version that answered"


def test_a_version_made_in_its_place_is_seen_half(changing, light):
    """What `new_version` avoids: the server comes by while the files are being written."""
    model = changing.models["flowers"]
    served = model.current.number
    half = model.folder / str(served + 1)
    half.mkdir()
    shutil.copy(light / "saved_model.pb", half)
    wait_for(lambda: model.failed)
    shutil.copytree(light, half, dirs_exist_ok=True)
    assert remote(changing, "grpc")(["a red circle"])[16].shape == (1, 16, 16, 3)
    assert states(changing) == {served: "AVAILABLE", served + 1: "END"}


def test_warm_up_asks_every_signature_and_a_wrong_request_keeps_the_version_out(models, tmp_path):
    version = shutil.copytree(models / "flowers/1", tmp_path / "1")
    log, *others = warm_up(version)
    card = json.loads((version / "model_card.json").read_text())
    assert sorted(map(signature_of, [log, *others])) == sorted(card["signatures"])
    log.predict_log.request.inputs["seed"].CopyFrom(tf.make_tensor_proto(np.zeros(1, np.float32)))
    rewrite_warm_up(version, [log])
    with pytest.raises(Refused, match="Expects seed to be int64 but float32 is provided"):
        Version(version, max_batch_size=16)


@pytest.mark.slow
def test_saved_model_cli_runs_it(models, artists, tmp_path):
    inputs = {"text_embedding": np.ones((1, 16), np.float32), "seed": [3], "truncation": np.ones(1, np.float32)}
    for name, rows in inputs.items():
        np.save(tmp_path / f"{name}.npy", rows)
    command = [Path(sys.executable).with_name("saved_model_cli"), "run", "--tag_set=serve", f"--outdir={tmp_path}"]
    command += [f"--dir={models / 'flowers/1'}", "--signature_def=serving_default"]
    command += ["--inputs=" + ";".join(f"{name}={tmp_path / name}.npy" for name in inputs)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    drawn = artists["flowers"](inputs["text_embedding"], seed=3)[16]
    np.testing.assert_allclose((np.load(tmp_path / "image_16.npy") + 1) * 127.5, drawn, atol=1)


def message_of(name, **fields):
    """A protocol buffer that tensorflow-serving-api does not bring, by its published field numbers."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="tensorflow.serving", syntax="proto3")
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    message, kinds = file.message_type.add(name=name), descriptor_pb2.FieldDescriptorProto
    for number, (field, kind) in enumerate(fields.items(), start=1):
        added = message.field.add(name=field, number=number, label=kinds.LABEL_OPTIONAL)
        if kind.startswith("repeated "):
            added.label = kinds.LABEL_REPEATED
        if "." in kind:
            added.type, added.type_name = kinds.TYPE_MESSAGE, kind
        else:
            added.type = kinds.Type.Value(f"TYPE_{kind.split()[-1].upper()}")
    POOL.Add(file)
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"tensorflow.serving.{name}"))


POOL = descriptor_pool.DescriptorPool()
POOL.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
INT64 = ".google.protobuf.Int64Value"
# tensorflow_serving/servables/tensorflow/session_bundle_config.proto
BatchingParameters = message_of(
    "BatchingParameters",
    max_batch_size=INT64,
    batch_timeout_micros=INT64,
    max_enqueued_batches=INT64,
    num_batch_threads=INT64,
    thread_pool_name=".google.protobuf.StringValue",
    allowed_batch_sizes="repeated int64",
    pad_variable_length_inputs="bool",
    enable_large_batch_splitting=".google.protobuf.BoolValue",
    max_execution_batch_size=INT64,
)
# tensorflow_serving/config/monitoring_config.proto
PrometheusConfig = message_of("PrometheusConfig", enable="bool", path="string")
MonitoringConfig = message_of("MonitoringConfig", prometheus_config=".tensorflow.serving.PrometheusConfig")


def config(name, message):
    return text_format.Parse((FOLDER / name).read_text(), message())


@pytest.mark.parametrize(
    "name, message, field",
    [
        ("models.config", ModelServerConfig, "model_version_policy"),
        ("batching.config", BatchingParameters, "max_batch_size"),
        ("monitoring.config", MonitoringConfig, "prometheus_config"),
    ],
)
def test_the_config_files_are_what_the_server_reads(name, message, field):
    text = (FOLDER / name).read_text()
    text_format.Parse(text, message())
    with pytest.raises(text_format.ParseError):
        text_format.Parse(text.replace(field, f"{field}s"), message())


def test_the_config_files_agree():
    (model,) = config("models.config", ModelServerConfig).model_config_list.config
    assert Path(model.base_path).name == model.name
    assert set(model.version_labels.values()) <= set(model.model_version_policy.specific.versions)
    batching = config("batching.config", BatchingParameters)
    sizes = list(batching.allowed_batch_sizes)
    assert sizes == sorted(sizes) and sizes[-1] == batching.max_batch_size.value
    assert inspect.signature(RemoteArtist.__call__).parameters["batch_size"].default <= sizes[-1]
    assert config("monitoring.config", MonitoringConfig).prometheus_config.enable


def compose():
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["serving"]


def test_compose_mounts_what_is_there_and_opens_the_ports_of_the_client():
    service = compose()
    mounts = {mount["target"]: FOLDER / mount["source"] for mount in service["volumes"]}
    files = [flag.split("=")[1] for flag in service["command"] if "_file=" in flag]
    assert sorted(map(Path, files)) == [Path("/config") / f"{n}.config" for n in ("batching", "models", "monitoring")]
    assert all((mounts["/config"] / Path(file).name).is_file() for file in files)
    assert all(mount["read_only"] for mount in service["volumes"])
    (model,) = config("models.config", ModelServerConfig).model_config_list.config
    assert Path(model.base_path).parent == Path("/models") and mounts["/models"] == FOLDER / "models"
    assert service["ports"] == [f"{port}:{port}" for port in (by_grpc.Client.PORT, by_rest.Client.PORT)]
    assert re.fullmatch(r"tensorflow/serving:\d+\.\d+\.\d+", service["image"])


def test_the_health_check_tells_a_model_that_is_served(server):
    *command, script = compose()["healthcheck"]["test"][1:]
    (model,) = config("models.config", ModelServerConfig).model_config_list.config
    assert f"/v1/models/{model.name} " in script
    here = script.replace("/8501", f"/{server.ports['rest']}")
    healthy = [subprocess.run([*command, here.replace(model.name, n)], timeout=20) for n in ("flowers", "weeds")]
    assert [result.returncode == 0 for result in healthy] == [True, False]
    assert script.count("""grep -q '"AVAILABLE"'""") == 1, "UNAVAILABLE has it in it as well"


def test_the_commands_of_the_readme_work(server):
    text = (FOLDER / "README.md").read_text()
    url, body = re.search(r"curl .*?http://localhost:8501(/\S+) .*?-d '(.*?)'", text, re.DOTALL).groups()
    place = f"http://127.0.0.1:{server.ports['rest']}"
    answer = requests.post(place + url.replace("oxford102_v2", "flowers"), data=body, timeout=20).json()
    assert set(answer["outputs"]) == {"image_8_bytes", "image_16_bytes"}
    assert "image_256_bytes" in text
    flags = re.findall(r"--(\w+)", " ".join(re.findall(r"stackgan_tf\.client (.*)", text)))
    source = (Path(serving.__file__).parents[1] / "client.py").read_text()
    assert flags and all(f'("{flag}"' in source for flag in flags)
