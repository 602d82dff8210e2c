import json
import os
import subprocess
import sys
from pathlib import Path

COUNT = int(os.environ.get("MUTATED_PICTURES", "200"))
ROOT = Path(__file__).parents[2]


def run(*command):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=1800,
        cwd=ROOT,
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    assert "Traceback" not in done.stderr
    return done


def test_mutated_pictures_are_read_or_refused(run_folder, tmp_path):
    folder = tmp_path / "pictures"
    found = run(Path(__file__).with_name("fuzzing_pictures.py"), folder, COUNT).stdout
    figures = json.loads(found.splitlines()[-1])
    print(figures)
    # damage is met, and is not all there is
    assert figures["whole"] > COUNT / 10
    assert figures["broken or truncated"] > COUNT / 10
    shown = run("-m", "googlenet_keras", "check-data", folder).stdout
    assert f"in {COUNT + 1} files" in shown
    shown = run("-m", "googlenet_keras", "predict", run_folder, folder).stdout
    assert shown.count("%") == 5 * figures["whole"]
