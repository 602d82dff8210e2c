import json

import pytest

from googlenet_keras.cli import main
from googlenet_keras.errors import UserError


def shown(capsys, *arguments):
    main(["describe", *arguments])
    return capsys.readouterr().out


def test_the_table_has_the_published_numbers(capsys):
    out = shown(capsys, "--variant", "paper")
    for number in ("6,998,552", "13,378,280", "1,582,671,872", "51,380,224", "112.9"):
        assert number in out
    assert "28x28x256  64,96,128,16,32,32" in out
    tables, _ = out.split("Differences from the paper")
    assert max(len(line) for line in tables.splitlines()) <= 80


def test_differences_are_said_in_words(capsys):
    assert "3x3 kernels (pytorch/vision#906)" in shown(
        capsys, "--variant", "torchvision"
    )


def test_json(capsys):
    out = shown(capsys, "--json", "--classes", "10", "--image-size", "96", "128")
    found = json.loads(out)
    assert found["image_size"] == [96, 128]
    assert found["classes"] == 10
    assert found["rows"][-1]["output"] == [1, 1, 10]


def test_bad_values():
    with pytest.raises(UserError, match="Did you mean 'paper'"):
        main(["describe", "--variant", "papr"])
    with pytest.raises(UserError, match="received 31"):
        main(["describe", "--image-size", "31"])
