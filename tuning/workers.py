"""keras-tuner's chief and its workers: several processes or machines.

KERASTUNER_TUNER_ID (chief, tuner0, tuner1, ...), KERASTUNER_ORACLE_IP and
KERASTUNER_ORACLE_PORT say who is who.
"""

from __future__ import annotations

import _thread
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from googlenet_keras.errors import UserError
from googlenet_keras.machine import cores

log = logging.getLogger(__name__)

# environment variables
ID, IP, PORT = "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
LOCAL_WORKER = "GOOGLENET_KERAS_LOCAL_WORKER"  # set if the chief holds the input
LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 45
REPLY_SECONDS = 600  # a Gaussian process may think for a minute
MAX_RESTARTS = 5  # of a worker


def role() -> Literal["alone", "chief", "worker"]:
    """This process's role by the environment. Raises UserError for half of it."""
    given = [name for name in (ID, IP, PORT) if os.environ.get(name)]
    if not given:
        return "alone"
    if len(given) < 3:
        raise UserError(
            f"a search on several machines needs {ID}, {IP} and {PORT}; received "
            f"{' and '.join(given)} only."
        )
    return "chief" if "chief" in os.environ[ID] else "worker"


def check_chief(local_workers: int) -> None:
    """Raises UserError if this chief cannot listen, or is asked to start workers."""
    if local_workers:
        raise UserError(
            "--workers starts a chief and its workers on this machine; with "
            f"{ID} set they are started by hand: --workers 0."
        )
    address = f"{os.environ[IP]}:{os.environ[PORT]}"
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((os.environ[IP], int(os.environ[PORT])))
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            "a chief listens on an address of its machine, on a port that is free; "
            f"received {address}: {error}. Set {IP} and {PORT} to one."
        ) from error


def connect_to_chief() -> None:
    """Waits for the chief to listen. Raises UserError if it does not within 45 s."""
    import grpc
    from keras_tuner.src.distribute import oracle_client

    address = f"{os.environ[IP]}:{os.environ[PORT]}"
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=CONNECT_SECONDS)
        except grpc.FutureTimeoutError as error:
            raise _no_chief(address, CONNECT_SECONDS) from error
    oracle_client.TIMEOUT = REPLY_SECONDS  # keras-tuner would wait for an hour


@contextmanager
def chief_errors() -> Iterator[None]:
    """Turns the loss of the chief within the block into a UserError."""
    import grpc

    try:
        yield
    except grpc.RpcError as error:
        address = f"{os.environ[IP]}:{os.environ[PORT]}"
        raise _no_chief(address, REPLY_SECONDS) from error


def _no_chief(address: str, seconds: int) -> UserError:
    return UserError(
        f"a worker needs its chief, and none answers at {address} for {seconds} s. "
        f"Start the chief first ({ID}=chief), wait until it prints its run folder, and "
        f"see that {IP} and {PORT} are those it listens on."
    )


@contextmanager
def local_workers(count: int, folder: Path) -> Iterator[None]:
    """Makes this process, within the block, the chief of `count` new workers.

    A worker that dies is restarted and gets its trial again. The workers end with this
    process. Raises UserError if one keeps dying.
    """
    os.environ |= {ID: "chief", IP: LOOPBACK, PORT: str(_free_port())}
    # or a cluster's proxy is asked for it; gRPC knows the name in small letters only
    os.environ["no_grpc_proxy"] = LOOPBACK  # noqa: SIM112
    pool = _WorkerPool(count, folder)
    try:
        yield
    except KeyboardInterrupt:
        if pool.failure:
            raise UserError(pool.failure) from None
        raise
    finally:
        pool.stop()
        for name in (ID, IP, PORT):
            del os.environ[name]


class _WorkerPool:
    """Starts worker processes and restarts those that die."""

    def __init__(self, count: int, folder: Path) -> None:
        self._folder = folder
        self._threads = max(1, cores() // count)
        self._starts = dict.fromkeys((f"tuner{n}" for n in range(count)), 0)
        self._workers = {name: self._start(name) for name in self._starts}
        self._stopped = threading.Event()
        self.failure = ""
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        """Restarts dead workers until `stop`."""
        while not self._stopped.wait(1.0):
            for name, worker in self._workers.items():
                if worker.poll() not in (None, 0):
                    self._restart(name, worker.returncode)

    def stop(self) -> None:
        """Stops watching and ends every worker."""
        self._stopped.set()
        self._watcher.join()
        for worker in self._workers.values():
            assert worker.stdin
            worker.stdin.close()  # it ends when it sees that
            worker.wait()

    def _restart(self, name: str, status: int) -> None:
        if self._starts[name] > MAX_RESTARTS:
            self.failure = (
                f"worker {name} ended {self._starts[name]} times, the last time with "
                f"status {status}; {self._log_file(name)} may say why. Completed "
                "trials are saved: continue with --resume."
            )
            self._stopped.set()
            _thread.interrupt_main()
            return
        log.info(f"worker {name} ended with status {status} and is started again")
        self._workers[name] = self._start(name)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        self._starts[name] += 1
        command = [sys.executable, "-m", "tuning.search", "--resume"]
        threads = str(self._threads)
        limits = {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
        with self._log_file(name).open("a") as output:
            return subprocess.Popen(
                [*command, "--run-folder", str(self._folder)],
                env=os.environ | limits | {ID: name, LOCAL_WORKER: "1"},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
            )

    def _log_file(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def end_with_chief() -> None:
    """Ends a worker that was started by a chief on this machine with its chief."""
    if os.environ.get(LOCAL_WORKER):
        threading.Thread(target=_exit_at_end_of_input, daemon=True).start()


def _exit_at_end_of_input() -> None:
    # not sys.stdin, whose lock would abort the interpreter's own end
    while os.read(0, 1024):
        pass
    os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]
