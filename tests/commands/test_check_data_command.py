import os
import subprocess
import sys
from pathlib import Path

import pytest
from making import full_device, write_photos

from googlenet_keras.cli import main
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json

ROOT = Path(__file__).parents[2]
BROKEN = os.fsdecode(b"caf\xe9.jpg")


@pytest.fixture
def root(photos):
    """Two images in each of two classes, one of them broken."""
    root = photos(a=2, b=2)
    (root / "a" / "1.jpg").write_bytes(b"x" * 9)
    return root


def call(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "googlenet_keras", "check-data", *arguments],
        cwd=ROOT,
        capture_output=True,
        env=os.environ | environment,
        check=False,
    )


@pytest.mark.parametrize("arguments", [[""], ["photos", "--quarantine="]])
def test_an_empty_name_is_not_the_current_folder(arguments):
    with pytest.raises(UserError, match=r"the current folder is a dot \(\.\)"):
        main(["check-data", *arguments])


@pytest.mark.slow
@pytest.mark.parametrize(
    "locale",
    [
        {},
        pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0"}, marks=pytest.mark.exhaustive),
    ],
)
def test_names_that_are_not_utf_8(root, tmp_path, locale):
    (root / "a" / "1.jpg").rename(root / "a" / BROKEN)
    write_photos(root, {os.fsdecode(b"gr\xfcn"): 1, "caf\xe9": 1})
    root = root.rename(tmp_path / os.fsdecode(b"caf\xe9"))
    away = tmp_path / "away"
    done = call(root, "--quarantine", away, **locale)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert b"caf\\xe9.check.json\n" in done.stdout
    assert b"a/caf\\xe9.jpg: no image\n" in done.stdout
    assert b"  gr\\xfcn: 1\n" in done.stdout
    assert (b"  caf\\xe9: 1\n" if locale else "  caf\xe9: 1\n".encode()) in done.stdout
    assert os.listdir(os.fsencode(away / "a")) == [b"caf\xe9.jpg"]
    assert not (root / "a" / BROKEN).exists()
    report = read_json(tmp_path / f"{root.name}.check.json")
    assert report["classes"] == {"a": 1, "b": 2, "caf\xe9": 1, "gr\udcfcn": 1}


def test_a_full_disk_is_no_success(root, tmp_path, capsys):
    full = full_device(tmp_path / "full")
    with pytest.raises(UserError, match="full cannot be written: No space left"):
        main(["check-data", str(root), "--json", str(full)])
    assert "the whole report" not in capsys.readouterr().out
    assert full.is_char_device()


@pytest.mark.parametrize("name", ["/dev/full", "file", "file/inside"])
def test_a_quarantine_that_is_no_folder_is_refused_first(root, tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"quarantine must be a folder; .* is none"):
        main(["check-data", str(root), "--quarantine", str(tmp_path / name)])
    assert not (tmp_path / "photos.check.json").exists()


def test_a_quarantine_on_a_full_disk_keeps_the_file(root, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    options = ["-t", "tmpfs", "-o", "size=8k", "none", str(away)]
    made = subprocess.run(["mount", *options], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mounting a file system is for root alone")
    try:
        content = b"x" * 50_000
        (root / "a" / "1.jpg").write_bytes(content)
        with pytest.raises(UserError, match=r"1\.jpg cannot be written: No space left"):
            main(["check-data", str(root), "--quarantine", str(away)])
        assert (root / "a" / "1.jpg").read_bytes() == content
        assert not (away / "a" / "1.jpg").exists()
    finally:
        subprocess.run(["umount", "--lazy", str(away)], check=True)
