"""Compiles integer files for the NPU of a phone, with the SDK of the chip's vendor."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from googlenet_keras.errors import UserError, unknown_choice_error
from googlenet_keras.exporting.report import NpuRow
from googlenet_keras.installation import is_installed

SDK_PREFIX = "ai_edge_litert_sdk_"
VENDORS = {  # as their SDK is called, and as LiteRT's module is
    "google_tensor": "google_tensor",
    "intel": "intel_openvino",
    "mediatek": "mediatek",
    "qualcomm": "qualcomm",
    "samsung": "samsung",
}


@dataclass(frozen=True)
class NpuTarget:
    """A chip with an NPU, such as qualcomm:SM8750."""

    vendor: str
    chip: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The target named VENDOR:CHIP. Raises UserError."""
        vendor, separator, chip = text.partition(":")
        if not separator or not chip:
            raise UserError(
                f"npu must be VENDOR:CHIP, such as qualcomm:SM8750; received {text!r}."
            )
        if vendor not in VENDORS:
            raise unknown_choice_error("a vendor of NPUs", vendor, tuple(VENDORS))
        return cls(vendor, chip)

    def __str__(self) -> str:
        return f"{self.vendor}:{self.chip}"

    def check(self) -> None:
        """Raises UserError for an unknown chip, and without the vendor's SDK."""
        chips = tuple(chip.value for chip in self._module("target").SocModel)
        if self.chip not in chips:
            raise unknown_choice_error(f"a chip of {self.vendor}", self.chip, chips)
        if not is_installed(SDK_PREFIX + self.vendor):
            package = (SDK_PREFIX + self.vendor).replace("_", "-")
            raise UserError(
                f"npu {self} needs the vendor's SDK, which is not installed: "
                f"pip install {package}, or as the vendor says. Without it leave npu "
                "out: the int8 file runs on the phone's CPU."
            )

    def litert_target(self) -> Any:
        """LiteRT's own object for the chip; its compiler is registered, too."""
        self._module(f"{VENDORS[self.vendor]}_backend")
        module = self._module("target")
        return module.Target(module.SocModel(self.chip))

    def _module(self, name: str) -> Any:
        return import_module(
            f"ai_edge_litert.aot.vendors.{VENDORS[self.vendor]}.{name}"
        )


def compile_for_npu(path: Path, target: NpuTarget) -> NpuRow:
    """Compiles a .tflite file for a chip, beside it; nothing here can run the result.

    Raises ValueError where the vendor's compiler refuses the file.
    """
    from ai_edge_litert.aot import aot_compile

    from googlenet_keras.artifacts.artifact import Contents  # slow: TensorFlow

    with TemporaryDirectory() as folder:
        done = aot_compile.aot_compile(
            str(path),
            output_dir=folder,
            target=target.litert_target(),
            keep_going=False,
        )
        (model,) = done.models
        data = model.path.read_bytes()
    compiled = path.with_name(f"{path.stem}_{target.vendor}_{target.chip}{path.suffix}")
    compiled.write_bytes(Contents.read(path).add_to_tflite(data))
    graphs = model.partition_stats.subgraph_stats if model.partition_stats else []
    return {
        "file": compiled.name,
        "operators": sum(graph.num_total_ops for graph in graphs),
        "operators_on_npu": sum(graph.num_ops_offloaded for graph in graphs),
        "reason": None,
    }
