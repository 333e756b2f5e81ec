"""TensorFlow Serving over REST, which needs no TensorFlow here."""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
import requests

from stackgan_tf.errors import UserError
from stackgan_tf.serving import Address, Busy, Server, Signature

BUSY = (429, 502, 503)


class Client(Server):
    """Asks in columns: `{"inputs": {name: rows}}`."""

    PORT = 8501

    def __init__(self, address: Address, deadline_seconds: float) -> None:
        super().__init__(address, deadline_seconds)
        self._session = requests.Session()
        self._url = f"http://{self.place}/v1/models/{quote(address.model, safe='')}"
        if address.version is not None:
            self._url += f"/versions/{address.version}"
        elif address.label is not None:
            self._url += f"/labels/{address.label}"

    def _metadata(self, seconds: float) -> Any:
        return self._answer("GET", "/metadata", None, seconds)

    def _predict(
        self, signature: Signature, inputs: Mapping[str, np.ndarray], seconds: float
    ) -> dict[str, list[bytes]]:
        columns = {name: _json(rows) for name, rows in inputs.items()}
        answer = self._answer("POST", ":predict", {"signature_name": signature.name, "inputs": columns}, seconds)
        try:
            outputs = answer["outputs"]
            if not isinstance(outputs, dict):  # of a signature with one output there is no name
                (only,) = signature.outputs
                outputs = {only: outputs}
            return {name: [base64.b64decode(row["b64"], validate=True) for row in of] for name, of in outputs.items()}
        except (KeyError, TypeError, ValueError):
            raise UserError(f"--host={self.place}: answered without PNG files in base64") from None

    def _answer(self, method: str, path: str, body: Any, seconds: float) -> dict[str, Any]:
        try:  # the seconds of connecting, and those of silence: an answer that trickles in may take longer
            response = self._session.request(method, self._url + path, json=body, timeout=seconds)
        except requests.Timeout:
            raise self.too_late() from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise Busy(str(error).rsplit(": ", 1)[-1].strip("')(\"")) from None  # the cause stands last
        except requests.RequestException as error:
            raise self.refusal("cannot be asked", str(error)) from None
        if response.status_code in BUSY:
            raise Busy(f"HTTP {response.status_code}: {response.text}")
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            what = f"answered HTTP {response.status_code} without a JSON object"
            raise UserError(f"--host={self.place}: {what}; is it the REST port of TensorFlow Serving?")
        if response.status_code != requests.codes.ok:
            raise self.refusal(f"HTTP {response.status_code}", answer.get("error", response.reason))
        return answer


def _json(rows: np.ndarray) -> list[Any]:
    """[B, ...] as JSON has it: sentences, which are bytes, as strings."""
    return [row.decode() for row in rows] if rows.dtype == object else rows.tolist()
