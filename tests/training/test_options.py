import json
import math
import pickle
from dataclasses import fields, replace

import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.recipes import RECIPES, recipe


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("epochs", 0, "epochs must be at least 1; received 0."),
        ("batch_size", 0, "batch_size must be at least 1; received 0."),
        ("learning_rate", 0.0, "learning_rate must be above 0; received 0.0."),
        ("learning_rate", math.nan, "learning_rate must be above 0; received nan."),
        ("momentum", 1.5, "momentum must be above 0 and at most 0.9999"),
        ("crop_area", 0.0, "crop_area must be at least 0.01 and at most 1"),
        ("validation_fraction", 1.0, "at most 0.9; received 1.0."),
        ("image_size", (16,), "at least 32 pixels; received 16."),
        ("variant", "bm", "Did you mean 'bn'?"),
        ("width", -1.0, "width must be above 0; received -1.0."),
        ("main_weight", 0.0, "main_weight must be above 0; received 0.0."),
        ("warmup_epochs", math.inf, "warmup_epochs must be at least 0; received inf."),
        ("seed", -1, "seed must be at least 0"),
        ("schedule", "cosin", "Did you mean 'cosine'?"),
        ("mirror", True, "mirror must be one of auto, on, off; received 'True'."),
        ("freeze_until", "3x", "freeze_until must be one of none, 3a"),
    ],
)
def test_rules(option, value, message):
    with pytest.raises(UserError) as error:
        replace(TrainConfig(), **{option: value})
    assert message in str(error.value)


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
        assert open_options == ["data_dir", "architecture", "run_folder"]


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
