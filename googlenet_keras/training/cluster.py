"""Which processes train together, read from what starts them: TF_CONFIG or SLURM."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from googlenet_keras.errors import UserError

JOBS = ("chief", "worker")  # in the order in which TensorFlow numbers the workers
EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
FIRST_PORT, PORTS_PER_JOB, JOBS_PER_NODE = 10000, 64, 300  # below 32768: ephemeral


@dataclass(frozen=True)
class Cluster:
    """Addresses, host:port, of the workers, and which of them this process is."""

    addresses: tuple[str, ...]
    worker: int


def find_cluster(variables: Mapping[str, str]) -> Cluster:
    """The workers that TF_CONFIG, or else SLURM, names in these environment variables.

    Raises UserError where neither does, or what it says is no cluster.
    """
    if text := variables.get("TF_CONFIG"):
        return _from_tf_config(text)
    if "SLURM_PROCID" in variables:
        return _from_slurm(variables)
    raise UserError(
        "--strategy multi-worker takes its workers from TF_CONFIG or from SLURM's "
        "variables; neither TF_CONFIG nor SLURM_PROCID is set. On the first of two "
        f"machines: export TF_CONFIG='{EXAMPLE}'; or start with srun."
    )


def _from_tf_config(text: str) -> Cluster:
    try:
        data = json.loads(text)
        jobs, task = data["cluster"], data["task"]
        place = (task["type"], int(task["index"]))
        places = {(job, i): address for job in JOBS
                  for i, address in enumerate(jobs.get(job, ()))}  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _refused("it cannot be read", text) from error
    if others := sorted(set(jobs) - set(JOBS)):
        raise _refused(f"its jobs can be chief and worker, not {others[0]}", text)
    if place not in places:
        raise _refused("its task is none of its cluster", text)
    _check_addresses(list(places.values()), text)
    return Cluster(tuple(places.values()), list(places).index(place))


def _check_addresses(addresses: list[Any], text: str) -> None:
    for address in addresses:
        if not (isinstance(address, str) and address.rpartition(":")[2].isdecimal()):
            raise _refused(f"an address is host:port, not {address!r}", text)
    if len(set(addresses)) < len(addresses):
        raise _refused("two workers have the same address", text)


def _refused(why: str, text: str) -> UserError:
    return UserError(
        f"TF_CONFIG must name the workers and which of them this is: {why}; received "
        f"{text}. An example: {EXAMPLE}"
    )


def _from_slurm(variables: Mapping[str, str]) -> Cluster:
    """One worker a task of the SLURM step, in the order of their ranks.

    TensorFlow's SlurmClusterResolver sorts the hosts by name, n10 before n9, and so
    gives ranks the addresses of others; without a GPU it divides by zero.
    """
    # the resolver's own readers of SLURM's lists
    from tensorflow.python.distribute.cluster_resolver import (
        slurm_cluster_resolver as slurm,
    )

    try:
        hosts = slurm.expand_hostlist(variables["SLURM_STEP_NODELIST"])
        tasks = slurm.expand_tasks_per_node(variables["SLURM_STEP_TASKS_PER_NODE"])
        job = int(variables.get("SLURM_JOB_ID", 0))
        rank = int(variables["SLURM_PROCID"])
        places = [host for host, n in zip(hosts, tasks, strict=True) for _ in range(n)]
    except (ValueError, KeyError) as error:
        raise UserError(
            "--strategy multi-worker reads SLURM_PROCID, SLURM_STEP_NODELIST and "
            f"SLURM_STEP_TASKS_PER_NODE; this went wrong: {error}. Start it with srun."
        ) from error
    port = FIRST_PORT + job % JOBS_PER_NODE * PORTS_PER_JOB
    taken: Counter[str] = Counter()
    addresses = []
    for host in places:
        addresses.append(f"{host}:{port + taken[host]}")
        taken[host] += 1
    return Cluster(tuple(addresses), rank)
