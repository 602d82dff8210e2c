"""The export formats: how each is made and how closely it must match the network."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.exporting import to_tflite
from googlenet_keras.exporting.source import Source, response_norms
from googlenet_keras.exporting.to_onnx import write_onnx

WEB_FORMAT = "web"  # the web page, no file: webpage makes it
PAGE_FORMATS = ("int8", "float32")  # the files that the page runs


@dataclass(frozen=True)
class Format:
    """An export format: how its file is made, and the limits of its parity check.

    make: writes it, in a process of its own. is_calibrated: `make` needs calibration
    images. is_integer: all of it must compute in integers, but for response norms.
    takes_photos: it answers encoded photos too. no_response_norms: why a network with
    such layers cannot have the format. max_difference: of any probability.
    min_agreement: fraction of the images with the network's own top-1. max_top1_drop:
    or three images if that is more. None: not asked.
    """

    name: str
    file: str
    make: Callable[[Source, Path], None]
    is_calibrated: bool = False
    is_integer: bool = False
    takes_photos: bool = False
    no_response_norms: str | None = None
    max_difference: float | None = None
    min_agreement: float | None = None
    max_top1_drop: float | None = None


def _saved_model(source: Source, path: Path) -> None:
    from googlenet_keras.artifacts.contents import Contents
    from googlenet_keras.exporting.to_saved_model import write_saved_model

    write_saved_model(source.network, Contents.of(source.classifier), path)


def _tflite(name: str, convert: to_tflite.Convert, **options: Any) -> Format:
    make = partial(to_tflite.write_tflite, convert)
    return Format(name, f"{name}.tflite", make, **options)


_EQUAL_LIMITS: dict[str, Any] = {"max_difference": 1e-4, "min_agreement": 1.0}
_QUANTIZED_LIMITS: dict[str, Any] = {"max_top1_drop": 0.005}
_CALIBRATED = _QUANTIZED_LIMITS | {"is_calibrated": True}
FORMATS = {
    format.name: format
    for format in (
        Format(
            "saved_model",
            "saved_model",
            _saved_model,
            takes_photos=True,
            **_EQUAL_LIMITS,
        ),
        _tflite("float32", to_tflite.to_float32, **_EQUAL_LIMITS),
        _tflite("float16", to_tflite.to_float16, min_agreement=0.995),
        _tflite("dynamic", to_tflite.to_dynamic, **_QUANTIZED_LIMITS),
        _tflite("int8", to_tflite.to_int8, is_integer=True, **_CALIBRATED),
        _tflite(
            "int16x8",
            to_tflite.to_int16x8,
            no_response_norms="its local response normalization needs square roots, "
            "which TFLite does not have in int16",
            **_CALIBRATED,
        ),
        Format("onnx", "model.onnx", write_onnx, **_EQUAL_LIMITS),
    )
}


def select_formats(names: Iterable[str], arch: Architecture) -> list[Format]:
    """The formats in `names`, or all formats that the network supports.

    web stands for the files that its page runs. Raises UserError for a format that the
    network cannot have.
    """
    has_norms = bool(response_norms(arch))
    files = [PAGE_FORMATS if name == WEB_FORMAT else (name,) for name in names]
    selected = [FORMATS[name] for name in dict.fromkeys(chain.from_iterable(files))]
    for format in selected:
        if has_norms and format.no_response_norms:
            raise UserError(
                f"the variant {arch.name} cannot be exported as {format.name}: "
                f"{format.no_response_norms}. Leave {format.name} out, or train "
                "--variant bn."
            )
    return selected or [
        format
        for format in FORMATS.values()
        if not (has_norms and format.no_response_norms)
    ]
