"""Every hyper-parameter of a run: value, unit, help and check."""

from __future__ import annotations

import dataclasses
import math
import typing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.arithmetic import height_and_width
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.errors import UserError, unknown_choice
from googlenet_keras.files import read_json

Switch = Literal["auto", "on", "off"]
Frozen = Literal["none", "3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b", "all"]


@dataclass(frozen=True)
class Between:
    """The rule that a number lies in [low, high]; `open_low` leaves `low` out."""

    low: float
    high: float = math.inf
    open_low: bool = False

    def __str__(self) -> str:
        lower = f"above {self.low:g}" if self.open_low else f"at least {self.low:g}"
        return lower + (f" and at most {self.high:g}" if self.high < math.inf else "")

    def holds(self, value: float) -> bool:
        """Whether `value` is finite and keeps the rule."""
        above = value > self.low if self.open_low else value >= self.low
        return above and value <= self.high and math.isfinite(value)


OPEN = (None, (), "auto")  # values of options that are left to the data or the machine
POSITIVE = Between(0, open_low=True)
FRACTION = Between(0, 1)
OTHERWISE = {"weight_decay": 5e-4, "color_jitter": 0.0}  # where data has no default


@dataclass(frozen=True)
class TrainConfig:
    """Options of one training run. Raises UserError where a value breaks its rule."""

    dataset: str = "digits"
    """digits, a folder of class folders, or the name of a TFDS data set."""
    data_dir: Path | None = None
    """Folder of prepared TFDS data, for a TFDS name; none: TFDS's own."""
    download: bool = False
    """Let TFDS download and prepare the data set, for a TFDS name."""
    validation_fraction: Annotated[float, Between(0.01, 0.9)] = 0.2
    """Part kept for validation where a folder or TFDS has no such split (0..1)."""
    cache: Literal["none", "memory", "disk"] = "none"
    """Keep encoded images in memory, or smaller copies of a folder's on disk."""
    recipe: str = "modern"
    """Where the other defaults are: modern, paper, caffe_quick, smoke, finetune."""
    variant: str = "bn"
    """Network: bn, paper, torchvision or slim."""
    architecture: Path | None = None
    """A file with the network in place of --variant, as tuning.search writes it."""
    weights: str = ""
    """Start from: a run, a classifier, torchvision, onnx-zoo, caffe, slim or a file."""
    freeze_until: Frozen = "none"
    """What of --weights does not learn: up to this module, or all of the trunk."""
    trunk_learning_rate: Annotated[float, POSITIVE] = 1.0
    """Factor on the learning rate of all but the heads, with --weights."""
    width: Annotated[float, POSITIVE] = 1.0
    """Factor on every filter count, rounded to multiples of 8."""
    image_size: tuple[int, ...] = ()
    """Pixels, one or height and width; none: of --weights, 64 for digits, or 224."""
    run_folder: Path | None = None
    """Where everything goes; none: runs/<dataset>-<variant>-<time>."""
    resume: bool = False
    """Go on with the run in --run-folder, or begin it if there is none yet."""
    checkpoint_minutes: Annotated[float, Between(0)] = 10.0
    """Minutes between writings of all that --resume needs; 0: nothing is kept."""

    epochs: Annotated[int | None, Between(1)] = None
    """Passes over the training images; none: 12 for digits, else 35."""
    batch_size: Annotated[int | Literal["auto"], Between(1)] = 32
    """Images per step of all devices; auto: as many as fit, a multiple of 8."""
    learning_rate: Annotated[float | None, POSITIVE] = None
    """Peak learning rate; none: 0.05 with batch normalisation, 0.01 without."""
    schedule: Literal["cosine", "step", "poly"] = "cosine"
    """Decay: cosine to 0; step, 4 % every 8 epochs; poly, power 0.5 to 0."""
    warmup_epochs: Annotated[float, Between(0)] = 2.0
    """Epochs of linear rise to the peak learning rate, at most a quarter of all."""
    momentum: Annotated[float, Between(0, 0.9999, open_low=True)] = 0.9
    """SGD momentum (0..1)."""
    nesterov: bool = True
    """Nesterov's momentum."""
    weight_decay: Annotated[float | None, Between(0)] = None
    """L2 decay of kernels, added to the gradient; none: 5e-4 for digits, else 2e-3."""
    bias_learning_rate: Annotated[float, POSITIVE] = 1.0
    """Factor on the learning rate of biases (Caffe: 2)."""
    clip_norm: Annotated[float, Between(0)] = 5.0
    """Largest norm of the whole gradient; 0: not limited."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: each class weighs the same in the loss, however many images it has."""
    label_smoothing: Annotated[float, Between(0, 0.99)] = 0.1
    """Part of each label spread over all classes (0..1)."""
    main_weight: Annotated[float, POSITIVE] = 1.0
    """Weight of the main head's loss."""
    aux1_weight: Annotated[float, Between(0)] = 0.3
    """Weight of the loss of the auxiliary head on 4a."""
    aux2_weight: Annotated[float, Between(0)] = 0.3
    """Weight of the loss of the auxiliary head on 4d."""
    average_epochs: Annotated[float, Between(0)] = 1.0
    """Horizon in epochs of the weights' running (Polyak) average; 0: not averaged."""
    initialization: Literal["he", "caffe"] = "he"
    """First weights: he (variance 2 / fan-in) or caffe (1 / fan-in, biases 0.2)."""

    crop_area: Annotated[float | None, Between(0.01, 1)] = None
    """Smallest area of a training crop (0..1); none: 0.7 for digits, else 0.25."""
    crop_aspect: Annotated[float, Between(1)] = 4 / 3
    """Largest distortion of a training crop's aspect ratio."""
    mirror: Switch = "auto"
    """Mirror half of the training images; auto: not digits."""
    color_jitter: Annotated[float | None, FRACTION] = None
    """Change of brightness, contrast, saturation (0..1); none: 0 for digits, or 0.2."""
    rand_augment: Annotated[float, FRACTION] = 0.0
    """Strength of RandAugment's two operations on each image (0..1); 0: off."""
    random_erasing: Annotated[float, FRACTION] = 0.0
    """Part of the training images in which a rectangle becomes noise (0..1)."""
    mixup: Annotated[float, Between(0)] = 0.0
    """Alpha of MixUp, which blends two images and their labels; 0: off."""
    cutmix: Annotated[float, FRACTION] = 0.0
    """Alpha of CutMix (0..1), which pastes a rectangle and its label's part; 0: off."""
    random_interpolation: bool = False
    """Resize training crops by bilinear, area, nearest or cubic at random."""
    crop_fraction: Annotated[float | None, Between(0.1, 1)] = None
    """Side of evaluation's centre crop (0..1); none: 1 for digits, else 0.875."""

    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    """Arithmetic; auto: what this machine computes fastest."""
    xla: Switch = "auto"
    """Compile with XLA; auto: on one GPU only."""
    strategy: Literal["none", "mirrored", "multi-worker"] = "none"
    """Train on one device, all GPUs of a machine, or several machines (docs)."""
    seed: Annotated[int, Between(0, 2**31 - 1)] = 0
    """Of first weights, order, crops and dropout."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self), include_extras=True)
        for field in dataclasses.fields(self):
            _check(field.name, getattr(self, field.name), hints[field.name])
        self._check_start()
        self.to_architecture()
        if self.image_size:
            height_and_width(self.image_size)

    def to_architecture(self) -> Architecture:
        """The network these options ask for. Raises UserError."""
        if self.architecture:
            arch = Architecture.from_json(read_architecture(self.architecture))
            return arch.scale_width(self.width)
        return get_architecture(self.variant).scale_width(self.width)

    def _check_start(self) -> None:
        if self.weights and self.width != 1:
            raise UserError(
                "weights come with their widths; leave out --width, or --weights; "
                f"received {self.width:g} and {self.weights}."
            )
        if not self.weights and (self.freeze_until, self.trunk_learning_rate) != (
            "none",
            1.0,
        ):
            raise UserError(
                "freeze_until and trunk_learning_rate are for weights to start from; "
                "add --weights torchvision, or a run's folder."
            )

    def loss_weights(self) -> dict[str, float]:
        """By head: main, aux1, aux2."""
        return {
            "main": self.main_weight,
            "aux1": self.aux1_weight,
            "aux2": self.aux2_weight,
        }

    def resolved(self, defaults: typing.Mapping[str, Any]) -> TrainConfig:
        """Every option left to the data set takes its value from `defaults`."""
        rate = 0.05 if self.to_architecture().batch_norm else 0.01
        chosen = OTHERWISE | {"learning_rate": rate} | dict(defaults)
        filled = {k: v for k, v in chosen.items() if getattr(self, k) in OPEN}
        return replace(self, **filled)

    def to_json(self) -> dict[str, Any]:
        """Plain values by option name."""
        data = dataclasses.asdict(self)
        return {k: str(v) if isinstance(v, Path) else v for k, v in data.items()}

    @classmethod
    def from_json(cls, data: typing.Mapping[str, Any]) -> typing.Self:
        """Reads what `to_json` gave; names that are no options are left out.

        Raises UserError for a value that no option can have.
        """
        hints = typing.get_type_hints(cls)
        try:
            return cls(**{n: _read(v, hints[n]) for n, v in data.items() if n in hints})
        except (TypeError, AttributeError) as error:
            raise UserError(f"these are no options of a run: {error}.") from error


def read_architecture(path: Path) -> dict[str, Any]:
    """The network in `path`, a file of its own or a saved classifier's description."""
    data = read_json(path)
    inside = data.get("architecture")
    return inside if isinstance(inside, dict) else data


def _read(value: Any, hint: Any) -> Any:
    if isinstance(value, str) and Path in typing.get_args(hint):
        return Path(value)
    return tuple(value) if isinstance(value, list) else value


def _check(name: str, value: Any, hint: Any) -> None:
    known = typing.get_args(hint)
    if typing.get_origin(hint) is Literal and value not in known:
        raise unknown_choice(name, str(value), known)
    rules = [x for x in typing.get_args(hint) if isinstance(x, Between)]
    for rule in rules if value not in (None, "auto") else ():
        if not rule.holds(value):
            raise UserError(f"{name} must be {rule}; received {value}.")
