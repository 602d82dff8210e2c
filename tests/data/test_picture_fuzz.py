import json
import os
import subprocess
import sys
from pathlib import Path

from googlenet_keras.cli import main

COUNT = int(os.environ.get("MUTATED_PICTURES", "200"))


def test_mutated_pictures_are_read_or_refused(run_folder, tmp_path, capsys):
    folder = tmp_path / "pictures"
    script = Path(__file__).with_name("fuzzing_pictures.py")
    done = subprocess.run(
        [sys.executable, script, folder, str(COUNT)],
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    figures = json.loads(done.stdout.splitlines()[-1])
    # damage is met, and is not all there is
    assert figures["whole"] > COUNT / 10
    assert figures["broken or truncated"] > COUNT / 10
    main(["check-data", str(folder)])
    assert f"in {COUNT + 1} files" in capsys.readouterr().out
    main(["predict", str(run_folder), str(folder)])
    assert capsys.readouterr().out.count("%") == 5 * figures["whole"]
