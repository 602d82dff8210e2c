import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from making import ROOT, classifier, full_device, write_photos

from googlenet_keras.artifacts.artifact import open_classifier
from googlenet_keras.calibration import Calibration
from googlenet_keras.cli import main
from googlenet_keras.errors import UserError

LOCALES = pytest.mark.parametrize(
    "locale",
    [
        pytest.param({}, marks=pytest.mark.exhaustive),
        {"LC_ALL": "C", "PYTHONUTF8": "0"},
    ],
)


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
@LOCALES
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


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved Classifier of seven classes."""
    folder = tmp_path_factory.mktemp("saved")
    classifier("bn").calibrate(Calibration(0.9, 0.2, 0.1)).save(folder)
    return folder


@pytest.fixture
def photos(tmp_path):
    """A folder with two photographs in a folder a."""
    return write_photos(tmp_path / "photos", {"a": 2})


def predict(*arguments, status=0):
    """Calls the command in this process."""
    if not status:
        main(["predict", *map(str, arguments)])
        return
    with pytest.raises(SystemExit) as stop:
        main(["predict", *map(str, arguments)])
    assert stop.value.code == status


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_lines(path):
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


@pytest.mark.slow
def test_a_line_per_image_has_what_python_predicts(saved, photos, tmp_path, capsys):
    rows, lines = tmp_path / "out.csv", tmp_path / "out.jsonl"
    rows.write_text("what was there before\n" * 99)
    predict(saved, photos, "--csv", rows, "--json", lines, "--top", "2")
    expected = open_classifier(saved).predict(photos, top=2)
    assert [p.path for p in expected] == [photos / "a" / f"{i}.jpg" for i in (0, 1)]
    for p, row, line in zip(expected, read_csv(rows), read_lines(lines), strict=True):
        (label_1, chance_1), (label_2, chance_2) = p.top
        assert line == {
            "path": str(p.path),
            "top": [{"label": label, "probability": chance} for label, chance in p.top],
            "labels_90": [*p.labels_90],
            "labels_95": [*p.labels_95],
            "refused": False,
            "problem": None,
        }
        assert p.labels_90
        assert row == {
            "path": str(p.path),
            "problem": "",
            "label_1": label_1,
            "probability_1": str(chance_1),
            "label_2": label_2,
            "probability_2": str(chance_2),
            "labels_90": "|".join(p.labels_90),
            "labels_95": "|".join(p.labels_95),
            "refused": "",
        }
    shown = capsys.readouterr()
    assert shown.out == f"2 images are in {lines}\n2 images are in {rows}\n"
    assert "warning" not in shown.err


def test_no_more_columns_than_classes(saved, photos, tmp_path):
    predict(saved, photos, "--csv", tmp_path / "out.csv", "--top", "99")
    header, *rows = (tmp_path / "out.csv").read_text().splitlines()
    assert header.count("label_") == header.count("probability_") == 7
    assert [row.count(",") for row in rows] == [18, 18]


def test_what_cannot_be_read_is_a_row_and_status_1(saved, photos, tmp_path, capsys):
    (photos / "a" / "notes.txt").write_text("x")
    gone, out = tmp_path / "gone.jpg", tmp_path / "out.csv"
    predict(saved, gone, photos, photos / "a" / "notes.txt", "--csv", out, status=1)
    rows = read_csv(out)
    assert [(row["path"], row["problem"]) for row in rows] == [
        (str(gone), "No such file or directory"),
        (str(photos / "a" / "0.jpg"), ""),
        (str(photos / "a" / "1.jpg"), ""),
        *[(str(photos / "a" / "notes.txt"), "no image")] * 2,
    ]
    assert [bool(row["label_5"]) for row in rows] == [False, True, True, False, False]
    shown = capsys.readouterr()
    assert "warning: 3 of 5 images cannot be read; their lines say why" in shown.err
    assert shown.out == f"5 images are in {out}\n"


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--json", "--csv"])
def test_standard_output_has_the_lines_alone(saved, photos, tmp_path, capsys, flag):
    (photos / "a" / "2.jpg").write_text("x")
    for option in ([flag, "-"], [f"{flag}=-", "--json" if flag == "--csv" else "--csv",
                                 tmp_path / "other"]):  # fmt: skip
        predict(saved, photos, *option, status=1)
        out, err = capsys.readouterr()
        expected = 3 + (flag == "--csv")
        assert len(out.splitlines()) == expected
        assert all(".jpg" in line for line in out.splitlines()[-3:])
        assert "1 of 3 images cannot be read" in err
    assert f"3 images are in {tmp_path / 'other'}" in err


def test_the_lines_of_images_with_pictures(run_folder, photos, tmp_path, capsys):
    (photos / "a" / "2.jpg").write_text("x")
    maps, out = tmp_path / "maps", tmp_path / "out.jsonl"
    predict(run_folder, photos, "--json", out, "--explain", maps, status=1)
    assert [len(line["top"]) for line in read_lines(out)] == [5, 5, 0]
    assert sorted(path.name for path in maps.iterdir()) == ["0.png", "1.png"]
    assert f"2 activation maps are in {maps}" in capsys.readouterr().out


def test_an_output_in_the_folder_of_the_images_is_no_image(saved, photos):
    for _ in range(2):
        predict(saved, photos, "--csv", photos / "out.csv")
        assert len(read_csv(photos / "out.csv")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "-", "--csv", "-"], "need two different files; received - for"),
        (["--json", "out", "--csv", "./out"], "need two different files"),
        (["--json", "."], "an output file needs a name in an existing folder"),
        (["--csv", "no/out.csv"], "an output file needs a name in an existing folder"),
        (["--csv", "photos/../photos/a/0.jpg"], r"0\.jpg is both"),
        (["--csv", "out.csv", "--top", "0"], "top must be at least 1"),
        (["--csv="], "no file or folder has an empty name"),
    ],
)
def test_outputs_that_cannot_be(saved, photos, monkeypatch, arguments, message):
    monkeypatch.chdir(photos.parent)
    before = (photos / "a" / "0.jpg").read_bytes()
    with pytest.raises(UserError, match=message):
        predict(saved, "photos/a/0.jpg", *arguments)
    assert (photos / "a" / "0.jpg").read_bytes() == before
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


def test_what_cannot_be_opened_leaves_the_file_there(photos, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("of yesterday")
    with pytest.raises(UserError, match="a run folder has"):
        predict(photos, photos, "--csv", out)
    assert out.read_text() == "of yesterday"


@pytest.mark.parametrize("flag", ["--json", "--csv"])
def test_a_full_disk_is_said(saved, photos, tmp_path, flag):
    full = full_device(tmp_path / "full")
    with pytest.raises(UserError, match="full cannot be written: No space left"):
        predict(saved, photos, flag, full)
    assert full.is_char_device()


def test_images_are_needed(saved, tmp_path):
    with pytest.raises(UserError, match="at least one image file or folder"):
        predict(saved, "--csv", tmp_path / "out.csv")


def test_the_help_tells_the_exit_status(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    assert "status 1" in " ".join(capsys.readouterr().out.split())


def test_an_exported_file_writes_what_its_run_does(run_folder, bundle, photos, capsys):
    predict(run_folder, photos, "--json", "-")
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for name in ("float32.tflite", "model.onnx"):
        predict(bundle / name, photos, "--json", "-")
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        for line, row in zip(lines, expected, strict=True):
            assert line["path"] == row["path"]
            found, wanted = (
                {x["label"]: x["probability"] for x in y["top"]} for y in (line, row)
            )
            assert found == pytest.approx(wanted, abs=1e-4)


def process(*arguments, ending=""):
    """The status, the output and the errors of the command in a shell's line."""
    shell = ["bash", "-o", "pipefail", "-c", f'"$@" {ending}', "-"]
    command = [sys.executable, "-m", "googlenet_keras", "predict", *arguments]
    done = subprocess.run(
        [*shell, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    tensorflows = "(?m)^([IWE]0000|WARNING: All log).*\n"
    return done.returncode, done.stdout, re.sub(tensorflows, "", done.stderr)


@pytest.mark.slow
def test_the_status_of_a_process_and_of_one_that_nobody_reads(saved, photos):
    (photos / "a" / "1.jpg").write_text("x")
    arguments = (saved, photos, "--csv", "-", "--top", "1")
    status, out, err = process(*arguments)
    assert (status, len(out.splitlines())) == (1, 3)
    assert err == "warning: 1 of 2 images cannot be read; their lines say why\n"
    assert process(*arguments, ending="| true") == (0, "", "")


@pytest.mark.exhaustive
def test_the_status_of_a_process_on_a_full_disk(saved, photos):
    status, _, err = process(saved, photos, "--csv", "-", ending="> /dev/full")
    assert status == 2
    assert err.startswith("error: standard output cannot be written: No space left")


@pytest.mark.slow
@LOCALES
def test_names_of_any_bytes_are_a_row_each_in_any_locale(
    saved, photos, tmp_path, locale
):
    names = (b"caf\xe9.jpg", "caf\xe9.jpg".encode(), b'a,"b\nc.jpg')
    for name in names:
        shutil.copy(photos / "a" / "0.jpg", os.fsencode(tmp_path) + b"/" + name)
    paths = [os.fsencode(tmp_path) + b"/" + name for name in names]
    command = [sys.executable, "-m", "googlenet_keras", "predict", saved, *paths]
    rows = [tmp_path / x for x in (r"caf\xe9.jpg", "caf\xe9.jpg", r'a,"b\nc.jpg')]
    lines = [*rows[:2], tmp_path / 'a,"b\nc.jpg']
    out = subprocess.check_output(
        [*command, "--csv", "-", "--json", tmp_path / "out.jsonl"],
        env=os.environ | locale,
    )
    found = csv.DictReader(out.decode("utf-8").splitlines())
    assert [row["path"] for row in found] == list(map(str, rows))
    found = read_lines(tmp_path / "out.jsonl")
    assert [line["path"] for line in found] == list(map(str, lines))


@pytest.mark.slow
def test_a_killed_process_leaves_the_whole_lines_that_it_has_written(
    saved, photos, tmp_path
):
    for i in range(2, 20_000):
        os.link(photos / "a" / "0.jpg", photos / "a" / f"{i}.jpg")
    out = tmp_path / "out.csv"
    command = [sys.executable, "-m", "googlenet_keras", "predict", saved, photos]
    with subprocess.Popen([*command, "--csv", out]) as running:
        while not (out.exists() and out.read_bytes().count(b"\n") > 100):
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(signal.SIGKILL)
    text = out.read_text()
    assert text.endswith("\n")
    assert 100 < len(read_csv(out)) < 20_000
    assert all(row["probability_5"] for row in read_csv(out))
