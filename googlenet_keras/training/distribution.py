"""tf.distribute strategies: replicas on several GPUs or machines, one of them chief."""

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import (
    expand_hostlist,  # SLURM's list syntax has no public reader
    expand_tasks_per_node,
)
from tensorflow.python.eager import context  # timeouts have no public API

from googlenet_keras.data.pipeline import Shard
from googlenet_keras.errors import UserError

START_TIMEOUT_SECONDS = 300  # for all workers to connect: some pull a container first
HEARTBEAT_TIMEOUT_SECONDS = 30  # after which a silent worker counts as lost
GRADIENT_PACK_BYTES = 4_000_000  # sent at once, while other gradients are computed
TASK_TYPES = ("chief", "worker")  # in the order in which TensorFlow numbers them
TF_CONFIG_EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
SLURM_PORT_RANGES = 300  # job IDs modulo this have ports of their own
SLURM_PORTS_PER_JOB = 64
SLURM_FIRST_PORT = 10000  # the last, 29199, is below the ephemeral ports (32768)
Cluster = tuple[tuple[str, ...], int]
"""Addresses (host:port) of all workers, and the index of this process's own."""
LOST_WORKER_ERRORS = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError),
    *(tf.errors.DeadlineExceededError, tf.errors.InternalError),
)


@dataclass(frozen=True)
class Distribution:
    """The workers (processes) of one run and their replicas (devices).

    Each replica holds every weight and computes its part of each batch; all workers
    have the same number of them. name: of --strategy. strategy: TensorFlow's default
    one has a single replica. worker: the index of this process among `workers`.
    Worker 0, the chief, writes the run folder and prints.
    """

    name: str = "none"
    strategy: tf.distribute.Strategy = field(
        default_factory=tf.distribute.get_strategy, repr=False
    )
    worker: int = 0
    workers: int = 1

    @property
    def replicas(self) -> int:
        """Number of replicas of all workers together."""
        return self.strategy.num_replicas_in_sync

    @property
    def is_chief(self) -> bool:
        return self.worker == 0

    @property
    def first_replica(self) -> int:
        """Index of this worker's first replica among all replicas."""
        return self.worker * (self.replicas // self.workers)

    @property
    def shard(self) -> Shard:
        """The part of the images that this worker reads."""
        return Shard(self.worker, self.workers, self.replicas)

    def distribute(
        self, make: Callable[[Shard], tf.data.Dataset]
    ) -> tf.data.Dataset | tf.distribute.DistributedDataset:
        """Distributes the batches that `make` returns for this worker's shard.

        Every worker must have as many batches as it is going to read.
        """
        if self.replicas == 1:
            return make(self.shard)
        # else the workers ask each other before each step whether any has data left
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        return self.strategy.distribute_datasets_from_function(
            lambda _: make(self.shard).apply(endless)
        )

    @contextmanager
    def explain_lost_worker(self, folder: Path) -> Iterator[None]:
        """Turns TensorFlow's errors about a lost worker into a UserError."""
        try:
            yield
        except LOST_WORKER_ERRORS as error:
            if self.workers == 1:
                raise
            raise UserError(
                f"strategy {self.name}: all {self.workers} workers must stay alive, "
                "and one was lost; its own output may say why. Start the same command "
                f"with --resume --run-folder {folder} on all workers. TensorFlow says: "
                f"{_summary(error)}"
            ) from error

    def check_batch_size(self, batch_size: int) -> None:
        """Raises UserError unless the batch divides evenly among the devices."""
        if batch_size % self.replicas:
            raise UserError(
                f"batch_size must be a multiple of the number of devices, "
                f"{self.replicas}; received {batch_size}."
            )

    def describe(self, batch_size: int, learning_rate: float) -> str:
        """One line for the log: workers, devices and images per device."""
        who = f"{self.workers} workers, " if self.workers > 1 else ""
        each = batch_size // self.replicas
        return (
            f"strategy {self.name}: {who}{self.replicas} devices, {each} images of the "
            f"batch of {batch_size} each, learning rate {learning_rate:g}"
        )

    def check_agreement(self, facts: Mapping[str, Any]) -> None:
        """Raises UserError on every worker unless `facts` are the same on all."""
        if self.workers == 1:
            return
        texts = {name: json.dumps(fact, default=str) for name, fact in facts.items()}
        own = [zlib.crc32(text.encode()) for text in texts.values()]
        equal = (self._gather_numbers(own) == own).all(axis=0)
        if not equal.all():
            names = [name for name, same in zip(texts, equal, strict=True) if not same]
            has = ", ".join(f"{name} {texts[name]:.100}" for name in names)
            raise UserError(
                "all workers must have the same options and data; they differ in "
                f"{', '.join(names)}. Worker {self.worker} has {has}. Start the same "
                "command with the same data on all of them."
            )

    def maximum(self, number: int) -> int:
        """Returns the largest `number` of all workers; every worker must call it."""
        return int(self._gather_numbers([number]).max())

    def _gather_numbers(self, numbers: Sequence[int]) -> np.ndarray:
        """Returns the `numbers` of all devices, [devices, numbers]."""
        gathered = self._gather(tf.constant(numbers, tf.int64))
        return gathered.numpy().reshape(-1, len(numbers))

    @tf.function
    def _gather(self, numbers: tf.Tensor) -> tf.Tensor:
        own = self.strategy.run(tf.identity, args=(numbers,))
        return self.strategy.gather(own, axis=0)


def start_distribution(name: str) -> Distribution:
    """Sets up --strategy `name`: none, mirrored or multi-worker.

    multi-worker waits until all workers have connected. Call it before TensorFlow
    computes anything, or it cannot connect any more. Raises UserError.
    """
    if keras.distribution.distribution() is not None:
        raise UserError(
            "keras.distribution does nothing on TensorFlow, and one is set; remove "
            "set_distribution and use --strategy mirrored or multi-worker."
        )
    if name == "multi-worker":
        return _join(*find_cluster(os.environ))
    if name != "mirrored":
        return Distribution()
    gpus = tf.config.list_logical_devices("GPU")
    devices = [x.name for x in gpus or tf.config.list_logical_devices("CPU")]
    if len(devices) < 2:
        raise UserError(
            f"--strategy mirrored needs at least two GPUs; this machine has {len(gpus)}"
            ". Use --strategy none."
        )
    return Distribution(name, tf.distribute.MirroredStrategy(devices))


def _join(addresses: tuple[str, ...], worker: int) -> Distribution:
    """Connects this worker with all others, or raises UserError."""
    _set_timeouts(len(addresses))
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}),
        task_type="worker",
        task_id=worker,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    options = tf.distribute.experimental.CommunicationOptions(
        bytes_per_pack=GRADIENT_PACK_BYTES
    )
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
    except (*LOST_WORKER_ERRORS, tf.errors.UnknownError) as error:
        raise UserError(
            f"all {len(addresses)} workers must start within {START_TIMEOUT_SECONDS} "
            f"seconds; worker {worker} could not connect to all of "
            f"{', '.join(addresses)}. Start the same command on each, with its own "
            "index, and check that they reach each other's ports. TensorFlow says: "
            f"{_summary(error)}"
        ) from error
    return Distribution("multi-worker", strategy, worker, len(addresses))


def _set_timeouts(workers: int) -> None:
    """Configures TensorFlow's coordination service as the strategy does, plus timeouts.

    Without them a worker that is lost, or never starts, blocks the others forever.
    """
    jobs = tf.compat.v1.ConfigProto().experimental.coordination_config
    jobs.coordinated_job_list.add(name="worker", num_tasks=workers)
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        coordinated_jobs=list(jobs.coordinated_job_list),
        cluster_register_timeout_in_ms=START_TIMEOUT_SECONDS * 1000,
        heartbeat_timeout_in_ms=HEARTBEAT_TIMEOUT_SECONDS * 1000,
    )
    # else the timeout for registering does not hold for the first worker
    context.context().coordination_service.cluster_register_with_barrier = True


def _summary(error: Exception) -> str:
    """The line of TensorFlow's error that names a worker, or the error's type."""
    lines = [line.strip() for line in str(error).splitlines()]
    named = [line for line in lines if "task:" in line and "{{" not in line]
    return (named or [type(error).__name__])[0]


def find_cluster(variables: Mapping[str, str]) -> Cluster:
    """The workers in the environment `variables`: TF_CONFIG's, else SLURM's.

    Raises UserError if there are neither, or they do not describe a cluster.
    """
    if text := variables.get("TF_CONFIG"):
        return _from_tf_config(text)
    if "SLURM_PROCID" in variables:
        return _from_slurm(variables)
    raise UserError(
        "--strategy multi-worker reads its workers from TF_CONFIG or from SLURM's "
        "variables; neither TF_CONFIG nor SLURM_PROCID is set. On the first of two "
        f"machines: export TF_CONFIG='{TF_CONFIG_EXAMPLE}'; or start with srun."
    )


def _from_tf_config(text: str) -> Cluster:
    def error(why: str) -> UserError:
        return UserError(
            f"TF_CONFIG must name the workers and this process's task: {why}; received "
            f"{text:.500}. An example: {TF_CONFIG_EXAMPLE}"
        )

    try:
        data = json.loads(text)
        jobs, task = data["cluster"], data["task"]
        place = (task["type"], int(task["index"]))
        places = {(job, i): address for job in TASK_TYPES
                  for i, address in enumerate(jobs.get(job, ()))}  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as cause:
        raise error("it cannot be read") from cause
    if others := sorted(set(jobs) - set(TASK_TYPES)):
        raise error(f"its jobs can be chief and worker, not {others[0]}")
    if place not in places:
        raise error("its task is not in its cluster")
    addresses = tuple(places.values())
    for address in addresses:
        if not (isinstance(address, str) and address.rpartition(":")[2].isdecimal()):
            raise error(f"an address is host:port, not {address!r}")
    if len(set(addresses)) < len(addresses):
        raise error("two workers have the same address")
    return addresses, list(places).index(place)


def _from_slurm(variables: Mapping[str, str]) -> Cluster:
    """One worker for each task of the SLURM step, in the order of their ranks.

    TensorFlow's SlurmClusterResolver is not used: it sorts hosts by name, n10 before
    n9, which gives ranks the wrong addresses, and divides by zero without a GPU.
    """
    try:
        hosts = expand_hostlist(variables["SLURM_STEP_NODELIST"])
        tasks = expand_tasks_per_node(variables["SLURM_STEP_TASKS_PER_NODE"])
        job = int(variables.get("SLURM_JOB_ID", 0))
        port = SLURM_FIRST_PORT + job % SLURM_PORT_RANGES * SLURM_PORTS_PER_JOB
        addresses = tuple(f"{host}:{port + task}"
                          for host, count in zip(hosts, tasks, strict=True)
                          for task in range(count))  # fmt: skip
        return addresses, int(variables["SLURM_PROCID"])
    except (ValueError, KeyError) as error:
        raise UserError(
            "--strategy multi-worker cannot read SLURM_PROCID, SLURM_STEP_NODELIST and "
            f"SLURM_STEP_TASKS_PER_NODE: {error}. Start it with srun."
        ) from error
