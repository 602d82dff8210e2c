"""keras-tuner's chief and its workers: several processes or machines.

KERASTUNER_TUNER_ID (chief, tuner0, tuner1, ...), KERASTUNER_ORACLE_IP and
KERASTUNER_ORACLE_PORT say who is who.
"""

from __future__ import annotations

import _thread
import logging
import multiprocessing
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from googlenet_keras.errors import UserError
from googlenet_keras.machine import cores
from googlenet_keras.processes import ProcessError, child_process

if TYPE_CHECKING:
    from tuning.job import SearchJob

log = logging.getLogger(__name__)

# environment variables
TUNER_ID_VARIABLE, ORACLE_IP_VARIABLE, ORACLE_PORT_VARIABLE = (
    "KERASTUNER_TUNER_ID",
    "KERASTUNER_ORACLE_IP",
    "KERASTUNER_ORACLE_PORT",
)
LOOPBACK_ADDRESS = "127.0.0.1"
CHIEF_CONNECT_SECONDS = 45
CHIEF_REPLY_SECONDS = 600  # a Gaussian process may think for a minute
MAX_WORKER_STARTS = 6  # of a worker


def role() -> Literal["alone", "chief", "worker"]:
    """This process's role, as the KERASTUNER_* variables say.

    Raises UserError for half of it.
    """
    given = [
        name
        for name in (TUNER_ID_VARIABLE, ORACLE_IP_VARIABLE, ORACLE_PORT_VARIABLE)
        if os.environ.get(name)
    ]
    if not given:
        return "alone"
    if len(given) < 3:
        raise UserError(
            f"a search on several machines needs {TUNER_ID_VARIABLE}, "
            f"{ORACLE_IP_VARIABLE} and {ORACLE_PORT_VARIABLE}; received "
            f"{' and '.join(given)} only."
        )
    return "chief" if "chief" in os.environ[TUNER_ID_VARIABLE] else "worker"


def check_chief(local_workers: int) -> None:
    """Raises UserError if this chief cannot listen, or is asked to start workers."""
    if local_workers:
        raise UserError(
            "--workers starts a chief and its workers on this machine; with "
            f"{TUNER_ID_VARIABLE} set they are started by hand: --workers 0."
        )
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(
                (os.environ[ORACLE_IP_VARIABLE], int(os.environ[ORACLE_PORT_VARIABLE]))
            )
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            "a chief listens on an address of its machine, on a port that is free; "
            f"received {_address()}: {error}. Set {ORACLE_IP_VARIABLE} and "
            f"{ORACLE_PORT_VARIABLE} to one."
        ) from error


def connect_to_chief() -> None:
    """Waits for the chief to listen. Raises UserError if it does not within 45 s."""
    import grpc
    from keras_tuner.src.distribute import oracle_client

    with grpc.insecure_channel(_address()) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=CHIEF_CONNECT_SECONDS)
        except grpc.FutureTimeoutError as error:
            raise _no_chief(CHIEF_CONNECT_SECONDS) from error
    oracle_client.TIMEOUT = CHIEF_REPLY_SECONDS  # keras-tuner would wait for an hour


def work(job: SearchJob) -> None:
    """Trains what the chief proposes until it has no more. Raises UserError."""
    import grpc

    from tuning.oracle import Tuner

    try:
        Tuner(job, log=None).search()
    except grpc.RpcError as error:
        raise _no_chief(CHIEF_REPLY_SECONDS) from error


def _address() -> str:
    return f"{os.environ[ORACLE_IP_VARIABLE]}:{os.environ[ORACLE_PORT_VARIABLE]}"


def _no_chief(seconds: int) -> UserError:
    return UserError(
        f"a worker needs its chief, and none answers at {_address()} for {seconds} s. "
        f"Start the chief first ({TUNER_ID_VARIABLE}=chief), wait until it prints its "
        f"run folder, and see that {ORACLE_IP_VARIABLE} and {ORACLE_PORT_VARIABLE} are "
        "those it listens on."
    )


@contextmanager
def local_workers(job: SearchJob) -> Iterator[None]:
    """Makes this process, within the block, the chief of workers on this machine.

    A worker that dies is started again and gets its trial again. The workers end with
    this process. Raises UserError if one keeps dying.
    """
    os.environ |= {
        TUNER_ID_VARIABLE: "chief",
        ORACLE_IP_VARIABLE: LOOPBACK_ADDRESS,
        ORACLE_PORT_VARIABLE: str(_free_port()),
    }
    # or a cluster's proxy is asked for it; gRPC knows the name in small letters only
    os.environ["no_grpc_proxy"] = LOOPBACK_ADDRESS  # noqa: SIM112
    workers = [_LocalWorker(job, f"tuner{n}") for n in range(job.config.workers)]
    try:
        yield
    except KeyboardInterrupt:
        for worker in workers:
            if worker.failure:
                raise UserError(worker.failure) from None
        raise
    finally:
        for worker in workers:
            worker.stopped = True
        for process in multiprocessing.active_children():
            process.terminate()
        for worker in workers:
            worker.join()
        for name in (TUNER_ID_VARIABLE, ORACLE_IP_VARIABLE, ORACLE_PORT_VARIABLE):
            del os.environ[name]


class _LocalWorker(threading.Thread):
    """Runs a worker in a child process, and again if it dies."""

    def __init__(self, job: SearchJob, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._job = job
        self.stopped, self.failure = False, ""
        self.start()

    def run(self) -> None:
        log_file = self._job.folder.path / f"{self.name}.log"
        for number in range(1, MAX_WORKER_STARTS + 1):
            try:
                with child_process(log_file) as call:
                    call(_work_locally, self._job, self.name)
                return
            except ProcessError as error:
                if self.stopped:
                    return
                reason = str(error)
            if number < MAX_WORKER_STARTS:
                log.info(f"worker {self.name} is started again: {reason}")
        self.failure = (
            f"worker {self.name} failed {MAX_WORKER_STARTS} times, at last since "
            f"{reason}; {log_file} may say more. Completed trials are saved: use "
            "--resume."
        )
        _thread.interrupt_main()


def _work_locally(job: SearchJob, name: str) -> None:
    threads = str(max(1, cores() // job.config.workers))
    limits = {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
    os.environ |= limits | {TUNER_ID_VARIABLE: name}
    connect_to_chief()
    work(job)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK_ADDRESS, 0))
        return probe.getsockname()[1]
