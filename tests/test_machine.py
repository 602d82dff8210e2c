import re

import pytest

from googlenet_keras import machine
from googlenet_keras.errors import UserError
from googlenet_keras.stopwatch import Stopwatch


def test_only_its_own_checkout_names_the_commit():
    commit = machine.commit()
    assert commit is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", commit)


def test_the_environment_says_what_a_result_depends_on():
    found = machine.environment()
    assert found["packages"]["keras"].startswith("3.")
    assert found["cores"] >= 1
    assert found["python"].startswith("3.")


def test_the_stopwatch_counts_up():
    watch = Stopwatch()
    sum(range(10**6))
    first, later = watch.spent(), watch.spent()
    assert 0 < first["cpu_seconds"] <= later["cpu_seconds"]
    assert first["seconds"] <= later["seconds"]
    assert 10 < first["peak_megabytes"] < 20_000


def test_what_an_earlier_process_spent_is_counted():
    watch = Stopwatch()
    watch.add(100.0, 50.0)
    assert 100 <= watch.spent()["seconds"] < 110
    assert 50 <= watch.spent()["cpu_seconds"] < 60


def test_a_line_that_the_system_does_not_have():
    assert machine.proc_field("self/status", "NoSuchThing") is None
    assert machine.proc_field("no/such/file", "Name") is None


def test_more_memory_than_the_machine_has_is_refused_with_both_figures():
    machine.check_memory(1000, "a step", "Make it smaller.")
    with pytest.raises(
        UserError,
        match=r"a step needs at least 1,000,000\.0 GB of memory; this machine has "
        r"[\d,.]+ GB\. Make it smaller\.",
    ):
        machine.check_memory(10**15, "a step", "Make it smaller.")
