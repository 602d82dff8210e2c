import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from making import write_photos

from googlenet_keras.cli import main
from googlenet_keras.errors import UserError


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


@pytest.mark.parametrize("arguments", [("",), ("x.jpg", ""), ("x.jpg", "--explain=")])
def test_an_empty_name_is_not_the_current_folder(arguments):
    with pytest.raises(UserError, match=r"the current folder is a dot \(\.\)"):
        main(["predict", "run", *arguments])


@pytest.mark.slow
@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_names_that_are_not_utf_8_are_escaped(run_folder, tmp_path, locale):
    root = write_photos(tmp_path / ("long name " * 20), {"a": 1})  # a pipe cuts nothing
    for name in (b"caf\xe9.jpg", "caf\xe9.jpg".encode()):
        shutil.copy(root / "a" / "0.jpg", os.fsencode(root / "a") + b"/" + name)
    made = tmp_path / "made"
    done = subprocess.run(
        [sys.executable, "-m", "googlenet_keras", "predict", run_folder, root / "a",
         "--explain", made],
        capture_output=True, env=os.environ | locale, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    lines = done.stdout.splitlines()
    shown = b"caf\\xe9.jpg" if locale else "caf\xe9.jpg".encode()
    for name in (os.fsencode(root / "a" / "0.jpg"), b"/caf\\xe9.jpg", b"/" + shown):
        assert any(name in line and line.count(b"%") == 5 for line in lines)
    assert sum(line.count(b".jpg") for line in lines) == 3
    assert len(list(made.iterdir())) == 3
    assert b"Glyph" not in done.stderr
