import json

import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.training.distribution import find_cluster

TWO = ["10.0.0.1:2222", "10.0.0.2:2222"]


def tf_config(cluster, kind="worker", index=0):
    task = {"type": kind, "index": index}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


def slurm(nodes, tasks, rank, **more):
    step = {"SLURM_STEP_NODELIST": nodes, "SLURM_STEP_TASKS_PER_NODE": tasks}
    return step | {"SLURM_PROCID": str(rank)} | more


def test_tf_config_names_the_workers():
    assert find_cluster(tf_config({"worker": TWO}, index=1)) == (tuple(TWO), 1)


def test_a_chief_comes_before_the_workers():
    jobs = {"worker": TWO, "chief": ["10.0.0.9:1"]}
    expected = ("10.0.0.9:1", *TWO)
    assert find_cluster(tf_config(jobs, "chief")) == (expected, 0)
    assert find_cluster(tf_config(jobs, index=1)) == (expected, 2)


@pytest.mark.parametrize(("variables", "why"), [
    ({"TF_CONFIG": "{"}, "it cannot be read; received {. An example:"),
    ({"TF_CONFIG": "[]"}, "cannot be read"),
    ({"TF_CONFIG": "[" * 10**5}, "cannot be read"),
    (tf_config({"worker": TWO}, index=2), "its task is not in its cluster"),
    (tf_config({"worker": TWO, "ps": TWO}), "can be chief and worker, not ps"),
    (tf_config({"worker": TWO}, "evaluator"), "its task is not in its cluster"),
    (tf_config({"worker": ["host", "b:1"]}), "an address is host:port, not 'host'"),
    (tf_config({"worker": [TWO[0]] * 2}), "two workers have the same address"),
    ({}, "neither TF_CONFIG nor SLURM_PROCID is set"),
    ({"SLURM_PROCID": "0"}, "'SLURM_STEP_NODELIST'. Start it with srun"),
    (slurm("n[1-2]", "1", 0), "SLURM_STEP_TASKS_PER_NODE: zip"),
    (slurm("n[1-", "1", 0), "Invalid hostlist format"),
])  # fmt: skip
def test_invalid_clusters_are_refused(variables, why):
    with pytest.raises(UserError) as error:
        find_cluster(variables)
    assert why in str(error.value)


def test_slurms_ranks_have_the_addresses_of_their_own_hosts():
    ranks = slurm("n[9-10],m1", "2(x2),1", 4, SLURM_JOB_ID="7")
    addresses, worker = find_cluster(ranks)
    hosts = [address.partition(":")[0] for address in addresses]
    assert hosts == ["n9", "n9", "n10", "n10", "m1"]
    ports = [int(address.partition(":")[2]) for address in addresses]
    assert ports == [10448, 10449, 10448, 10449, 10448]
    assert worker == 4
