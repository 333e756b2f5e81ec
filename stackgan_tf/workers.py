"""What the workers of a cluster do together, in TensorFlow; on one machine all of this does nothing.

`exchange`, and what is built on it, is a collective: all workers must call the same ones in the same order.
"""

import faulthandler
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from stackgan_tf import cluster as clusters
from stackgan_tf import interrupts
from stackgan_tf.cluster import Cluster, Said
from stackgan_tf.distribution import check_divides, gpus
from stackgan_tf.errors import UserError

# What TensorFlow raises in all the others when a worker is gone.
GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError, tf.errors.CancelledError)


def join(
    cluster: Cluster, batch_size: int, said: Said, deadline_seconds: float
) -> tf.distribute.MultiWorkerMirroredStrategy:
    """The strategy over the GPUs of all workers, or a CPU each, once they are there and agree.

    Must come before anything else that asks TensorFlow for a device.

    Args:
        batch_size: over all replicas.
        said: what they must agree on, beside their code, libraries and devices.

    Raises:
        UserError: the replicas do not divide the batch; as `gpus`, `clusters.meet` and `clusters.check_same`.
    """
    count = len(gpus())
    check_divides(batch_size, len(cluster.addresses) * max(1, count))
    software = {
        "the code of stackgan_tf": clusters.code_digest(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }
    own = {"TF_CONFIG's addresses": ", ".join(cluster.addresses), "its GPUs": str(count)} | software | said
    clusters.check_same(clusters.meet(cluster, own, deadline_seconds))
    logging.info(
        "all %d workers are there and agree; joining them (ends after %g s if one goes away now)",
        len(cluster.addresses),
        deadline_seconds,
    )
    implementations = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=implementations.AUTO if count else implementations.RING
    )
    with _ending_after(deadline_seconds), interrupts.sigterm_later():  # TensorFlow takes SIGTERM for itself
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this worker is the one that writes."""
    return strategy.extended.should_checkpoint


def exchange(strategy: tf.distribute.Strategy, said: Said) -> list[Said]:
    """What every worker says, by rank."""
    if not _many(strategy):
        return [said]
    line = np.frombuffer(json.dumps(said).encode() + b"\n", np.uint8)
    gathered = strategy.gather(tf.constant(line, tf.int32), axis=0)
    return [json.loads(line) for line in gathered.numpy().astype(np.uint8).tobytes().splitlines()]


def agree(strategy: tf.distribute.Strategy, said: Said) -> None:
    """Whether all workers say the same.

    Raises:
        UserError: as `clusters.check_same`.
    """
    clusters.check_same(exchange(strategy, said))


@contextmanager
def chief_first(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """The chief does what follows before the others begin it: on a disk that they share they find it done.

    Raises:
        UserError: the chief's, on all workers.
    """
    chief = is_chief(strategy)
    if not chief:
        failure = exchange(strategy, {})[0].get("failure")
        if failure:
            raise UserError(f"worker 0: {failure}")
    try:
        yield
    except UserError as error:
        if chief:
            exchange(strategy, {"failure": str(error)})
        raise
    if chief:
        exchange(strategy, {})


@contextmanager
def together(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """All workers do what follows, and none goes on where one of them cannot.

    Raises:
        UserError: that one's, on all workers.
    """
    failure = ""
    try:
        yield
    except UserError as error:
        failure = str(error)
    failures = [said["failure"] for said in exchange(strategy, {"failure": failure})]
    if any(failures):
        rank, first = next((rank, told) for rank, told in enumerate(failures) if told)
        raise UserError(failure or f"worker {rank}: {first}")


def on_any(strategy: tf.distribute.Strategy) -> Callable[[bool], bool]:
    """Turns a fact of one worker into one of all, told to all in the same call: the one after, so that none waits."""
    if not _many(strategy):
        return bool

    @tf.function(autograph=False)
    def count(fact: tf.Tensor) -> tf.Tensor:
        return strategy.reduce(tf.distribute.ReduceOp.SUM, fact, axis=None)

    before = tf.constant(0.0)

    def told(fact: bool) -> bool:
        nonlocal before
        answer, before = before, count(tf.constant(float(fact)))
        return bool(answer.numpy())

    return told


def end_together(strategy: tf.distribute.Strategy, saved: Callable[[], bool]) -> None:
    """Waits until all workers are done, the chief with its last pictures too.

    Args:
        saved: whether the chief has saved what this worker has; then it does not matter how another one left.
    """
    try:
        exchange(strategy, {})
    except GONE:
        if not saved():
            raise


@contextmanager
def starting_again(cluster: Cluster | None) -> Iterator[None]:
    """Where another worker is gone, begins this program anew: with it, once it is back, from the last checkpoint.

    TensorFlow cannot join a cluster twice in one process.

    Raises:
        UserError: it was told to end as well, and could not save any more.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if cluster is None or not (isinstance(error, GONE) or "Collective ops is aborted" in error.message):
            raise
        reason = next((line for line in error.message.splitlines() if "aborted by" in line), error.message)
        told = f"another worker is gone ({' '.join(reason.split())[:200]})"
        if interrupts.noted():
            raise UserError(f"{told}, and this one was told to end; the last checkpoint stays") from None
        logging.warning(
            "%s; this one, worker %d, starts again and waits for it, to go on from the last checkpoint",
            told,
            cluster.rank,
        )
        logging.flush()
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _many(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


@contextmanager
def _ending_after(seconds: float) -> Iterator[None]:
    """Ends the process if what follows takes longer. It holds Python's lock: no signal handler or thread could."""
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
