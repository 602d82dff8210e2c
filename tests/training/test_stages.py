import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.training.flags import read_flags
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.stages import (
    Stage,
    growing_stages,
    parse_stages,
    stage_at,
)

SIZES = ("80:24", "96x128:14", "64:17")


def test_stages_follow_each_other_in_any_order_of_sizes():
    stages = parse_stages(SIZES)
    assert stages == (
        Stage(0, 24, (80, 80)),
        Stage(24, 38, (96, 128)),
        Stage(38, 55, (64, 64)),
    )
    found = [stage_at(stages, epoch).size[0] for epoch in (0, 23, 24, 37, 38, 54)]
    assert found == [80, 80, 96, 96, 64, 64]


@pytest.mark.parametrize(
    "text", ["80", "80:", ":3", "80:0", "80x:3", "80 x 96:3", "80:2.5", "-80:3", "٨٠:3"]
)
def test_what_is_no_size_with_epochs_is_refused(text):
    with pytest.raises(UserError) as error:
        TrainConfig(image_sizes=("64:2", text))
    assert f"such as 80:24 or 96x128:10; received {text!r}" in str(error.value)


def test_a_size_out_of_range_is_refused():
    with pytest.raises(UserError, match="at least 32 pixels; received 31x31"):
        TrainConfig(image_sizes=("31:2",))
    with pytest.raises(UserError, match="epochs=100001: Expected `int` <= 100000"):
        TrainConfig(image_sizes=("32:100000", "64:1")).resolve("photos")


def test_they_decide_the_epochs_and_the_networks_size():
    resolved = TrainConfig(image_sizes=SIZES).resolve("photos")
    assert (resolved.epochs, resolved.input_size) == (55, (64, 64))
    given = TrainConfig(image_sizes=SIZES, epochs=55, image_size=64)
    assert given.resolve("photos").stages == resolved.stages
    one = TrainConfig(epochs=3, grow="off").resolve("photos")
    assert one.stages == (Stage(0, 3, (224, 224)),)


def test_images_grow_in_three_steps():
    grown = TrainConfig(image_size=128, grow="on").resolve("photos")
    assert grown.epochs == 24
    assert grown.stages == parse_stages(("80:10", "96:6", "128:8"))
    digits = TrainConfig(grow="on").resolve("digits")
    assert digits.stages == parse_stages(("40:5", "48:3", "64:4"))


@pytest.mark.parametrize("options", [{}, {"image_size": 96}, {"teacher": ("run",)}])
def test_the_images_of_photos_grow_by_themselves(options):
    resolved = TrainConfig(**options).resolve("photos")
    assert (resolved.grow, resolved.epochs, len(resolved.stages)) == ("on", 24, 3)
    assert TrainConfig(**options).resolve("digits").grow == "off"


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": (128, 64)},
        {"variant": "paper"},
        {"weights": "torchvision"},
        {"patience": 3},
        {"grow": "off"},
    ],
)
def test_the_images_do_not_grow_where_that_was_not_measured(options):
    resolved = TrainConfig(**options).resolve("photos")
    assert (resolved.grow, len(resolved.stages)) == ("off", 1)


def test_the_sizes_that_are_given_are_those_of_the_run():
    resolved = TrainConfig(image_sizes=SIZES).resolve("photos")
    assert resolved.grow == "off"
    assert resolved.stages == parse_stages(SIZES)


def test_an_older_run_without_the_option_has_one_size():
    options = TrainConfig(image_size=128).to_json()
    del options["grow"]
    assert TrainConfig.from_json(options).resolve("photos").grow == "off"


@pytest.mark.parametrize(
    ("epochs", "size", "expected"),
    [
        (55, (224, 224), ("140:24", "168:14", "224:17")),
        (11, (96, 128), ("60x80:4", "72x96:3", "96x128:4")),
        (2, (128, 128), ("96:1", "128:1")),
        (1, (128, 128), ("128:1",)),
        (10, (40, 40), ("32:6", "40:4")),
        (10, (32, 32), ("32:10",)),
    ],
)
def test_the_last_stage_always_has_the_size(epochs, size, expected):
    assert growing_stages(epochs, size) == parse_stages(expected)


def test_growing_is_refused_where_the_sizes_are_given():
    with pytest.raises(UserError, match="grow chooses the image sizes"):
        TrainConfig(image_sizes=SIZES, grow="on")
    with pytest.raises(UserError, match="leave out --patience or --grow"):
        TrainConfig(patience=3, grow="on")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"epochs": 54}, "they sum to 55, and epochs is 54. Leave epochs out."),
        ({"image_size": 80}, "it is 64 x 64, and image_size is 80 x 80. Leave image_"),
    ],
)
def test_epochs_and_a_size_that_disagree_are_refused(option, message):
    with pytest.raises(UserError) as error:
        TrainConfig(image_sizes=SIZES, **option)
    assert message in str(error.value)


def test_those_of_a_recipe_give_way_and_given_ones_do_not(capsys):
    config = TrainConfig.from_recipe("smoke", image_sizes=("32:1", "48:2"))
    assert (config.epochs, config.image_size) == (None, ())
    flags = ["--recipe", "smoke", "--image-sizes", "32:1", "48:2"]
    assert read_flags(flags) == config
    assert read_flags([*flags, "--epochs", "3"]).epochs == 3
    with pytest.raises(SystemExit):
        read_flags([*flags, "--epochs", "2"])
    shown = " ".join(capsys.readouterr().err.replace("│", "").split())
    assert "they sum to 3, and epochs is 2. Leave epochs out." in shown
