"""One run on several devices and machines: who computes, who writes, who is gone."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.eager import context  # timeouts have no public name

from googlenet_keras.data.pipeline import Shard
from googlenet_keras.errors import UserError
from googlenet_keras.training.cluster import Cluster, find_cluster

START_SECONDS = 300  # in which all workers must have come: a container is fetched first
SILENT_SECONDS = 30  # after which a worker that sends no heartbeat counts as lost
PACK_BYTES = 4_000_000  # of gradients sent at once, while others are still computed
GONE = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError),
    *(tf.errors.DeadlineExceededError, tf.errors.InternalError),
)


@dataclass(frozen=True)
class Team:
    """The processes of one run, its workers, each with the same number of devices.

    A device is a replica: it holds every weight and computes its part of each batch.
    strategy: TensorFlow's; its default one computes alone. worker: which of the
    `workers` this process is. Worker 0 writes the run folder and prints.
    """

    name: str = "none"
    strategy: tf.distribute.Strategy = field(
        default_factory=tf.distribute.get_strategy, repr=False
    )
    worker: int = 0
    workers: int = 1

    @property
    def replicas(self) -> int:
        """Devices of all workers together."""
        return self.strategy.num_replicas_in_sync

    @property
    def writes(self) -> bool:
        """Whether this worker writes and prints."""
        return self.worker == 0

    @property
    def first_replica(self) -> int:
        """The number among all devices of this worker's first."""
        return self.worker * (self.replicas // self.workers)

    @property
    def share(self) -> Shard:
        """What this worker reads of all images."""
        return Shard(self.worker, self.workers, self.replicas)

    def batches(
        self, make: Callable[[Shard], tf.data.Dataset]
    ) -> tf.data.Dataset | tf.distribute.DistributedDataset:
        """The batches that `make` gives for this worker's share, one for each device.

        Every worker must have as many as it will ask for.
        """
        if self.replicas == 1:
            return make(self.share)
        # or the workers would ask each other before each step who has a batch left
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        return self.strategy.distribute_datasets_from_function(
            lambda _: make(self.share).apply(endless)
        )

    @contextmanager
    def watched(self, folder: Path) -> Iterator[None]:
        """Turns the loss of a worker within the block into a UserError."""
        try:
            yield
        except GONE as error:
            if self.workers == 1:
                raise
            raise UserError(
                f"strategy {self.name}: all {self.workers} workers must live, and one "
                "is gone; its own output may say why. Start the same command with "
                f"--resume --run-folder {folder} on all workers. TensorFlow says: "
                f"{_reason(error)}"
            ) from error

    def check_batch(self, batch_size: int) -> None:
        """Raises UserError for a batch that its devices cannot share evenly."""
        if batch_size % self.replicas:
            raise UserError(
                f"batch_size must be a multiple of the number of devices, "
                f"{self.replicas}; received {batch_size}."
            )

    def describe(self, batch_size: int, learning_rate: float) -> str:
        """A line that says who computes how much of a batch, at what rate."""
        who = f"{self.workers} workers, " if self.workers > 1 else ""
        each = batch_size // self.replicas
        return (
            f"strategy {self.name}: {who}{self.replicas} devices, {each} images of the "
            f"batch of {batch_size} each, learning rate {learning_rate:g}"
        )

    def check_agreement(self, facts: Mapping[str, Any]) -> None:
        """Raises UserError on every worker unless all have the same `facts`."""
        if self.workers == 1:
            return
        text = json.dumps(facts, sort_keys=True, default=str)
        if len(set(self._all_of(zlib.crc32(text.encode())))) > 1:
            raise UserError(
                "all workers must have the same options and data, and they differ. "
                f"Worker {self.worker} has {text}"
            )

    def largest(self, number: int) -> int:
        """The largest number that any worker calls this with; all must call it."""
        return max(self._all_of(number))

    def _all_of(self, number: int) -> list[int]:
        own = tf.constant([number], tf.int64)
        return _gathering(self.strategy)(own).numpy().tolist()


def _reason(error: Exception) -> str:
    """The line of TensorFlow's message that names a worker, or its kind."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if "task:" in line and "{{" not in line]
    return (telling or [type(error).__name__])[0]


@cache
def _gathering(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from each replica's [1] to all of theirs, [replicas]."""

    @tf.function
    def gathered(number):
        own = strategy.run(tf.identity, args=(number,))
        return strategy.gather(own, axis=0)

    return gathered


def start(name: str, variables: Mapping[str, str] = os.environ) -> Team:
    """The team of --strategy `name`: none, mirrored or multi-worker.

    multi-worker waits for the other workers. It must come before anything else is
    computed, since TensorFlow learns of other machines only then. Raises UserError.
    """
    if keras.distribution.distribution() is not None:
        raise UserError(
            "keras.distribution does nothing on TensorFlow, and one is set; remove "
            "set_distribution and use --strategy mirrored or multi-worker."
        )
    if name == "multi-worker":
        return _joined(find_cluster(variables))
    if name == "mirrored":
        return Team(name, tf.distribute.MirroredStrategy(_devices()))
    return Team()


def _devices() -> list[str]:
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        raise UserError(
            f"--strategy mirrored needs at least two GPUs; this machine has {len(gpus)}"
            ". Use --strategy none."
        )
    return [device.name for device in devices]


def _joined(cluster: Cluster) -> Team:
    _set_timeouts(len(cluster.addresses))
    gpus = len(tf.config.list_physical_devices("GPU"))
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": cluster.addresses}),
        task_type="worker",
        task_id=cluster.worker,
        num_accelerators={"GPU": gpus},
        rpc_layer="grpc",
    )
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(
            resolver,
            tf.distribute.experimental.CommunicationOptions(bytes_per_pack=PACK_BYTES),
        )
    except (*GONE, tf.errors.UnknownError) as error:
        raise UserError(_absent(cluster, error)) from error
    return Team("multi-worker", strategy, cluster.worker, len(cluster.addresses))


def _set_timeouts(workers: int) -> None:
    """What MultiWorkerMirroredStrategy would set itself, but with an end to waiting."""
    jobs = tf.compat.v1.ConfigProto().experimental.coordination_config
    jobs.coordinated_job_list.add(name="worker", num_tasks=workers)
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        coordinated_jobs=list(jobs.coordinated_job_list),
        cluster_register_timeout_in_ms=START_SECONDS * 1000,
        heartbeat_timeout_in_ms=SILENT_SECONDS * 1000,
    )
    # or the first worker would wait for the others for ever
    context.context().coordination_service.cluster_register_with_barrier = True


def _absent(cluster: Cluster, error: Exception) -> str:
    return (
        f"all {len(cluster.addresses)} workers must start within {START_SECONDS} "
        f"seconds; worker {cluster.worker} waited in vain for the others at "
        f"{', '.join(cluster.addresses)}. Start the same command on each, with its own "
        "index, and check that they reach each other's ports. TensorFlow says: "
        f"{_reason(error)}"
    )
