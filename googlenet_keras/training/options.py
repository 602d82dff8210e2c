"""Options of a training run, with defaults, help texts and checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from msgspec import Meta
from tyro.constructors import PrimitiveConstructorSpec

from googlenet_keras.architecture.architecture import (
    MAX_WIDTH_MULTIPLIER,
    MIN_WIDTH_MULTIPLIER,
    Architecture,
)
from googlenet_keras.architecture.arithmetic import height_and_width
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.errors import UserError, unknown_choice_error
from googlenet_keras.files import read_json
from googlenet_keras.run_folder import (
    VALIDATION_FRACTION,
    FoldNumber,
    Seed,
    ValidationFraction,
)
from googlenet_keras.training.defaults import (
    LEARNING_RATE_FLAG,
    DataKind,
    by_data,
    defaults_of,
    unset_by,
)
from googlenet_keras.training.option_checks import (
    check_folds,
    check_gamma_penalty,
    check_options,
    check_plans,
    check_resume,
    plain_value,
    read_options,
)
from googlenet_keras.training.stages import (
    Stage,
    check_epochs_and_size,
    growing_stages,
    parse_stages,
)

Switch = Literal["auto", "on", "off"]
# numbers within the limits of what computers compute and people train
MAX_EPOCHS = 100_000
Count = Annotated[int, Meta(ge=1, le=MAX_EPOCHS)]
Factor = Annotated[float, Meta(ge=1e-9, le=1e6)]
Amount = Annotated[float, Meta(ge=0, le=1e6)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Width = Annotated[float, Meta(ge=MIN_WIDTH_MULTIPLIER, le=MAX_WIDTH_MULTIPLIER)]
BatchSize = Annotated[int, Meta(ge=1, le=2**17)]
Text = Annotated[str, Meta(min_length=1)]

RECIPE_NAMES = ("modern", "paper", "caffe_quick", "smoke", "finetune")


class AppliedRecipe(str):
    """A recipe's name, marked to show that the recipe's options have been applied."""


_RECIPE_FLAG = PrimitiveConstructorSpec[str](
    nargs=1,
    metavar="STR",
    instance_from_str=lambda texts: AppliedRecipe(texts[0]),  # read_flags applies it
    is_instance=lambda value: isinstance(value, str),
    str_from_instance=lambda value: [value],
)


@dataclass(frozen=True)
class TrainConfig:
    """Options of one training run. Raises UserError where a value breaks its rule."""

    dataset: Text = "digits"
    """digits, a folder of class folders, or the name of a TFDS data set."""
    data_dir: Path | None = None
    """Folder of prepared TFDS data, for a TFDS name; none: TFDS's own."""
    download: bool = False
    """Let TFDS download and prepare the data set, for a TFDS name."""
    validation_fraction: ValidationFraction = VALIDATION_FRACTION
    """Fraction held out for validation, without such a split or in a fold (0..1)."""
    folds: FoldNumber = 0
    """Cross-validation: test a network on each fold, trained on the others; 0: off."""
    fold: FoldNumber = 0
    """Train only the network that is tested on this fold, from 1; 0: all."""
    fold_seed: Seed | None = None
    """Random seed of the division into --folds; none: --seed."""
    cache: Literal["none", "memory", "disk"] = "none"
    """Cache encoded images in memory, or smaller copies of a folder's on disk."""
    none: Path | None = None
    """Folder of pictures that show none of the classes, which it learns to refuse."""
    none_synthetic: Fraction = 0.5
    """With --none, fraction of those that is made from training images (0..1)."""
    recipe: Annotated[str, _RECIPE_FLAG] = AppliedRecipe("modern")
    """Sets other options' defaults: modern, paper, caffe_quick, smoke or finetune."""
    variant: str = "bn"
    """Network: bn, paper, torchvision or slim."""
    architecture: Path | None = None
    """File with the network in place of --variant, as `search` writes it."""
    weights: str = ""
    """Start from: a run, a classifier, torchvision, onnx-zoo, caffe, slim or a file."""
    freeze_until: Literal[
        "none", "3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b", "all"
    ] = "none"
    """Freeze --weights up to this module, or all of the trunk."""
    trunk_learning_rate: Factor = 1.0
    """Factor on the learning rate of all but the heads, with --weights."""
    layer_decay: Annotated[float, Meta(ge=1e-3, le=1)] = 1.0
    """Factor on the learning rate for each module away from the main head (0..1)."""
    teacher: tuple[Path, ...] = ()
    """Runs or classifiers whose answers are learned, too (distillation)."""
    width: Width = 1.0
    """Factor on every filter count, rounded to multiples of 8."""
    image_size: Annotated[tuple[int, ...], by_data("image_size")] = ()
    image_sizes: tuple[str, ...] = ()
    """Image sizes one after another, with their epochs: 80:24 96:14 128:17 (docs)."""
    grow: Switch = "auto"
    """Begin with smaller images, of 5/8 of the size; auto: for photos (docs)."""
    run_folder: Path | None = None
    """Folder of everything the run writes; none: runs/<dataset>-<variant>-<time>."""
    resume: bool = False
    """Resume the run in --run-folder, or start it if there is none yet."""
    checkpoint_minutes: Amount = 10.0
    """Minutes between checkpoints, which --resume needs; 0: no checkpoints."""

    epochs: Annotated[Count | None, by_data("epochs")] = None
    minutes: Amount = 0.0
    """Train as many epochs as fit into this time, in place of --epochs; 0: off."""
    patience: Annotated[int, Meta(ge=0, le=MAX_EPOCHS)] = 0
    """Epochs without a better validation loss before the final decay; 0: off."""
    batch_size: BatchSize | Literal["auto"] = 32
    """Images per step of all devices; auto: as many as fit, a multiple of 8."""
    optimizer: Literal["auto", "sgd", "muon"] = "auto"
    """sgd, or muon, whose steps are orthogonal; auto: muon from scratch (docs)."""
    learning_rate: Annotated[Factor | None, LEARNING_RATE_FLAG] = None
    schedule: Literal["cosine", "step", "poly"] = "cosine"
    """Decay: cosine to 0; step, 4 % every 8 epochs; poly, power 0.5 to 0."""
    warmup_epochs: Amount = 2.0
    """Epochs of linear warm-up to the peak learning rate, at most a quarter of all."""
    momentum: Annotated[float, Meta(gt=0, le=0.9999)] = 0.9
    """SGD momentum (0..1)."""
    nesterov: bool = True
    """Nesterov momentum."""
    weight_decay: Annotated[Amount | None, by_data("weight_decay")] = None
    gamma_penalty: Amount = 0.0
    """L1 penalty on batch normalization's gammas, by what their channels cost."""
    bias_learning_rate: Factor = 1.0
    """Factor on the learning rate of biases (Caffe: 2)."""
    clip_norm: Amount = 5.0
    """Largest global norm of the gradient; 0: not clipped."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: each class weighs the same in the loss, however many images it has."""
    label_smoothing: Annotated[float, Meta(ge=0, le=0.99)] = 0.1
    """Part of each label spread over all classes (0..1)."""
    teacher_weight: Annotated[float, Meta(gt=0, le=1)] = 0.7
    """Part of the training target that is the mean answer of --teacher (0..1)."""
    self_distillation: Fraction = 0.0
    """Part of the auxiliary heads' target that is the main head's answer (0..1)."""
    main_weight: Factor = 1.0
    """Loss weight of the main head."""
    aux1_weight: Amount = 0.3
    """Loss weight of the auxiliary head on 4a."""
    aux2_weight: Amount = 0.3
    """Loss weight of the auxiliary head on 4d."""
    average_epochs: Amount = 1.0
    """Horizon in epochs of the moving (Polyak) average of the weights; 0: none."""
    initialization: Literal["he", "caffe"] = "he"
    """Initialization: he (variance 2 / fan-in) or caffe (1 / fan-in, biases 0.2)."""

    crop_area: Annotated[
        Annotated[float, Meta(ge=0.01, le=1)] | None, by_data("crop_area")
    ] = None
    crop_aspect: Annotated[float, Meta(ge=1, le=100)] = 4 / 3
    """Largest distortion of a training crop's aspect ratio."""
    mirror: Annotated[Switch, by_data("mirror")] = "auto"
    color_jitter: Annotated[Fraction | None, by_data("color_jitter")] = None
    rand_augment: Fraction = 0.0
    """Strength of RandAugment's two operations on each image (0..1); 0: off."""
    random_erasing: Fraction = 0.0
    """Part of the training images in which a rectangle becomes noise (0..1)."""
    mixup: Annotated[float, Meta(ge=0, le=100)] = 0.0
    """Alpha of MixUp, which blends two images and their labels; 0: off."""
    cutmix: Fraction = 0.0
    """Alpha of CutMix (0..1), which pastes a rectangle and its label's part; 0: off."""
    random_interpolation: bool = False
    """Resize training crops by bilinear, area, nearest or cubic at random."""
    crop_fraction: Annotated[float, Meta(ge=0.1, le=1)] = 1.0
    """Side of evaluation's center crop, as a part of the largest one's (0..1)."""

    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    """Arithmetic; auto: the fastest on this machine."""
    xla: Switch = "auto"
    """Compile with XLA; auto: on one GPU only."""
    strategy: Literal["none", "mirrored", "multi-worker"] = "none"
    """Train on one device, all GPUs of a machine, or several machines (docs)."""
    seed: Seed = 0
    """Random seed of initialization, shuffling, augmentation and dropout."""

    def __post_init__(self) -> None:
        check_options(self)
        if not isinstance(self.recipe, AppliedRecipe):
            raise UserError(
                f"recipe={self.recipe!r} alone sets no options; use "
                f"TrainConfig.from_recipe({self.recipe!r})."
            )
        if self.recipe not in RECIPE_NAMES:
            raise unknown_choice_error("recipe", self.recipe, RECIPE_NAMES)
        check_resume(self.resume, self.run_folder)
        if self.weights and self.width != 1:
            raise UserError(
                "weights come with their widths; leave out --width, or --weights; "
                f"received {self.width:g} and {self.weights}."
            )
        factors = (self.trunk_learning_rate, self.layer_decay)
        learns_alike = self.freeze_until == "none" and factors == (1, 1)
        if not (self.weights or learns_alike):
            raise UserError(
                "freeze_until, trunk_learning_rate and layer_decay need weights to "
                "start from; add --weights torchvision, or a run's folder."
            )
        if self.none_synthetic not in (0, TrainConfig.none_synthetic) and not self.none:
            raise UserError("none_synthetic needs none, a folder; add --none FOLDER.")
        if self.teacher_weight != TrainConfig.teacher_weight and not self.teacher:
            raise UserError("teacher_weight needs a teacher; add --teacher RUN.")
        if self.self_distillation and not self.to_architecture().heads:
            raise UserError(
                "self_distillation needs an auxiliary head, and the network has none; "
                "leave it out."
            )
        check_folds(self.folds, self.fold, self.fold_seed, bool(self.teacher))
        check_plans(self)
        check_gamma_penalty(self.gamma_penalty, self.to_architecture())
        if self.image_size:
            height_and_width(self.image_size)
        stages = parse_stages(self.image_sizes)
        check_epochs_and_size(stages, self.epochs, self.image_size)

    @classmethod
    def from_recipe(cls, name: str, **changes: Any) -> Self:
        """The options of the recipe `name`, with `changes`. Raises UserError."""
        from googlenet_keras.training.recipes import recipe

        return cls(**vars(recipe(name)) | unset_by(changes) | changes)

    def to_architecture(self) -> Architecture:
        """The network these options ask for. Raises UserError."""
        if self.architecture:
            arch = Architecture.from_json(read_architecture(self.architecture))
        else:
            arch = get_architecture(self.variant)
        return arch.scale_width(self.width)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of the run, each at one image size.

        The options that the data decide must be resolved.
        """
        if self.image_sizes:
            return parse_stages(self.image_sizes)
        epochs, size = self.epochs or 1, height_and_width(self.image_size)
        if self.grow == "on":
            return growing_stages(epochs, size)
        return (Stage(0, epochs, size),)

    def loss_weights(self) -> dict[str, float]:
        """The loss weight of each head."""
        weights = (self.main_weight, self.aux1_weight, self.aux2_weight)
        return dict(zip(("main", "aux1", "aux2"), weights, strict=True))

    def soft_target_weights(self, head: str) -> tuple[float, ...]:
        """The weight of each soft target of a head: the teacher's, the main head's."""
        teacher = (self.teacher_weight,) if self.teacher else ()
        has_own = self.self_distillation and head != "main"
        return (*teacher, self.self_distillation) if has_own else teacher

    def resolve(self, kind: DataKind, **changes: Any) -> ResolvedConfig:
        """Applies `changes` and the defaults that depend on data and network."""
        options = vars(self) | defaults_of(self, kind) | changes
        return ResolvedConfig(**options | {"network": self.to_architecture()})

    def to_json(self) -> dict[str, Any]:
        """Plain values by option name."""
        names = (option.name for option in dataclasses.fields(TrainConfig))
        return {name: plain_value(getattr(self, name)) for name in names}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Builds the options from the output of `to_json`; ignores unknown names.

        Raises UserError for a value that no option can have.
        """
        recipe = {n: AppliedRecipe(v) for n, v in data.items() if n == "recipe"}
        older = {"grow": "off", "optimizer": "sgd"}  # of runs that do not tell
        return read_options(cls, {**older, **data, **recipe})


@dataclass(frozen=True, kw_only=True)
class ResolvedConfig(TrainConfig):
    """Options with every default resolved, and the network itself."""

    network: Architecture
    epochs: Count
    batch_size: BatchSize
    learning_rate: Factor
    weight_decay: Amount
    crop_area: Fraction
    color_jitter: Fraction

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the trained network's input, in pixels."""
        return height_and_width(self.image_size)

    def to_architecture(self) -> Architecture:
        """The network, without reading a file again."""
        return self.network


def read_architecture(path: Path) -> dict[str, Any]:
    """Reads a network as JSON from a file of its own or a saved classifier."""
    data = read_json(path)
    inside = data.get("architecture")
    return inside if isinstance(inside, dict) else data
