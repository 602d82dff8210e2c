import json
import math
import pickle
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.files import write_json
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.recipes import RECIPES, recipe


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("epochs", 0, "epochs=0: Expected `int` >= 1."),
        ("epochs", 1_000_000, "epochs=1000000: Expected `int` <= 100000."),
        ("batch_size", 0, "batch_size=0: Expected `int` >= 1."),
        ("batch_size", 10**30, "Expected `int` <= 131072."),
        ("batch_size", "many", "batch_size='many': Invalid enum value"),
        ("learning_rate", 0.0, "learning_rate=0.0: Expected `float` >= 1e-09."),
        ("learning_rate", math.nan, "learning_rate=nan: Expected `float` >= 1e-09."),
        ("learning_rate", 1e300, "Expected `float` <= 1000000.0."),
        ("momentum", 1.5, "momentum=1.5: Expected `float` <= 0.9999."),
        ("crop_area", 0.0, "crop_area=0.0: Expected `float` >= 0.01."),
        ("validation_fraction", 1.0, "=1.0: Expected `float` <= 0.9."),
        ("image_size", (16,), "at least 32 pixels; received 16."),
        ("variant", "bm", "Did you mean 'bn'?"),
        ("image_size", (99_999_999_999,), "at most 8192 and at least 32 pixels"),
        ("image_size", (32.5,), "image_size=(32.5,): Expected `int`, got `float`"),
        ("width", -1.0, "width=-1.0: Expected `float` >= 1e-09."),
        ("width", 1e308, "width=1e+308: Expected `float` <= 100.0."),
        ("width", 1e-300, "width=1e-300: Expected `float` >= 1e-09."),
        ("main_weight", 0.0, "main_weight=0.0: Expected `float` >= 1e-09."),
        ("warmup_epochs", math.inf, "warmup_epochs=inf: Expected `float` <= 1000000"),
        ("mixup", 1e9, "mixup=1000000000.0: Expected `float` <= 100.0."),
        ("seed", -1, "seed=-1: Expected `int` >= 0."),
        ("seed", None, "seed=None: Expected `int`, got `null`."),
        ("seed", 1.5, "seed=1.5: Expected `int`, got `float`."),
        ("seed", True, "seed=True: Expected `int`, got `bool`."),
        ("nesterov", "yes", "nesterov='yes': Expected `bool`, got `str`."),
        ("label_smoothing", None, "label_smoothing=None: Expected `float`"),
        ("dataset", 5, "dataset=5: Expected `str`, got `int`."),
        ("dataset", "", "dataset='': Expected `str` of length >= 1."),
        ("dataset", "a\0b", "dataset must have no null characters"),
        ("data_dir", "a\0b", "data_dir must have no null characters"),
        ("data_dir", 5, "data_dir=5: "),
        ("none", 5, "none=5: "),
        ("none_synthetic", 1.5, "none_synthetic=1.5: Expected `float` <= 1.0."),
        ("schedule", "cosin", "Did you mean 'cosine'?"),
        ("mirror", True, "mirror must be one of auto, on, off; received 'True'."),
        ("freeze_until", "3x", "freeze_until must be one of none, 3a"),
        ("teacher", ("a\0b",), "teacher must have no null characters"),
        ("teacher", 5, "teacher=(5,): "),
        ("teacher_weight", 0.0, "teacher_weight=0.0: Expected `float` > 0.0."),
        ("teacher_weight", 0.5, "teacher_weight needs a teacher; add --teacher RUN."),
        ("self_distillation", 1.5, "self_distillation=1.5: Expected `float` <= 1.0."),
    ],
)
def test_rules(option, value, message):
    with pytest.raises(UserError) as error:
        replace(TrainConfig(), **{option: value})
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("seed", None), ("image_size", [32.5]), ("image_size", {}), ("epochs", "3")),
        *(("nesterov", 1), ("dataset", ["a"]), ("data_dir", "a\0"), ("width", [1])),
        *(("recipe", "../x"), ("recipe", 5), ("recipe", ["smoke"]), ("variant", {})),
        *(("label_smoothing", None), ("batch_size", None), ("precision", "float8")),
    ],
)
def test_edited_json_is_refused_with_the_options_name(option, value):
    data = json.loads(json.dumps(TrainConfig().to_json() | {option: value}))
    with pytest.raises(UserError, match=f"^{option}"):
        TrainConfig.from_json(data)


def test_values_become_what_the_command_line_would_make_of_them(tmp_path):
    config = TrainConfig(
        width=1, image_size=[64], run_folder=str(tmp_path), seed=np.int64(3)
    )
    plain = (config.width, config.image_size, config.run_folder, config.seed)
    assert plain == (1.0, (64,), tmp_path, 3)
    assert [type(value) for value in (config.width, config.seed)] == [float, int]


def test_loss_weights_are_the_papers():
    assert TrainConfig().loss_weights() == {"main": 1.0, "aux1": 0.3, "aux2": 0.3}


def test_open_options_take_the_data_sets_values_and_given_ones_stay():
    resolved = TrainConfig(crop_area=0.5, mirror="off").resolve("photos")
    assert (resolved.crop_area, resolved.mirror) == (0.5, "off")
    assert resolved.image_size == (224,)
    assert resolved.weight_decay == 2e-3
    assert resolved.learning_rate == 0.05
    digits = TrainConfig(variant="paper").resolve("digits")
    assert digits.image_size == (64,)
    assert digits.learning_rate == 0.01


def test_every_data_set_resolves_every_open_option():
    for kind in ("digits", "photos"):
        resolved = TrainConfig().resolve(kind)
        open_options = [f.name for f in fields(resolved)
                        if getattr(resolved, f.name) in (None, ())]  # fmt: skip
        assert open_options == [
            *("data_dir", "fold_seed", "none", "architecture", "teacher"),
            *("image_sizes", "run_folder"),
        ]


def test_one_teacher_or_several_survive_a_round_trip(tmp_path):
    one = TrainConfig(teacher=tmp_path, teacher_weight=0.5)
    assert one.teacher == (tmp_path,)
    several = replace(one, teacher=["a", tmp_path])
    assert several.teacher == (Path("a"), tmp_path)
    data = json.loads(json.dumps(several.to_json()))
    assert data["teacher"] == ["a", str(tmp_path)]
    assert TrainConfig.from_json(data) == several


def test_self_distillation_needs_an_auxiliary_head(tmp_path):
    arch = replace(TrainConfig().to_architecture(), heads=())
    write_json(tmp_path / "network.json", arch.to_json())
    config = TrainConfig(architecture=tmp_path / "network.json")
    with pytest.raises(UserError, match="self_distillation needs an auxiliary head"):
        replace(config, self_distillation=0.3)


def test_every_option_is_written_down():
    data = json.loads(json.dumps(TrainConfig().to_json()))
    assert set(data) == {f.name for f in fields(TrainConfig)}


def test_recipes_know_their_names():
    assert {name: r.recipe for name, r in RECIPES.items()} == {n: n for n in RECIPES}
    with pytest.raises(UserError, match="Did you mean 'paper'"):
        recipe("papper")


def test_a_recipe_that_was_not_applied_cannot_be_recorded():
    for name in ("paper", "papr", "modern"):
        with pytest.raises(UserError, match=rf"TrainConfig\.from_recipe\('{name}'\)"):
            TrainConfig(recipe=name)
    with pytest.raises(UserError, match="Did you mean 'paper'"):
        TrainConfig.from_recipe("papr")
    paper = TrainConfig.from_recipe("paper", epochs=3)
    assert paper == replace(recipe("paper"), epochs=3)
    with pytest.raises(UserError, match="from_recipe"):
        replace(paper, recipe="modern")
    for copy in (
        replace(paper, seed=1),
        TrainConfig.from_json(json.loads(json.dumps(paper.to_json()))),
        pickle.loads(pickle.dumps(paper)),
    ):
        assert copy.recipe == "paper"
        assert replace(copy, seed=0) == paper


def test_the_papers_recipe():
    paper = recipe("paper")
    assert (paper.crop_area, paper.crop_aspect) == (0.08, 4 / 3)
    assert paper.momentum == 0.9
    assert not paper.nesterov
    assert paper.random_interpolation
    assert paper.color_jitter
    assert paper.average_epochs


def test_caffes_recipe():
    caffe = recipe("caffe_quick")
    assert (caffe.learning_rate, caffe.schedule) == (0.01, "poly")
    assert (caffe.weight_decay, caffe.bias_learning_rate) == (2e-4, 2.0)
    assert caffe.initialization == "caffe"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 5, "folds": 2}, "give --epochs in place of --minutes 5."),
        ({"minutes": 5, "image_sizes": ("32:2",)}, "leave out --minutes 5."),
        ({"minutes": 5, "teacher": "run"}, "without a teacher; give --epochs"),
        ({"patience": 5, "image_sizes": ("32:2",)}, "leave out --patience or"),
        ({"folds": 2, "teacher": "run"}, "leave out --folds or --teacher"),
        ({"folds": 1}, "folds must be 0 or at least 2"),
    ],
)
def test_plans_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        TrainConfig(**options)
