import subprocess
import sys
from pathlib import Path

import pytest
from making import write_photos

from googlenet_keras.cli import main


@pytest.mark.slow
def test_a_table_of_labels(run_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = write_photos(Path("[red]"), {"a": 1})
    main(["predict", str(run_folder), str(root / "a" / "0.jpg"), "--top", "2"])
    out = capsys.readouterr().out
    assert out.count("%") == 2
    assert "[red]/a/0.jpg" in out


@pytest.mark.slow
def test_pictures_of_where_the_network_looks(run_folder, tmp_path, capsys):
    root = write_photos(tmp_path / "photos", {"a": 2})
    made = tmp_path / "made"
    main(["predict", str(run_folder), str(root / "a"), "--explain", str(made)])
    assert sorted(path.name for path in made.iterdir()) == ["0.png", "1.png"]
    assert "2 activation maps are in" in capsys.readouterr().out


@pytest.mark.slow
def test_a_pipe_gets_whole_names(run_folder, tmp_path):
    root = write_photos(tmp_path / ("long name " * 20), {"a": 1})
    photo = str(root / "a" / "0.jpg")
    command = [sys.executable, "-m", "googlenet_keras", "predict", run_folder, photo]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if "0.jpg" in line]
    assert line.startswith(photo)
    assert line.count("%") == 5
