"""The formats of an export, what each is, and how near it must come to the network."""

from __future__ import annotations

from dataclasses import dataclass

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.rows import ResponseNorm
from googlenet_keras.errors import UserError


@dataclass(frozen=True)
class Format:
    """One file of the bundle and what the gate asks of it.

    takes_bytes: it answers encoded photographs too. most_difference: the largest of any
    probability. least_agreement: part of the images with the network's own top-1.
    most_drop: of top-1, or three images if that is more. None: not asked.
    """

    name: str
    file: str
    calibrated: bool = False
    takes_bytes: bool = False
    most_difference: float | None = None
    least_agreement: float | None = None
    most_drop: float | None = None


_EQUAL = {"most_difference": 1e-4, "least_agreement": 1.0}
_QUANTISED = {"most_drop": 0.005}
FORMATS = {
    f.name: f
    for f in (
        Format("saved_model", "saved_model", takes_bytes=True, **_EQUAL),
        Format("float32", "float32.tflite", **_EQUAL),
        Format("float16", "float16.tflite", least_agreement=0.995),
        Format("dynamic", "dynamic.tflite", **_QUANTISED),
        Format("int8", "int8.tflite", calibrated=True, **_QUANTISED),
        Format("int16x8", "int16x8.tflite", calibrated=True, **_QUANTISED),
        Format("onnx", "model.onnx", **_EQUAL),
    )
}

WEB, WEB_FORMATS = "web", ("int8", "float32")  # a page, and the files that it runs


def response_norms(arch: Architecture) -> list[str]:
    """The names of the layers that normalise local responses."""
    return [row.name for row in arch.rows if isinstance(row, ResponseNorm)]


def chosen(names: tuple[str, ...], arch: Architecture) -> list[Format]:
    """The formats of those names; of none, all that the network can have.

    web stands for what its page runs. Raises UserError for one that the network
    cannot have.
    """
    refused = {}
    if response_norms(arch):
        refused["int16x8"] = (
            "its local response normalisation needs square roots, which TFLite does "
            "not have in int16"
        )
    for name in names:
        if name in refused:
            raise UserError(
                f"the variant {arch.name} cannot be exported as {name}: "
                f"{refused[name]}. Leave {name} out, or train --variant bn."
            )
    named = [n for name in names for n in (WEB_FORMATS if name == WEB else (name,))]
    wanted = dict.fromkeys(named) or [name for name in FORMATS if name not in refused]
    return [FORMATS[name] for name in wanted]
