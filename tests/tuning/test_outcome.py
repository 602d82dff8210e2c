import pytest
from tuning_parts import budget

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, read_json_lines
from googlenet_keras.run_folder import RunFolder
from tuning import outcome
from tuning.config import SearchConfig
from tuning.ledger import BASELINE, COMPLETED, FAILED, Ledger

WIDE, NARROW = BATCH_NORM.scale_width(1), BATCH_NORM.scale_width(0.125)


def results(top1):
    top1s = dict.fromkeys(("main", "aux1", "aux2"), top1)
    return {"top1": top1s, "epochs": 2, "seconds": 3.0, "cpu_seconds": 4.0}


@pytest.fixture
def ledger(tmp_path):
    """A wide network that is a little better than a narrow one, and a failure."""
    made = Ledger(tmp_path, budget(size=64).costs, trials=3)
    made.add("0", COMPLETED, NARROW, results(0.5), learning_rate_factor=1.0)
    made.add("1", COMPLETED, WIDE, results(0.6), learning_rate_factor=1.0)
    made.add("2", FAILED, WIDE, reason="out of memory.", learning_rate_factor=1.0)
    made.add("uniform", BASELINE, NARROW, results(0.4))
    made.add("width-9", BASELINE, WIDE, reason="out of memory.")
    return made


def config(folder, **options):
    return SearchConfig(run_folder=folder, image_size=(64,), **options)


def test_the_best_is_written_drawn_and_counted(ledger, tmp_path, capsys):
    outcome.conclude(config(tmp_path), ledger, budget(size=64))
    result = read_json(RunFolder(tmp_path).result)
    assert result["best"]["trial"] == "1"
    assert (result["trials"], result["failed"]) == (2, 1)
    assert [row["trial"] for row in result["baselines"]] == ["uniform"]
    assert (result["seconds"], result["cpu_seconds"]) == (9.0, 12.0)
    best = read_json(tmp_path / outcome.BEST)
    assert Architecture.from_json(best) == WIDE
    assert (tmp_path / outcome.PARETO).read_bytes()[:4] == b"\x89PNG"
    assert "--resume --retrain --run-folder" in capsys.readouterr().out


def test_a_limit_on_milliseconds_is_measured_once(
    ledger, tmp_path, capsys, monkeypatch
):
    limited = config(tmp_path, max_milliseconds=1000)
    result = outcome.conclude(limited, ledger, budget(size=64))
    assert result["best"]["trial"] == "1"
    assert 0 < result["measured_milliseconds"] < 1000
    assert "ms measured" in capsys.readouterr().out
    monkeypatch.setattr(outcome.probing, "measured", None)  # or noise would choose
    impossible = config(tmp_path, max_milliseconds=1e-6)
    result = outcome.conclude(impossible, ledger, budget(size=64))
    assert result["best"]["trial"] == "0"
    assert "none of these keeps the limit" in capsys.readouterr().err


def test_a_search_without_a_trial_that_ended_says_why(tmp_path):
    ledger = Ledger(tmp_path, budget(size=64).costs, trials=1)
    ledger.add("0", FAILED, WIDE, reason="out of memory.")
    with pytest.raises(UserError, match=r"none did; the last failed since out of mem"):
        outcome.refuse_failure(ledger)


def test_a_line_that_was_cut_is_dropped_and_written_anew(ledger, tmp_path):
    path = tmp_path / "trials.jsonl"
    path.write_text(path.read_text() + '{"trial": "3", "sta')
    again = Ledger(tmp_path, budget(size=64).costs, trials=3)
    assert again.rows == [*read_json_lines(path)]
    assert len(again.rows) == 5
    assert "3" not in again
