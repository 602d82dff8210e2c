import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from making import is_running, processes

from googlenet_keras.errors import UserError
from googlenet_keras.processes import ProcessError, child_process

ROOT = Path(__file__).parents[1]
PR_SET_CHILD_SUBREAPER = 36  # of Linux's prctl(2)


REFUSE = r"raise ValueError('\nthe loss must stay finite\nand more')"


def test_it_gives_what_the_function_gives_elsewhere(tmp_path):
    with child_process(tmp_path / "log.txt") as call:
        assert call(os.getpid) != os.getpid()
        call(print, "heard")
    assert (tmp_path / "log.txt").read_text() == "heard\n"


@pytest.mark.slow
def test_what_it_raises_and_its_death_are_one_kind_of_error(tmp_path):
    with child_process(tmp_path / "log.txt") as call:
        with pytest.raises(ProcessError, match=r"^the loss must stay finite$"):
            call(exec, REFUSE)
        with pytest.raises(ProcessError, match=r"its process died; see log.txt"):
            call(os._exit, 3)
        assert call(len, "next") == 4


UNGUARDED = """
import os
from googlenet_keras.processes import child_process
print("the script runs", flush=True)
with child_process(None) as call:
    assert call(os.getpid) != os.getpid()
print("and ends")
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["the script runs", "and ends"]


@pytest.fixture
def orphans():
    """Lists the processes that lost their parent during a test, ended ones too."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # they become ours
    before = set(children())
    yield lambda: [pid for pid in children() if pid not in before]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0)
    for pid in set(children()) - before:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def children():
    return [pid for pid, parent, _ in processes() if parent == os.getpid()]


WAITING = """
import os, signal, time
from pathlib import Path
from googlenet_keras.console import run_script
from googlenet_keras.processes import child_process
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
def compute(_):
    sum(range(10**12))  # never lets another thread of Python run
def write_pids(folder):
    (folder / f"{os.getpid()}.pid").touch()
def in_child(folder, work, argument):
    with child_process(None) as call:
        call(write_pids, folder)
        call(work, argument)
def nested(folder):
    in_child(folder, compute, None)
"""
WORKS = {
    "sleeping": "in_child(folder, time.sleep, 600)",
    "computing": "in_child(folder, compute, None)",
    "with a child": "in_child(folder, nested, folder)",
}


@pytest.fixture(params=WORKS)
def parent(request, tmp_path, orphans):
    """A script whose child, or child's child, is at work; kept apart by its folder."""
    count = 2 if request.param == "with a child" else 1
    (tmp_path / "waiting.py").write_text(WAITING)
    code = (
        "import sys, time; from pathlib import Path; from waiting import *; "
        f"folder = Path(sys.argv[1]); run_script(lambda: {WORKS[request.param]})"
    )
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path],
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        end = time.monotonic() + 60
        while len(list(tmp_path.glob("*.pid"))) < count and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.5)  # the work begins
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("number", "status", "shown"),
    [
        (signal.SIGTERM, 128 + signal.SIGTERM, "ended by SIGTERM\n"),
        (signal.SIGINT, 128 + signal.SIGINT, "interrupted\n"),
    ],
)
def test_a_script_that_is_stopped_ends_its_children_itself(
    parent, orphans, number, status, shown
):
    parent.send_signal(number)
    _, error = parent.communicate(timeout=30)
    assert (parent.returncode, error) == (status, shown)
    assert orphans() == []


def test_children_end_with_a_parent_that_is_killed(parent, orphans):
    parent.kill()
    parent.communicate(timeout=30)
    end = time.monotonic() + 10
    while any(map(is_running, orphans())) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(is_running, orphans()))


def test_nothing_is_left_of_a_script_that_ends(orphans):
    code = (
        "import os; from googlenet_keras.processes import child_process\n"
        "with child_process(None) as call: call(os.getpid)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert orphans() == []


def test_a_log_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "log.txt")
    with (
        pytest.raises(UserError, match=r"only regular files .*log.txt is a folder"),
        child_process(tmp_path / "log.txt"),
    ):
        pass


LATE = """
import os
from multiprocessing import get_context, resource_tracker, util
import googlenet_keras.processes
get_context("spawn").Semaphore()
pipe = resource_tracker._resource_tracker._fd
util.Finalize(None, os.write, (pipe, b"PROBE:0:noop"), exitpriority=-2)
"""


def test_who_writes_to_the_resource_tracker_after_its_end_gets_no_error():
    done = subprocess.run(
        [sys.executable, "-c", LATE], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
