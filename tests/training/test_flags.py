from dataclasses import replace

import pytest

from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.flags import read_flags, resume_options
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.recipes import recipe


def test_no_flag_is_the_modern_recipe():
    assert read_flags([]) == recipe("modern")


def test_a_recipe_sets_the_defaults_and_flags_change_them():
    config = read_flags(["--recipe", "paper", "--epochs", "3"])
    assert config.crop_area == recipe("paper").crop_area
    assert config.epochs == 3
    assert read_flags(["--epochs=3", "--recipe=paper"]) == config


def test_sizes_are_one_number_or_two():
    assert read_flags(["--image-size", "96"]).image_size == (96,)
    assert read_flags(["--image-size", "96", "64"]).image_size == (96, 64)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epochs", "0"], "epochs=0: Expected `int` >= 1"),
        (["--seed", "\u0663"], "a number has the digits 0 to 9; received '\u0663'"),
        (["--validation-fraction", "\u0660.\u0665"], "a number has the digits 0 to 9"),
        (["--image-size", "\uff16\uff14"], "Error parsing --image-size"),
        (["--epochs", "1_0"], "a number has the digits 0 to 9; received '1_0'"),
        (["--variant", "papr"], "Did you mean 'paper'"),
        (["--epoch-count", "3"], "--epoch-count"),
        (["--schedule", "linear"], "linear"),
    ],
)
def test_a_bad_flag_is_named_and_exits_with_2(flags, message, capsys):
    with pytest.raises(SystemExit) as stop:
        read_flags(flags)
    assert stop.value.code == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", "").split())


@pytest.mark.parametrize(
    "flags", [["--weights", ""], ["--weights="], ["--dataset", ""]]
)
def test_an_empty_argument_is_refused(flags):
    with pytest.raises(UserError, match="an argument must not be empty"):
        read_flags(flags)


@pytest.mark.parametrize(
    ("option", "value"), [("seed", None), ("nesterov", "yes"), ("recipe", "../x")]
)
def test_an_edited_config_is_refused_with_the_options_name(started, option, value):
    config = read_json(RunFolder(started).config)
    write_json(RunFolder(started).config, config | {option: value})
    with pytest.raises(UserError, match=rf"(^|\$\.){option}"):
        read_flags(["--resume", "--run-folder", str(started)])


def test_unknown_recipe():
    with pytest.raises(UserError, match="Did you mean 'smoke'"):
        read_flags(["--recipe", "smok"])


def test_help_explains_every_flag(capsys):
    with pytest.raises(SystemExit) as stop:
        read_flags(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for flag in ("--aux1-weight", "--image-size", "--precision", "--seed"):
        assert flag in shown


@pytest.fixture
def started(tmp_path):
    """The folder of a run that --resume can resume."""
    config = replace(recipe("smoke"), run_folder=tmp_path, precision="float32")
    write_json(RunFolder(tmp_path).config, config.to_json())
    return tmp_path


def test_a_resumed_run_has_the_options_it_started_with(started):
    again = ["--resume", "--run-folder", str(started)]
    config = read_flags(again)
    assert config.resume
    assert (config.recipe, config.epochs) == ("smoke", 2)
    same = ["--recipe", "smoke", "--epochs", "2", "--precision", "auto"]
    assert read_flags([*again, *same]).precision == "float32"
    assert read_flags([*again, "--checkpoint-minutes", "3"]).checkpoint_minutes == 3


def test_options_that_change_the_result_are_refused_by_name(started):
    with pytest.raises(
        UserError, match=r"--batch-size was 32 and is 64, --seed was 0 and is 1\. Leave"
    ):
        read_flags(
            ["--resume", "--run-folder", str(started), "--seed=1", "--batch-size=64"]
        )


def test_weights_and_a_file_of_the_network_decide_the_variant(started, tmp_path):
    stored, network = read_json(started / "config.json"), tmp_path / "network.json"
    write_json(network, get_architecture("torchvision").to_json())
    for own in ({"weights": "torchvision"}, {"architecture": network}):
        given = TrainConfig.from_recipe(
            "smoke", run_folder=started, resume=True, width=1.0, **own
        )
        changed = given.to_json() | {"variant": "torchvision"}
        write_json(started / "config.json", stored | changed)
        assert resume_options(TrainConfig, given).variant == "torchvision"
        with pytest.raises(UserError, match="--variant was 'torchvision' and is 'pap"):
            resume_options(TrainConfig, replace(given, variant="paper"))
    write_json(started / "config.json", stored | {"variant": "torchvision"})
    plain = TrainConfig.from_recipe("smoke", run_folder=started, resume=True)
    with pytest.raises(UserError, match="--variant was 'torchvision' and is 'bn'"):
        resume_options(TrainConfig, plain)


def test_resume_starts_a_run_that_is_not_there(tmp_path):
    config = read_flags(["--resume", "--run-folder", str(tmp_path), "--epochs", "3"])
    assert config == replace(
        recipe("modern"), resume=True, run_folder=tmp_path, epochs=3
    )
    with pytest.raises(UserError, match=r"--resume requires --run-folder\."):
        read_flags(["--resume"])


def test_a_search_is_not_a_run_to_resume(started):
    config = read_json(RunFolder(started).config)
    write_json(RunFolder(started).config, config | {"tuner": "random"})
    with pytest.raises(UserError, match=r"by another program .* has tuner\."):
        read_flags(["--resume", "--run-folder", str(started)])


def test_help_states_the_defaults_of_each_kind_of_data(capsys):
    with pytest.raises(SystemExit):
        read_flags(["--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for text in (
        "those of --weights, or 64 for digits, else 224.",
        "none: 12 for digits, else 35.",
        "none: 0.0005 for digits, else 0.002.",
        "auto: off for digits, else on.",
        "none: 0.05 with batch normalization, 0.01 without.",
    ):
        assert text in shown


@pytest.mark.parametrize(
    "flags",
    [["--teacher"], ["--teacher", "--seed", "1"], ["--teacher", "a", "--teacher=b"]],
)
def test_teachers_are_named_together(flags):
    with pytest.raises(UserError, match=r"given once and has every run: --teacher RUN"):
        read_flags(flags)
    assert [str(x) for x in read_flags(["--teacher", "a", "b"]).teacher] == ["a", "b"]


@pytest.mark.parametrize(
    "flags", [["--image-sizes"], ["--image-sizes", "80:1", "--image-sizes", "96:2"]]
)
def test_image_sizes_are_named_together(flags):
    with pytest.raises(UserError, match=r"--image-sizes is given once and has every"):
        read_flags(flags)


def test_a_resumed_runs_teachers_may_be_written_in_another_way(
    started, tmp_path, monkeypatch
):
    options = read_json(started / "config.json")
    teachers = [str(tmp_path / "a"), str(tmp_path / "b")]
    write_json(started / "config.json", options | {"teacher": teachers})
    monkeypatch.chdir(tmp_path)
    flags = ["--resume", "--run-folder", str(started)]
    for given in ([], ["--teacher", "a", "b"]):
        assert [str(x) for x in read_flags(flags + given).teacher] == teachers
    for given in (["b", "a"], ["a"], ["a", "b", "c"]):
        with pytest.raises(UserError, match=r"keeps the options .*--teacher was \("):
            read_flags([*flags, "--teacher", *given])
