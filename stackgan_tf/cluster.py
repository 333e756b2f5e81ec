"""Many machines: who takes part, whether all of them are there, and whether they are about to do the same.

Imports no TensorFlow: while TensorFlow waits for a worker that never comes, nothing else of the process runs.
"""

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from stackgan_tf.errors import UserError

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["one:2222", "two:2222"]}, "task": {"type": "worker", "index": 0}}'
PATIENCE_SECONDS = 2.0  # with one connection
PAUSE_SECONDS = 0.1
CONFIRMED = b"+"

Said = Mapping[str, str]  # what a worker says of itself: what is said of, and what


class Cluster(NamedTuple):
    """The workers of a run, and which of them this one is."""

    addresses: tuple[str, ...]  # host:port of each, the chief's first
    rank: int  # 0: the chief, which alone writes


def from_environment() -> Cluster | None:
    """The cluster of the variable TF_CONFIG; None where there is none, or only this worker in it.

    Raises:
        UserError: it is malformed, or has other jobs than workers.
    """
    value = os.environ.get(VARIABLE, "").strip()
    if not value:
        return None
    try:
        given = json.loads(value)
    except ValueError as error:
        raise _malformed(f"is not JSON ({error})") from None
    jobs = _mapping(_mapping(given, VARIABLE).get("cluster", {}), "cluster")
    if not jobs:
        return None
    unknown = [job for job in jobs if job != "worker"]
    if unknown:
        raise _malformed(f"has the job {unknown[0]!r}; here are workers only, the first of which is the chief")
    addresses = _addresses(jobs["worker"])
    twice = [address for address in addresses if addresses.count(address) > 1]
    if twice:
        raise _malformed(f"names {twice[0]} twice")
    task = _mapping(given.get("task"), "task")
    rank = task.get("index")
    if task.get("type") != "worker" or type(rank) is not int or not 0 <= rank < len(addresses):
        raise _malformed(f"has the task {task}, which is not of its cluster {jobs}")
    return Cluster(addresses, rank) if len(addresses) > 1 else None


def meet(cluster: Cluster, said: Said, deadline_seconds: float) -> list[Said]:
    """What every worker says of itself, by rank, once all have heard it of all.

    Each answers at its own address, which TensorFlow has not taken yet, and asks at those of all the others. An answer
    counts on both sides once its receipt is confirmed: only where the very last confirmation of a worker that is done
    already is lost, another one waits in vain, until the deadline.

    Raises:
        UserError: the own port is taken, or somebody is not there in time.
    """
    deadline = time.monotonic() + deadline_seconds
    heard: dict[int, Said] = {cluster.rank: said}
    unheard: dict[int, str] = {}  # rank: why not
    others = [rank for rank in range(len(cluster.addresses)) if rank != cluster.rank]
    with _answering(cluster, said) as asked:
        while len(heard) < len(cluster.addresses) or not asked.issuperset(others):
            for rank in others:
                if rank not in heard:
                    _ask(cluster, rank, heard, unheard)
            absent = [rank for rank in others if rank not in heard] or [rank for rank in others if rank not in asked]
            if absent and time.monotonic() > deadline:
                raise UserError(_absence(cluster, absent[0], unheard, deadline_seconds))
            if absent:
                logging.log_first_n(
                    logging.INFO, "waiting for %d of %d workers", 1, len(absent), len(cluster.addresses)
                )
                time.sleep(PAUSE_SECONDS)
    return [heard[rank] for rank in range(len(cluster.addresses))]


def check_same(everyone: Sequence[Said]) -> None:
    """Whether all workers say the same.

    Raises:
        UserError: one differs from the chief; names it, what in and how.
    """
    for rank, said in enumerate(everyone):
        for name in everyone[0] | said:
            first, other = everyone[0].get(name), said.get(name)
            if first != other:
                raise UserError(
                    f"worker {rank} differs from worker 0 in {name}: {other}, not {first}; all workers need the same"
                )


def code_digest() -> str:
    """Of the source files of this package."""
    root, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _malformed(what: str) -> UserError:
    return UserError(f"{VARIABLE}: {what}; as in {VARIABLE}='{EXAMPLE}'")


def _mapping(value: Any, name: str) -> dict:
    if not isinstance(value, dict):
        raise _malformed(f"{name} must be a mapping, not {value!r}")
    return value


def _addresses(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _malformed(f"worker must be a list of addresses, not {value!r}")
    for address in value:
        host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise _malformed(f"{address!r} is not the address of a worker, host:port")
    return tuple(value)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


@contextmanager
def _answering(cluster: Cluster, said: Said) -> Iterator[set[int]]:
    """Tells everybody who asks what this worker says; gives the ranks of those who have heard it."""
    _, port = _host_and_port(cluster.addresses[cluster.rank])
    both = socket.has_dualstack_ipv6()
    try:
        server = socket.create_server(
            ("", port), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both
        )
    except OSError as error:
        raise UserError(
            f"{VARIABLE}: port {port} of worker {cluster.rank}, this one, cannot be used ({error.strerror}); "
            "end the program that has it, or name another port on all workers"
        ) from None
    server.settimeout(PAUSE_SECONDS)
    heard_by: set[int] = set()
    ended = threading.Event()
    thread = threading.Thread(target=_answer, args=(server, _line(rank=cluster.rank, said=said), heard_by, ended))
    thread.start()
    try:
        yield heard_by
    finally:
        ended.set()
        thread.join()
        server.close()


def _answer(server: socket.socket, answer: bytes, heard_by: set[int], ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(PATIENCE_SECONDS)
                connection.sendall(answer)
                heard_by.add(int(connection.recv(16)))
                connection.sendall(CONFIRMED)
        except (OSError, ValueError):
            continue  # nobody came, or a stranger


def _ask(cluster: Cluster, rank: int, heard: dict[int, Said], unheard: dict[int, str]) -> None:
    """Hears what another worker says, if it is there; one that is still training answers otherwise."""
    try:
        with socket.create_connection(_host_and_port(cluster.addresses[rank]), PATIENCE_SECONDS) as connection:
            answer = json.loads(connection.makefile("rb").readline())
            if answer["rank"] != rank:
                raise ValueError("another worker")
            connection.sendall(b"%d" % cluster.rank)
            if connection.recv(len(CONFIRMED)) != CONFIRMED:
                raise OSError("cut short")
            heard[rank] = answer["said"]
            unheard.pop(rank, None)
    except OSError as error:
        unheard[rank] = error.strerror or str(error)
    except (ValueError, KeyError, TypeError):
        unheard[rank] = "something else answers there"


def _line(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def _absence(cluster: Cluster, rank: int, unheard: Mapping[int, str], seconds: float) -> str:
    address, own = cluster.addresses[rank], cluster.addresses[cluster.rank]
    if rank in unheard:
        return (
            f"worker {rank} is not there: no answer from {address} in {seconds:g} seconds ({unheard[rank]}); start it, "
            f"or correct {VARIABLE} (--peers_deadline_seconds says how long to wait)"
        )
    return (
        f"worker {rank} at {address} has not reached this one at {own} in {seconds:g} seconds; is a firewall between?"
    )
