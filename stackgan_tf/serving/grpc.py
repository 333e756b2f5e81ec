"""TensorFlow Serving over gRPC."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from stackgan_tf.errors import UserError
from stackgan_tf.serving import Address, Busy, Server, Signature

try:
    import grpc
    from google.protobuf import json_format
    from google.protobuf.message import Message
    from google.protobuf.wrappers_pb2 import Int64Value
    from tensorflow import make_tensor_proto
    from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
    from tensorflow_serving.apis.model_pb2 import ModelSpec
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
except ImportError:
    raise UserError(
        '--protocol=grpc: tensorflow-serving-api is not installed; pip install "stackgan_tf[serving]" brings it, '
        "--protocol=rest does without"
    ) from None

# A batch of pictures is larger than the 4 MB that gRPC allows by itself; and who comes back is heard at once.
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
BUSY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


class Client(Server):
    """Asks `PredictionService`."""

    PORT = 8500

    def __init__(self, address: Address, deadline_seconds: float) -> None:
        super().__init__(address, deadline_seconds)
        self._stub = PredictionServiceStub(grpc.insecure_channel(self.place, OPTIONS))

    def _metadata(self, seconds: float) -> Any:
        request = GetModelMetadataRequest(model_spec=self._spec(), metadata_field=["signature_def"])
        answer, signatures = self._answer(self._stub.GetModelMetadata, request, seconds), SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        described = json_format.MessageToDict(signatures, preserving_proto_field_name=True)
        return {"metadata": {"signature_def": described}}

    def _predict(
        self, signature: Signature, inputs: Mapping[str, np.ndarray], seconds: float
    ) -> dict[str, list[bytes]]:
        request = PredictRequest(model_spec=self._spec(signature.name))
        for name, rows in inputs.items():
            request.inputs[name].CopyFrom(make_tensor_proto(rows))
        answer = self._answer(self._stub.Predict, request, seconds)
        return {name: list(tensor.string_val) for name, tensor in answer.outputs.items()}

    def _spec(self, signature: str = "") -> ModelSpec:
        version = None if self.address.version is None else Int64Value(value=self.address.version)
        label = self.address.label
        return ModelSpec(name=self.address.model, version=version, version_label=label, signature_name=signature)

    def _answer(self, method: grpc.UnaryUnaryMultiCallable, request: Message, seconds: float) -> Message:
        try:
            return method(request, timeout=seconds)
        except grpc.RpcError as error:
            code, message = error.code(), error.details()
        if code in BUSY:
            raise Busy(message.rpartition("last error: ")[2])  # the others say which addresses were tried
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            raise self.too_late()
        raise self.refusal(code.name.lower().replace("_", " "), message)
