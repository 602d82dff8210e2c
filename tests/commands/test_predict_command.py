from pathlib import Path

from making import write_photos

from googlenet_keras.__main__ import main


def test_a_table_of_labels(run_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = write_photos(Path("[red]"), {"a": 1})
    main(["predict", str(run_folder), str(root / "a" / "0.jpg"), "--top", "2"])
    out = capsys.readouterr().out
    assert out.count("%") == 2
    assert "[red]/a/0.jpg" in out
