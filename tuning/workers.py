"""keras-tuner's chief and its workers: several processes, or several machines.

KERASTUNER_TUNER_ID (chief, tuner0, tuner1, ...), KERASTUNER_ORACLE_IP and
KERASTUNER_ORACLE_PORT say who is who.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from googlenet_keras.errors import UserError
from googlenet_keras.machine import cores

ID, IP, PORT = (
    f"KERASTUNER_{name}" for name in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT")
)
LOCAL = "GOOGLENET_KERAS_LOCAL_WORKER"  # set where the chief holds a worker's input
LOOPBACK = "127.0.0.1"
PATIENCE = 45  # seconds for a chief to be there
ANSWER = 600  # seconds for its answer; a Gaussian process may think for a minute
RESTARTS = 5  # of a worker, before the search is given up


def role() -> str:
    """alone, chief or worker, by the environment. Raises UserError for half of it."""
    given = [name for name in (ID, IP, PORT) if os.environ.get(name)]
    if not given:
        return "alone"
    if len(given) < 3:
        raise UserError(
            f"a search on several machines needs {ID}, {IP} and {PORT}; received "
            f"{' and '.join(given)} only."
        )
    return "chief" if "chief" in os.environ[ID] else "worker"


def check_address() -> None:
    """Raises UserError where a chief cannot listen on the address that is given."""
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


def reach_chief() -> None:
    """Waits for the chief to answer. Raises UserError if it does not within 45 s."""
    import grpc
    from keras_tuner.src.distribute import oracle_client

    address = f"{os.environ[IP]}:{os.environ[PORT]}"
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE)
        except grpc.FutureTimeoutError as error:
            raise _lost(address, PATIENCE) from error
    oracle_client.TIMEOUT = ANSWER  # keras-tuner would wait for an hour


@contextmanager
def chief_errors() -> Iterator[None]:
    """Turns the loss of the chief within the block into a UserError."""
    import grpc

    try:
        yield
    except grpc.RpcError as error:
        raise _lost(f"{os.environ[IP]}:{os.environ[PORT]}", ANSWER) from error


def _lost(address: str, seconds: int) -> UserError:
    return UserError(
        f"a worker needs its chief, and none answers at {address} for {seconds} s. "
        f"Start the chief first ({ID}=chief), wait until it prints its run folder, and "
        f"see that {IP} and {PORT} are those it listens on."
    )


@contextmanager
def local_workers(count: int, folder: Path) -> Iterator[None]:
    """Makes this process the chief, on loopback, of `count` workers for the block.

    A worker that dies is started again and gets its trial again. The workers end with
    this process. Raises UserError when one keeps dying.
    """
    os.environ |= {ID: "chief", IP: LOOPBACK, PORT: str(_free_port())}
    # or a cluster's proxy is asked for it; gRPC knows the name in small letters only
    os.environ["no_grpc_proxy"] = LOOPBACK  # noqa: SIM112
    crew = _Crew(count, folder)
    try:
        yield
    except KeyboardInterrupt:
        if crew.given_up:
            raise UserError(crew.given_up) from None
        raise
    finally:
        crew.stop()
        for name in (ID, IP, PORT):
            del os.environ[name]


class _Crew:
    """Starts workers, and starts again those that end before their work does."""

    def __init__(self, count: int, folder: Path) -> None:
        self._folder = folder
        self._threads = max(1, cores() // count)
        self._starts = dict.fromkeys((f"tuner{n}" for n in range(count)), 0)
        self._workers = {name: self._started(name) for name in self._starts}
        self._ended = threading.Event()
        self.given_up = ""
        self._watch = threading.Thread(target=self._restart_the_dead, daemon=True)
        self._watch.start()

    def _restart_the_dead(self) -> None:
        """Until `stop`."""
        while not self._ended.wait(1.0):
            for name, worker in self._workers.items():
                if worker.poll() not in (None, 0):
                    self._restart(name, worker.returncode)

    def stop(self) -> None:
        """Ends the watch and every worker."""
        self._ended.set()
        self._watch.join()
        for worker in self._workers.values():
            worker.stdin.close()  # it ends when it sees that
            worker.wait()

    def _restart(self, name: str, status: int) -> None:
        if self._starts[name] > RESTARTS:
            import _thread

            self.given_up = (
                f"worker {name} ended {self._starts[name]} times, the last time with "
                f"status {status}; {self._log(name)} may say why. What is done is "
                "kept: go on with --resume."
            )
            self._ended.set()
            _thread.interrupt_main()
            return
        print(f"worker {name} ended with status {status} and is started again")
        self._workers[name] = self._started(name)

    def _started(self, name: str) -> subprocess.Popen:
        self._starts[name] += 1
        command = [sys.executable, "-m", "tuning.search", "--resume"]
        threads = str(self._threads)
        limits = {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
        with self._log(name).open("a") as log:
            return subprocess.Popen(
                [*command, "--run-folder", str(self._folder)],
                env=os.environ | limits | {ID: name, LOCAL: "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def end_with_chief() -> None:
    """Has a worker that a chief on this machine began end when its chief does."""
    if os.environ.get(LOCAL):
        threading.Thread(target=_read_and_end, daemon=True).start()


def _read_and_end() -> None:
    # not sys.stdin, whose lock would abort the interpreter's own end
    while os.read(0, 1024):
        pass
    os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]
