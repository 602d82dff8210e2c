import json
import re
from dataclasses import replace

import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.tuning.config import SearchConfig, read_search_flags


def test_limits_are_read_with_their_suffixes():
    config = read_search_flags(["--max-macs", "1.5G", "--max-parameters", "200k"])
    assert config.limits() == {"macs": 1.5e9, "parameters": 2e5}
    more = read_search_flags(["--max-megabytes", "4", "--max-milliseconds", "0.5"])
    assert more.limits() == {"megabytes": 4, "milliseconds": 0.5}


def test_several_budgets_are_paired_and_have_names():
    flags = ["--max-macs", "100M", "50M", "--max-megabytes", "1", "0.5"]
    config = read_search_flags([*flags, "--max-milliseconds", "2"])
    assert SearchConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    searches = config.split()
    assert {name: own.limits() for name, own in searches.items()} == {
        "macs-100M-megabytes-1": {"macs": 1e8, "megabytes": 1, "milliseconds": 2},
        "macs-50M-megabytes-0.5": {"macs": 5e7, "megabytes": 0.5, "milliseconds": 2},
    }
    # a baseline is the same network for every budget
    assert [x.baselines for x in searches.values()] == [(0.25, 1.0), ()]
    one = SearchConfig(max_macs="3M", max_megabytes=2)
    assert one.split() == {"": one}


@pytest.mark.parametrize(
    "limits",
    [
        {"max_macs": ("3M", "2M"), "max_megabytes": (3, 2, 1)},
        {"max_macs": ("3M", "3000k")},
        {"max_macs": ("3M", "3M"), "max_megabytes": (1, 1)},
    ],
)
def test_budgets_that_cannot_be_paired_are_refused(limits):
    with pytest.raises(UserError, match=r"several budgets differ.*received max_macs="):
        SearchConfig(**limits)


@pytest.mark.parametrize(
    "text",
    ["3x", "-3M", "0", "M", "1e6", "nan", "\u0663M", "1_0", 39 * "9", "1000001G"],
)
def test_a_limit_that_is_no_number_is_an_error(text):
    with pytest.raises(UserError, match="max_macs is a number above 0"):
        SearchConfig(max_macs=text)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("trials", 0, "trials=0: Expected `int` >= 1"),
        ("trials", 10**9, "Expected `int` <= 100000"),
        ("workers", 10**6, "Expected `int` <= 1024"),
        ("finalists", -1, "finalists=-1: Expected `int` >= 0"),
        ("rounds", 2, "rounds=2: Expected `int` >= 3"),
        ("max_megabytes", 1e300, "Expected `float` <= 1000000.0"),
        ("baselines", (1e308,), "Expected `float` <= 100.0 - at `$[0]`"),
        ("baselines", ("a",), "Expected `float`, got `str` - at `$[0]`"),
        ("tune", ("heads", "heads"), "tune must not repeat a name"),
        ("tune", ("colour",), "Invalid enum value 'colour' - at `$[0]`"),
        ("training", 5, "training=5: "),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(option, value, message):
    with pytest.raises(UserError, match=re.escape(message)):
        SearchConfig(**{option: value})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--max-parameters", ""], "an argument must not be empty"),
        (["--tune", "heads", "--tune", "dropout"], "--tune is given once"),
        (["--tune"], "--tune is given once"),
        (["--max-macs", "3M", "--max-macs", "2M"], "--max-macs is given once and has"),
        (["--teacher"], "--teacher is given once and has every run"),
        (["--tune", "--seed", "1"], "--tune is given once"),
    ],
)
def test_flags_that_say_nothing_or_twice_are_refused(flags, message):
    with pytest.raises(UserError, match=message):
        read_search_flags(flags)
    assert read_search_flags(["--tune", "heads", "dropout"]).tune == (
        "heads",
        "dropout",
    )


def test_a_search_may_have_a_teacher_and_heads_that_learn_from_each_other():
    training = TrainConfig(teacher="a", self_distillation=0.3)
    config = SearchConfig(training)
    data = json.loads(json.dumps(config.to_json()))
    assert data["teacher"] == ["a"]
    assert SearchConfig.from_json(data) == config
    with pytest.raises(UserError, match=r"which --self-distillation needs\."):
        replace(config, tune=("heads",))


def test_no_flags_are_the_defaults():
    assert read_search_flags([]) == SearchConfig()


def test_a_search_has_one_image_size(capsys):
    training = TrainConfig(image_sizes=("32:1", "48:2"))
    with pytest.raises(UserError, match=r"trains at one image size.* leave out image_"):
        SearchConfig(training)
    with pytest.raises(SystemExit):
        read_search_flags(["--image-sizes", "32:1", "48:2"])
    assert "--image-sizes" in capsys.readouterr().err


def test_an_unknown_tuner_is_named(capsys):
    with pytest.raises(SystemExit) as stop:
        read_search_flags(["--tuner", "grid"])
    assert stop.value.code == 2
    assert "grid" in capsys.readouterr().err


def test_a_trainings_flags_are_flat_and_its_own():
    config = read_search_flags(["--batch-size", "16", "--epochs", "3"])
    assert config == SearchConfig(TrainConfig(batch_size=16), epochs=3)
    assert type(config.training) is TrainConfig


def test_json_is_flat_and_read_back(tmp_path):
    training = TrainConfig(dataset="photos", image_size=(96,), data_dir=tmp_path)
    config = SearchConfig(training, max_macs="3M", epochs=4, run_folder=tmp_path)
    data = config.to_json()
    assert (data["dataset"], data["max_macs"], data["epochs"]) == ("photos", ("3M",), 4)
    assert "training" not in data
    assert SearchConfig.from_json(json.loads(json.dumps(data))) == config


def test_a_config_of_an_older_version_is_read():
    stored = {"dataset": "digits", "width": 0.0625, "image_size": [32], "epochs": 1}
    config = SearchConfig.from_json(stored | {"trials": 2, "baselines": [0.0625]})
    older = {"grow": "off", "optimizer": "sgd"}
    assert config.training == TrainConfig(width=0.0625, image_size=(32,), **older)
    assert (config.epochs, config.trials, config.baselines) == (1, 2, (0.0625,))
    limits = {"max_macs": "3M", "max_parameters": "", "max_megabytes": 2.5}
    config = SearchConfig.from_json(stored | limits | {"max_milliseconds": None})
    assert config.limits() == {"macs": 3e6, "megabytes": 2.5}


@pytest.fixture
def begun(tmp_path):
    training = TrainConfig(image_size=(32,))
    config = SearchConfig(training, epochs=2, max_macs="3M", baselines=())
    write_json(RunFolder(tmp_path).config, config.to_json())
    return tmp_path


def test_a_resumed_search_has_its_options(begun):
    config = read_search_flags(["--resume", "--run-folder", str(begun)])
    assert (config.epochs, config.max_macs, config.training.image_size) == (
        2,
        ("3M",),
        (32,),
    )
    assert config.resume
    more = ["--workers", "2", "--retrain", "--epochs", "2", "--rounds", "5"]
    again = read_search_flags(["--resume", "--run-folder", str(begun), *more])
    assert (again.retrain, again.rounds, again.finalists) == (True, 5, 3)


def test_a_recipes_epochs_are_a_trainings_not_a_trials():
    config = read_search_flags(["--recipe", "paper"])
    assert (config.epochs, config.training.epochs) == (None, 60)
    assert read_search_flags(["--recipe", "paper", "--epochs", "60"]).epochs == 60


def test_a_path_may_be_written_in_another_way(begun, monkeypatch):
    stored = read_json(RunFolder(begun).config)
    stored["dataset"] = str(begun.resolve() / "photos")
    write_json(RunFolder(begun).config, stored)
    monkeypatch.chdir(begun)
    again = ["--resume", "--run-folder", str(begun), "--dataset"]
    assert read_search_flags([*again, "photos"]).resume
    with pytest.raises(UserError, match="and is 'others'"):
        read_search_flags([*again, "others"])


def test_a_resumed_search_refuses_other_options(begun):
    with pytest.raises(UserError, match="--epochs was 2 and is 5, --max-macs was "):
        read_search_flags(
            ["--resume", "--run-folder", str(begun), "--epochs=5", "--max-macs=4M"]
        )


def test_resuming_needs_the_folder_of_a_search(tmp_path):
    with pytest.raises(UserError, match="--resume requires --run-folder"):
        read_search_flags(["--resume"])
    with pytest.raises(UserError, match=r"has none. Leave --resume out to start"):
        read_search_flags(["--resume", "--run-folder", str(tmp_path)])
