"""keras-tuner's chief and its workers: several processes or machines."""

from __future__ import annotations

import _thread
import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Literal

from googlenet_keras.errors import UserError
from googlenet_keras.installation import EXTRAS, require
from googlenet_keras.machine import cores
from googlenet_keras.processes import (
    ProcessError,
    child_process,
    interruption_by_sigterm,
)

if TYPE_CHECKING:
    from googlenet_keras.tuning.job import SearchJob

log = logging.getLogger(__name__)

# environment variables that say who is who: chief, tuner0, tuner1, ...
TUNER_ID, ORACLE_IP = "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP"
ORACLE_PORT = "KERASTUNER_ORACLE_PORT"
TUNER_VARIABLES = (TUNER_ID, ORACLE_IP, ORACLE_PORT)
LOOPBACK_ADDRESS = "127.0.0.1"
CHIEF_CONNECT_SECONDS = 45
CHIEF_REPLY_SECONDS = 600  # a Gaussian process may think for a minute
MAX_WORKER_STARTS = 6  # of a worker


def role() -> Literal["alone", "chief", "worker"]:
    """This process's role. Raises UserError if only some variables are set."""
    given = [name for name in TUNER_VARIABLES if os.environ.get(name)]
    if not given:
        return "alone"
    if len(given) < len(TUNER_VARIABLES):
        raise UserError(
            f"a search on several machines needs {', '.join(TUNER_VARIABLES)}; "
            f"received {' and '.join(given)} only."
        )
    return "chief" if "chief" in os.environ[TUNER_ID] else "worker"


def check_chief(local_workers: int) -> None:
    """Raises UserError if a hand-started chief cannot listen or has --workers set."""
    if local_workers:
        raise UserError(
            "--workers starts a chief and its workers on this machine; with "
            f"{TUNER_ID} set they are started by hand: --workers 0."
        )
    try:
        port = int(os.environ[ORACLE_PORT])
        socket.create_server((os.environ[ORACLE_IP], port)).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            "a chief listens on an address of its machine, on a port that is free; "
            f"received {_address()}: {error}. Set {ORACLE_IP} and {ORACLE_PORT} to one."
        ) from error


def connect_to_chief() -> None:
    """Waits for the chief to listen. Raises UserError if it does not within 45 s."""
    require("search", "search", EXTRAS["search"])
    import grpc
    from keras_tuner.src.distribute import oracle_client

    seconds = CHIEF_CONNECT_SECONDS
    with _chief_errors(seconds), grpc.insecure_channel(_address()) as channel:
        grpc.channel_ready_future(channel).result(timeout=seconds)
    oracle_client.TIMEOUT = CHIEF_REPLY_SECONDS  # keras-tuner would wait for an hour


def work(job: SearchJob) -> None:
    """Trains what the chief proposes until it has no more. Raises UserError."""
    from googlenet_keras.tuning.tuner import Tuner

    with _chief_errors(CHIEF_REPLY_SECONDS):
        Tuner(job, log=None).search()


def _address() -> str:
    return f"{os.environ[ORACLE_IP]}:{os.environ[ORACLE_PORT]}"


@contextmanager
def _chief_errors(seconds: int) -> Iterator[None]:
    """Turns gRPC's errors within the block into a UserError."""
    import grpc

    try:
        yield
    except (grpc.RpcError, grpc.FutureTimeoutError) as error:
        raise UserError(
            f"a worker needs its chief, and none answers at {_address()} for "
            f"{seconds} s. Start the chief first ({TUNER_ID}=chief), wait until it "
            f"says that it waits for workers, and see that {ORACLE_IP} and "
            f"{ORACLE_PORT} are those it listens on."
        ) from error


@contextmanager
def local_workers(job: SearchJob) -> Iterator[None]:
    """Runs --workers workers within the block, with this process as their chief.

    A worker that dies is started again and gets its trial again. The workers end with
    this process. Raises UserError if one keeps dying. Does nothing for no workers.
    """
    if not job.config.workers:
        yield
        return
    stopped, failures = Event(), list[str]()
    threads = [
        Thread(
            target=_supervise, args=(job, f"tuner{n}", stopped, failures), daemon=True
        )
        for n in range(job.config.workers)
    ]
    try:
        with _chief_environment(), interruption_by_sigterm(), _interruptible():
            for thread in threads:
                thread.start()
            yield
    except KeyboardInterrupt:
        if failures:
            raise UserError(failures[0]) from None
        raise
    finally:
        stopped.set()
        for process in multiprocessing.active_children():
            process.terminate()
        for thread in threads:
            thread.join()


@contextmanager
def _chief_environment() -> Iterator[None]:
    """Makes this process the chief, at a free port, within the block."""
    with socket.create_server((LOOPBACK_ADDRESS, 0)) as probe:
        port = str(probe.getsockname()[1])
    changes = dict(zip(TUNER_VARIABLES, ("chief", LOOPBACK_ADDRESS, port), strict=True))
    # or a cluster's proxy is asked for it; gRPC knows the name in small letters only
    changes["no_grpc_proxy"] = LOOPBACK_ADDRESS
    before = {name: os.environ.get(name) for name in changes}
    os.environ |= changes
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lets a worker's thread interrupt this one, though a shell's & ignores SIGINT."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _supervise(job: SearchJob, name: str, stopped: Event, failures: list[str]) -> None:
    """Runs a worker in a child process, and again if it dies."""
    log_file = job.folder.path / f"{name}.log"
    for start in range(1, MAX_WORKER_STARTS + 1):
        try:
            with child_process(log_file) as call:
                call(_work_locally, job, name)
            return
        except KeyboardInterrupt:  # of the child; Ctrl+C reaches all processes
            return
        except ProcessError as error:
            if stopped.is_set():
                return
            reason = str(error)
        if start < MAX_WORKER_STARTS:
            log.info(f"worker {name} is started again: {reason}")
    failures.append(
        f"worker {name} failed {MAX_WORKER_STARTS} times, at last since {reason}; "
        f"{log_file} may say more. Completed trials are saved: use --resume."
    )
    _thread.interrupt_main()


def _work_locally(job: SearchJob, name: str) -> None:
    threads = str(max(1, cores() // job.config.workers))
    limits = {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
    os.environ |= limits | {TUNER_ID: name}
    connect_to_chief()
    work(job)
