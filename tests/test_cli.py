"""The command line as a whole; tests/commands has those of its commands."""

import pytest
from making import call_main

import export
import googlenet_keras
import train
from googlenet_keras.cli import COMMANDS, SCRIPT_COMMANDS, main
from tuning import search

SCRIPTS = {"train": train.main, "export": export.main, "search": search.main}


def shown(capsys, call, *arguments, status=0):
    with pytest.raises(SystemExit) as stop:
        call(*arguments)
    assert stop.value.code == status
    out, err = capsys.readouterr()
    return " ".join((out + err).replace("│", " ").split())


def test_help_lists_every_command_with_what_it_does(capsys):
    text = shown(capsys, main, ["--help"])
    assert text.startswith("usage: googlenet-keras ")
    assert [*SCRIPT_COMMANDS, *COMMANDS] == [
        *("train", "export", "search", "evaluate", "predict", "compare", "describe"),
        *("import-weights", "check-data", "benchmark", "serve"),
    ]
    for name, command in (SCRIPT_COMMANDS | COMMANDS).items():
        first_line = (command.__doc__ or "").splitlines()[0]
        assert f"• {name} {first_line}" in text


@pytest.mark.parametrize("name", SCRIPT_COMMANDS)
def test_a_command_has_the_flags_of_its_script(name, capsys):
    own = shown(capsys, main, [name, "--help"])
    scripts = shown(capsys, call_main, SCRIPTS[name], "--help")
    usage = f"usage: googlenet-keras {name} "
    assert own.startswith(usage)
    assert own.partition(" [-h] ")[2] == scripts.partition(" [-h] ")[2] != ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--epoch-count", "3"], "--epoch-count"),
        (["export", "--onnx-layout", "hwc"], "hwc"),
        (["search", "--tuner", "grid"], "grid"),
        (["tarin"], "tarin"),
        ([], "Missing subcommand"),
    ],
)
def test_a_mistake_is_named_and_exits_with_2(arguments, message, capsys):
    assert message in shown(capsys, main, arguments, status=2)


def test_the_version_is_the_packages(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"googlenet-keras {googlenet_keras.__version__}\n"
