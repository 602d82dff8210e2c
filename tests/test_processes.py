import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from googlenet_keras.processes import ProcessError, child_process

ROOT = Path(__file__).parents[1]


def refuse(reason):
    raise ValueError(reason)


def test_it_gives_what_the_function_gives_elsewhere(tmp_path):
    with child_process(tmp_path / "log.txt") as call:
        assert call(os.getpid) != os.getpid()
        call(print, "heard")
    assert (tmp_path / "log.txt").read_text() == "heard\n"


def test_what_it_raises_and_its_death_are_one_kind_of_error(tmp_path):
    with child_process(tmp_path / "log.txt") as call:
        with pytest.raises(ProcessError, match=r"^the loss must stay finite$"):
            call(refuse, "\nthe loss must stay finite\nand more")
        with pytest.raises(ProcessError, match=r"its process died; see log.txt"):
            call(os._exit, 3)
        assert call(len, "next") == 4


SUICIDE = """
import os, sys
from pathlib import Path
from googlenet_keras.processes import child_process
with child_process(None) as call:
    print(call(os.getpid), flush=True)
    os.kill(os.getpid(), 9)
"""


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


def test_it_ends_with_its_parent():
    done = subprocess.run(
        [sys.executable, "-c", SUICIDE], stdout=subprocess.PIPE, check=False, cwd=ROOT
    )
    child = Path("/proc", done.stdout.decode().strip())
    end = time.monotonic() + 20
    while child.exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert done.returncode == -9
    assert not child.exists()
