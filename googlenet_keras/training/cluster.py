"""Reads the workers of a multi-worker run from TF_CONFIG or SLURM's variables."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from googlenet_keras.errors import UserError

TASK_TYPES = ("chief", "worker")  # in the order in which TensorFlow numbers them
TF_CONFIG_EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
SLURM_PORT_RANGES = 300  # job IDs modulo this have ports of their own
SLURM_PORTS_PER_JOB = 64
SLURM_FIRST_PORT = 10000  # the last, 29199, is below the ephemeral ports (32768)


@dataclass(frozen=True)
class Cluster:
    """Addresses (host:port) of all workers, and the index of this process's own."""

    addresses: tuple[str, ...]
    worker: int


def find_cluster(variables: Mapping[str, str]) -> Cluster:
    """Reads the workers from the environment `variables`: TF_CONFIG, else SLURM's.

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
    try:
        data = json.loads(text)
        jobs, task = data["cluster"], data["task"]
        place = (task["type"], int(task["index"]))
        places = {(job, i): address for job in TASK_TYPES
                  for i, address in enumerate(jobs.get(job, ()))}  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _tf_config_error("it cannot be read", text) from error
    if others := sorted(set(jobs) - set(TASK_TYPES)):
        raise _tf_config_error(
            f"its jobs can be chief and worker, not {others[0]}", text
        )
    if place not in places:
        raise _tf_config_error("its task is not in its cluster", text)
    _check_addresses(list(places.values()), text)
    return Cluster(tuple(places.values()), list(places).index(place))


def _check_addresses(addresses: list[Any], text: str) -> None:
    for address in addresses:
        if not (isinstance(address, str) and address.rpartition(":")[2].isdecimal()):
            raise _tf_config_error(f"an address is host:port, not {address!r}", text)
    if len(set(addresses)) < len(addresses):
        raise _tf_config_error("two workers have the same address", text)


def _tf_config_error(why: str, text: str) -> UserError:
    return UserError(
        f"TF_CONFIG must name the workers and this process's task: {why}; received "
        f"{text}. An example: {TF_CONFIG_EXAMPLE}"
    )


def _from_slurm(variables: Mapping[str, str]) -> Cluster:
    """One worker for each task of the SLURM step, in the order of their ranks.

    TensorFlow's SlurmClusterResolver is not used: it sorts hosts by name, n10 before
    n9, which gives ranks the wrong addresses, and divides by zero without a GPU.
    """
    # private, but the only readers of SLURM's list syntax that we have
    from tensorflow.python.distribute.cluster_resolver import (
        slurm_cluster_resolver as slurm,
    )

    try:
        hosts = slurm.expand_hostlist(variables["SLURM_STEP_NODELIST"])
        tasks = slurm.expand_tasks_per_node(variables["SLURM_STEP_TASKS_PER_NODE"])
        job = int(variables.get("SLURM_JOB_ID", 0))
        rank = int(variables["SLURM_PROCID"])
        places = [(host, task) for host, n in zip(hosts, tasks, strict=True)
                  for task in range(n)]  # fmt: skip
    except (ValueError, KeyError) as error:
        raise UserError(
            "--strategy multi-worker reads SLURM_PROCID, SLURM_STEP_NODELIST and "
            f"SLURM_STEP_TASKS_PER_NODE; they cannot be read: {error}. Start it with "
            "srun."
        ) from error
    port = SLURM_FIRST_PORT + job % SLURM_PORT_RANGES * SLURM_PORTS_PER_JOB
    addresses = [f"{host}:{port + task}" for host, task in places]
    return Cluster(tuple(addresses), rank)
