"""TensorFlow Serving as far as a client sees it, in this process: gRPC and REST over a model folder.

Stands in for the C++ server, which no test can install: the same protocol buffers, paths and codes, the graph run by
its tensors' names. What is not TensorFlow Serving's own is how it is told to be slow, to fail and to talk nonsense.
"""

import base64
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.model_service_pb2_grpc import (
    ModelServiceServicer,
    add_ModelServiceServicer_to_server,
)
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    add_PredictionServiceServicer_to_server,
)

from tests.serving.served_model import Model, Refused

HTTP_CODES = {  # as http_server.cc of TensorFlow Serving has them
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}
PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/(\w+))?(/metadata|:predict)?")


class Server:
    """Serves the models of a folder; a context manager. `ports`: by protocol.

    `delay`: seconds before every answer. `failures`: as many requests to come are refused with UNAVAILABLE.
    `spoil`: changes the outputs before they are sent. `body`: sent by REST in place of any answer.
    """

    def __init__(self, models, labels=None, max_batch_size=16):
        self.models = {path.name: Model(path, max_batch_size) for path in models.iterdir()}
        self.labels = labels or {}
        self.delay, self.failures, self.spoil, self.body = 0.0, 0, None, None
        self.asked, self.refused = 0, 0  # requests, and those of them that a model refused
        self._lock = threading.Lock()

    def __enter__(self):
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._grpc = grpc.server(ThreadPoolExecutor(40), options=options)
        add_PredictionServiceServicer_to_server(PredictionService(self), self._grpc)
        add_ModelServiceServicer_to_server(ModelService(self), self._grpc)
        self._http = HttpServer(("127.0.0.1", 0), type("Handler", (Handler,), {"server_to_ask": self}))
        self.ports = {"grpc": self._grpc.add_insecure_port("127.0.0.1:0"), "rest": self._http.server_port}
        self._grpc.start()
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._grpc.stop(None).wait()
        self._http.shutdown()
        self._http.server_close()
        for model in self.models.values():
            model.stop()

    def predict(self, spec, inputs):
        """The version's number and its outputs."""
        self._misbehave()
        try:
            number, outputs = self._model(spec).predict(self._number(spec), spec.signature_name, inputs)
        except Refused:
            self.refused += 1  # which a patient client would not notice
            raise
        return number, self.spoil(outputs) if self.spoil else outputs

    def metadata(self, spec):
        self._misbehave()
        version = self._model(spec).version(self._number(spec))
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name, response.model_spec.version.value = spec.name, version.number
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in version.signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
        response.metadata["signature_def"].Pack(signatures)
        return response

    def status(self, spec):
        model, response = self._model(spec), get_model_status_pb2.GetModelStatusResponse()
        states = {model.version(None).number: "AVAILABLE"} | dict.fromkeys(model.failed, "END")
        for number, state in states.items():
            response.model_version_status.add(version=number, state=state)
        return response

    def _misbehave(self):
        with self._lock:
            self.asked += 1
            self.failures, failing = max(self.failures - 1, 0), self.failures > 0
        if failing:
            raise Refused("UNAVAILABLE", "The batch scheduling queue to which this task was submitted is full")
        time.sleep(self.delay)

    def _model(self, spec):
        if spec.name not in self.models:
            raise Refused("NOT_FOUND", f"Servable not found for request: Latest({spec.name})")
        return self.models[spec.name]

    def _number(self, spec):
        if not spec.version_label:
            return spec.version.value if spec.HasField("version") else None
        if spec.version_label not in self.labels:
            raise Refused("INVALID_ARGUMENT", f"Unrecognized servable version label: {spec.version_label}")
        return self.labels[spec.version_label]


class PredictionService(PredictionServiceServicer):
    """gRPC: requests for pictures."""

    def __init__(self, server):
        self._server = server

    def Predict(self, request, context):
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        number, outputs = refusing(context, lambda: self._server.predict(request.model_spec, inputs))
        response = predict_pb2.PredictResponse()
        response.model_spec.name, response.model_spec.version.value = request.model_spec.name, number
        for name, rows in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(rows))
        return response

    def GetModelMetadata(self, request, context):
        return refusing(context, lambda: self._server.metadata(request.model_spec))


class ModelService(ModelServiceServicer):
    """gRPC: which versions are there."""

    def __init__(self, server):
        self._server = server

    def GetModelStatus(self, request, context):
        return refusing(context, lambda: self._server.status(request.model_spec))


def refusing(context, ask):
    try:
        return ask()
    except Refused as error:
        context.abort(error.code, str(error))


class HttpServer(ThreadingHTTPServer):
    request_queue_size = 128  # many clients at once
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    """REST: the same in JSON, columns only."""

    protocol_version = "HTTP/1.1"
    server_to_ask = None

    def do_GET(self):
        self._reply(self._get)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._reply(lambda: self._predict(body))

    def log_message(self, *_):
        pass

    def _get(self):
        spec, what = self._asked()
        ask = self.server_to_ask.metadata if what == "/metadata" else self.server_to_ask.status
        options = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}
        return json_format.MessageToDict(ask(spec), **options)

    def _predict(self, body):
        spec, _ = self._asked()
        request = json.loads(body)
        spec.signature_name = request["signature_name"]
        version = self.server_to_ask._model(spec).version(self.server_to_ask._number(spec))
        if spec.signature_name not in version.signatures:
            raise Refused("INVALID_ARGUMENT", f'Serving signature name: "{spec.signature_name}" not found')
        expected = version.signatures[spec.signature_name].inputs
        if missing := set(expected) - set(request["inputs"]):
            raise Refused("INVALID_ARGUMENT", f"Missing named input: {min(missing)} in 'inputs' object.")
        inputs = {name: from_json(request["inputs"][name], tensor.dtype) for name, tensor in expected.items()}
        _, outputs = self.server_to_ask.predict(spec, inputs)
        columns = {name: to_json(name, rows) for name, rows in outputs.items()}
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}

    def _asked(self):
        match = PATH.fullmatch(self.path)
        if not match:
            raise Refused("INVALID_ARGUMENT", f"Malformed request: {self.command} {self.path}")
        spec = ModelSpec(name=match[1], version_label=match[3])
        if match[2]:
            spec.version.value = int(match[2])
        return spec, match[4]

    def _reply(self, answer):
        try:
            code, body = 200, json.dumps(answer())
        except Refused as error:
            code, body = HTTP_CODES[error.code.name], json.dumps({"error": str(error)})
        content = self.server_to_ask.body or body.encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def from_json(rows, dtype):
    """A column as the tensor that the signature asks for; numbers that would lose something are refused."""
    dtype = tf.as_dtype(dtype)
    if dtype == tf.string:
        return np.array([row.encode() for row in rows], object)
    values = np.array(rows)
    if dtype.is_integer and values.dtype.kind != "i":
        raise Refused("INVALID_ARGUMENT", f"JSON Value: {rows} is not of expected type: {dtype.name}")
    return values.astype(dtype.as_numpy_dtype)


def to_json(name, rows):
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(row).decode()} for row in rows]
    return rows.tolist()
