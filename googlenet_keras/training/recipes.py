"""Named TrainConfigs, each with its source."""

from googlenet_keras.errors import unknown_choice_error
from googlenet_keras.training.options import AppliedRecipe, TrainConfig

MODERN = TrainConfig()
"""What trains well today from scratch: Muon with Nesterov momentum, images that grow,
warm-up and cosine decay, label smoothing, averaged weights. Source: this project's own
runs (docs/performance.md)."""

PAPER = TrainConfig(
    recipe=AppliedRecipe("paper"),
    variant="paper",
    learning_rate=0.01,
    schedule="step",
    nesterov=False,
    weight_decay=2e-4,
    label_smoothing=0.0,
    average_epochs=2.0,
    crop_area=0.08,
    color_jitter=0.4,
    random_interpolation=True,
    epochs=60,
)
"""Section 6 of arXiv 1409.4842: crops of 8 to 100 % of the area, aspect 3/4 to 4/3,
random interpolation, photometric distortion, momentum 0.9, rate 4 % lower every 8
epochs, Polyak averaging. The paper states neither rate, batch size nor decay: those
are Caffe's solver.prototxt, batch 32. Warm-up, gradient clipping and the initialization
are this project's, since Caffe's users report dead heads without."""

CAFFE_QUICK = TrainConfig(
    recipe=AppliedRecipe("caffe_quick"),
    variant="paper",
    learning_rate=0.01,
    schedule="poly",
    warmup_epochs=0.0,
    nesterov=False,
    weight_decay=2e-4,
    bias_learning_rate=2.0,
    clip_norm=0.0,
    label_smoothing=0.0,
    average_epochs=0.0,
    initialization="caffe",
    color_jitter=0.0,
    crop_area=0.57,  # 224/256 of the shorter side of a 4:3 photograph
    crop_aspect=1.0,
    epochs=60,
)
"""bvlc_googlenet's quick_solver.prototxt and train_val.prototxt: 0.01 sqrt(1 - t) over
60 epochs, batch 32, decay 2e-4, biases at twice the rate and without decay, fan-in
uniform initialization, biases from 0.2. Caffe warps photographs to 256 x 256 and crops
224 there; here a crop is not warped and has at least 57 % of the photograph's area. Its
authors report 68.7 % top-1 on ImageNet."""

SMOKE = TrainConfig(
    recipe=AppliedRecipe("smoke"),
    width=0.25,
    image_size=(32,),
    epochs=2,
    warmup_epochs=0.5,
)
"""A narrow network on small images: whether everything works, in a minute."""

FINETUNE = TrainConfig(
    recipe=AppliedRecipe("finetune"),
    weights="torchvision",
    trunk_learning_rate=0.3,
    learning_rate=0.02,
    weight_decay=5e-4,
    epochs=40,
)
"""A few hundred photographs, from weights that know others: a low rate, lower still in
the trunk. Source: this project's own runs (docs/fine-tuning.md)."""

RECIPES = {r.recipe: r for r in (MODERN, PAPER, CAFFE_QUICK, SMOKE, FINETUNE)}


def recipe(name: str) -> TrainConfig:
    """The options of the recipe `name`. Raises UserError for one that is unknown."""
    if name not in RECIPES:
        raise unknown_choice_error("recipe", name, RECIPES)
    return RECIPES[name]
