"""The export formats: how each is made and how closely it must match the network."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.exporting import converters, runtime_versions
from googlenet_keras.exporting.converters import Convert, Source, response_norms
from googlenet_keras.exporting.coreml import write_coreml
from googlenet_keras.exporting.openvino import write_openvino
from googlenet_keras.installation import require

ALLOWED_LOST_IMAGES = 3  # that top-1 may always lose
TFLITE_LIBRARIES = ("ai_edge_litert",)
ONNX_LIBRARIES = ("onnx", "onnxruntime", "tf2onnx")
DEFAULT_EXTRA = "export"  # formats of other extras are made if they are named


@dataclass(frozen=True)
class Format:
    """An export format: how its file is made, and the limits of its parity check."""

    name: str
    file: str
    make: Callable[[Source, Path], None]  # writes the file, in a process of its own
    min_runtime: Callable[[Path], str | None]  # the least version that runs the file
    libraries: tuple[str, ...] = ()  # that it needs, by their modules
    extra: str = DEFAULT_EXTRA  # of pyproject.toml, that has them
    is_calibrated: bool = False  # `make` needs calibration images
    is_integer: bool = False  # it must compute in integers, but for response norms
    takes_whole_photos: bool = False  # as input, stretched to fit
    takes_photos: bool = False  # it answers encoded photos too
    no_response_norms: str | None = None  # why networks with such layers cannot have it
    max_difference: float = math.inf  # of any probability
    min_agreement: float = 0.0  # fraction of the images with the network's own top-1
    max_top1_drop: float = 1.0  # or ALLOWED_LOST_IMAGES if that is more


def _tflite(name: str, convert: Convert, **options: Any) -> Format:
    make = partial(converters.write_tflite, convert)
    version = runtime_versions.of_tflite
    return Format(name, f"{name}.tflite", make, version, TFLITE_LIBRARIES, **options)


_EQUAL: dict[str, Any] = {"max_difference": 1e-4, "min_agreement": 1.0}
_QUANTIZED: dict[str, Any] = {"max_top1_drop": 0.005}
_CALIBRATED = _QUANTIZED | {"is_calibrated": True}
FORMATS = {
    format.name: format
    for format in (
        Format(
            "saved_model",
            "saved_model",
            converters.write_saved_model,
            runtime_versions.of_saved_model,
            takes_photos=True,
            **_EQUAL,
        ),
        _tflite("float32", converters.to_float32, **_EQUAL),
        _tflite("float16", converters.to_float16, min_agreement=0.995),
        _tflite("dynamic", converters.to_dynamic, **_QUANTIZED),
        _tflite("int8", converters.to_int8, is_integer=True, **_CALIBRATED),
        _tflite(
            "phone",
            converters.to_int8,
            is_integer=True,
            takes_whole_photos=True,
            **_CALIBRATED,
        ),
        _tflite(
            "int16x8",
            converters.to_int16x8,
            no_response_norms="its local response normalization needs square roots, "
            "which TFLite does not have in int16",
            **_CALIBRATED,
        ),
        Format(
            "onnx",
            "model.onnx",
            converters.write_onnx,
            runtime_versions.of_onnx,
            ONNX_LIBRARIES,
            **_EQUAL,
        ),
        Format(
            "coreml",
            "coreml.mlpackage",
            write_coreml,
            runtime_versions.of_core_ml,
            ("coremltools",),
            "coreml",
            min_agreement=0.995,
        ),
        Format(
            "coreml_int8",
            "coreml_int8.mlpackage",
            partial(write_coreml, weight_bits=8),
            runtime_versions.of_core_ml,
            ("coremltools",),
            "coreml",
            **_QUANTIZED,
        ),
        Format(
            "openvino",
            "openvino",
            write_openvino,
            runtime_versions.of_openvino,
            ("openvino",),
            "openvino",
            **_EQUAL,
        ),
    )
}


@dataclass(frozen=True)
class FolderFormat:
    """A folder with a program that runs exported files; never made unless named."""

    name: str  # of the folder, too
    runs: tuple[str, ...]  # formats, which are made for it
    is_app: bool = True  # `apps` makes it; else `webpage` does


WEB_FORMAT = FolderFormat("web", ("int8", "float32"), is_app=False)
FOLDER_FORMATS = {
    format.name: format
    for format in (
        WEB_FORMAT,
        FolderFormat("android", ("int8",)),
        FolderFormat("ios", ("int8",)),
    )
}


def check_libraries(names: Iterable[str]) -> None:
    """Raises UserError if the formats in `names` need a missing library.

    none: those of DEFAULT_EXTRA.
    """
    formats = files_of(names) or default_formats()
    for extra in dict.fromkeys(format.extra for format in formats):
        needed = {x for f in formats if f.extra == extra for x in f.libraries}
        what = "export" if extra == DEFAULT_EXTRA else f"the format {extra}"
        require(what, extra, sorted(needed))


def select_formats(names: Iterable[str], arch: Architecture) -> list[Format]:
    """The formats in `names`, or all of DEFAULT_EXTRA that the network supports.

    A folder stands for the files that it runs. Raises UserError for a format that the
    network cannot have.
    """
    has_norms = bool(response_norms(arch))
    impossible = [f for f in FORMATS.values() if has_norms and f.no_response_norms]
    selected = files_of(names)
    for format in selected:
        if format in impossible:
            raise UserError(
                f"the variant {arch.name} cannot be exported as {format.name}: "
                f"{format.no_response_norms}. Leave {format.name} out, or train "
                "--variant bn."
            )
    return selected or [f for f in default_formats() if f not in impossible]


def default_formats() -> list[Format]:
    """The formats that are made if none is named."""
    return [format for format in FORMATS.values() if format.extra == DEFAULT_EXTRA]


def files_of(names: Iterable[str]) -> list[Format]:
    """The formats in `names`; for a folder, those that it runs."""
    files = [FOLDER_FORMATS[n].runs if n in FOLDER_FORMATS else (n,) for n in names]
    return [FORMATS[name] for name in dict.fromkeys(chain.from_iterable(files))]
