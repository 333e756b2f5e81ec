"""A model folder as TensorFlow Serving keeps it: loads by the graph, the newest version, warmed up before it serves."""

import queue
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from stackgan_tf.exporting import model_folder, saved_model


class Refused(Exception):
    """An answer that is no picture: a gRPC code and why."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = grpc.StatusCode[code]


class Version:
    """One version in a session of its own; every request is checked against its signature as the C++ server does."""

    def __init__(self, path, max_batch_size):
        self.number, self.max_batch_size = int(path.name), max_batch_size
        self.batches = []  # rows of each run
        self._in_flight, self._idle, self.closed = 0, threading.Condition(), False
        options = tf.compat.v1.ConfigProto(device_count={"CPU": 1})
        options.graph_options.rewrite_options.disable_meta_optimizer = True  # takes longer than the tiny graphs do
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=options)
        with self._session.graph.as_default():
            self.signatures = dict(tf.compat.v1.saved_model.load(self._session, ["serve"], str(path)).signature_def)
        self._batchers = {name: Batcher(self._run, name, max_batch_size) for name in self.signatures}
        for record in tf.data.TFRecordDataset(str(path / saved_model.WARM_UP)).as_numpy_iterator():
            request = PredictionLog.FromString(record).predict_log.request
            self.predict(request.model_spec.signature_name, {k: tf.make_ndarray(t) for k, t in request.inputs.items()})
        self.batches.clear()

    def predict(self, name, inputs):
        """`{input: array}` -> `{output: array}`, in a batch with others."""
        if name not in self.signatures:
            raise Refused("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        self._check(self.signatures[name].inputs, inputs)
        with self._counted():
            return self._batchers[name](inputs)

    def close(self):
        """After the last request in flight."""
        with self._idle:
            self._idle.wait_for(lambda: not self._in_flight)
            self.closed = True
        for batcher in self._batchers.values():
            batcher.close()
        self._session.close()

    def _check(self, expected, inputs):
        if set(expected) != set(inputs):
            raise Refused("INVALID_ARGUMENT", f"inputs {sorted(inputs)} do not match signature {sorted(expected)}")
        for name, values in inputs.items():
            shape, dtype = tf.TensorShape(expected[name].tensor_shape), tf.as_dtype(expected[name].dtype)
            if tf.as_dtype(values.dtype) != dtype:
                raise Refused("INVALID_ARGUMENT", f"Expects {name} to be {dtype.name} but {values.dtype} is provided")
            if not shape.is_compatible_with(values.shape):
                raise Refused("INVALID_ARGUMENT", f"{name} of shape {values.shape} is not compatible with {shape}")
        sizes = {len(values) for values in inputs.values()}
        if len(sizes) > 1:
            raise Refused("INVALID_ARGUMENT", "Batching session Run() input tensors must have equal 0th-dimension size")
        if max(sizes) > self.max_batch_size:
            why = f"Task size {max(sizes)} is larger than maximum input batch size {self.max_batch_size}"
            raise Refused("INVALID_ARGUMENT", why)

    def _run(self, name, inputs):
        signature = self.signatures[name]
        feed = {signature.inputs[key].name: values for key, values in inputs.items()}
        self.batches.append(len(next(iter(inputs.values()))))
        return self._session.run({key: tensor.name for key, tensor in signature.outputs.items()}, feed)

    @contextmanager
    def _counted(self):
        with self._idle:
            if self.closed:
                raise Refused("UNAVAILABLE", f"version {self.number} is gone")
            self._in_flight += 1
        try:
            yield
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()


class Batcher:
    """Runs the rows of requests that come together as one batch, as --enable_batching does."""

    WAIT = 0.02  # seconds that the first waits for others

    def __init__(self, run, name, max_batch_size):
        self._run, self._name, self._room = run, name, max_batch_size
        self._tasks = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __call__(self, inputs):
        answer = Future()
        self._tasks.put((inputs, answer))
        return answer.result()

    def close(self):
        self._tasks.put(None)
        self._thread.join()

    def _work(self):
        waiting = None  # one that had no room in the batch before
        while task := waiting or self._tasks.get():
            batch, waiting = self._collected(task)
            try:
                self._answer(batch)
            except Exception as error:  # of the batch, not of the thread: its requests are told
                for _, answer in batch:
                    answer.set_exception(Refused("INTERNAL", str(error)))

    def _collected(self, task):
        batch, until = [task], time.monotonic() + self.WAIT
        while (left := until - time.monotonic()) > 0:
            try:
                task = self._tasks.get(timeout=left)
            except queue.Empty:
                break
            if task is None or sum(map(_rows, [*batch, task])) > self._room:
                self._tasks.put(None) if task is None else None
                return batch, task
            batch.append(task)
        return batch, None

    def _answer(self, batch):
        together = {key: np.concatenate([inputs[key] for inputs, _ in batch]) for key in batch[0][0]}
        outputs, start = self._run(self._name, together), 0
        for task in batch:
            end = start + _rows(task)
            task[1].set_result({key: rows[start:end] for key, rows in outputs.items()})
            start = end


class Model:
    """Polls its folder and serves the newest version that loads; a version that does not load is not tried again."""

    POLL = 0.05  # seconds

    def __init__(self, folder, max_batch_size=16):
        self.folder, self.max_batch_size = folder, max_batch_size
        self.failed, self.past = {}, []  # version: why; versions that were replaced
        self.current = None
        self._stopped = threading.Event()
        self._load_new()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def version(self, number):
        """The version that serves, which must be this one where a number is given."""
        current = self.current
        if current is None or number not in (None, current.number):
            which = "Latest" if number is None else f"Specific, {number}"
            raise Refused("NOT_FOUND", f"Servable not found for request: {which}({self.folder.name})")
        return current

    def predict(self, number, signature, inputs):
        """Of a version that is not closed meanwhile: its number and its outputs."""
        while True:
            version = self.version(number)
            try:
                return version.number, version.predict(signature, inputs)
            except Refused:
                if not version.closed or number is not None:
                    raise

    def stop(self):
        self._stopped.set()
        self._thread.join()
        self.current.close()

    def _poll(self):
        while not self._stopped.wait(self.POLL):
            self._load_new()

    def _load_new(self):
        known = max([*self.failed, self.current.number if self.current else 0])
        for path in [path for path in model_folder.versions(self.folder) if int(path.name) > known][-1:]:
            try:
                loaded = Version(path, self.max_batch_size)
            except Exception as error:  # whatever it is: the server stays with the version that it has
                self.failed[int(path.name)] = str(error)
                continue
            before, self.current = self.current, loaded
            if before:
                before.close()
                self.past.append(before.number)


def _rows(task):
    return len(next(iter(task[0].values())))
