"""Every option of an export: value, unit, help and check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from googlenet_keras.errors import UserError, unknown_choice
from googlenet_keras.exporting.formats import FORMATS, WEB
from googlenet_keras.run_folder import RunFolder

RUNS = Path("runs")
Layout = Literal["nhwc", "nchw"]
LAYOUTS = get_args(Layout)


@dataclass(frozen=True)
class ExportConfig:
    """Options of one export. Raises UserError where a value breaks its rule."""

    run_folder: Path | None = None
    """A run, or a folder with a saved classifier; none: the newest run in runs/."""
    formats: tuple[str, ...] = ()
    """Of saved_model float32 float16 dynamic int8 int16x8 onnx, all if none is named;
    and web, a page that runs int8 and float32 in a browser (needs npm)."""
    activation_map: bool = False
    """web: a second output in the page's files, so that it shows where they look."""
    calibration_images: int | None = None
    """Training images that int8 learns its ranges from; none: 256, or 1 per class."""
    qat_epochs: int = 0
    """Epochs of fine-tuning with int8's rounding, if int8 loses too much; 0: none."""
    onnx_layout: Layout = "nhwc"
    """Order of the ONNX file's input: channels last or first."""
    licence: str | None = None
    """What the files say of their licence, such as CC-BY-4.0; none: what is known."""
    dataset: str | None = None
    """digits, a folder of class folders or a TFDS name; none: the run's own."""
    data_dir: Path | None = None
    """Folder of prepared TFDS data; none: the run's, else TFDS's own."""
    download: bool = False
    """Let TFDS download and prepare the data set."""

    def __post_init__(self) -> None:
        for name in self.formats:
            if name not in (*FORMATS, WEB):
                raise unknown_choice("a format", name, (*FORMATS, WEB))
        if self.onnx_layout not in LAYOUTS:
            raise unknown_choice("onnx_layout", self.onnx_layout, LAYOUTS)
        if self.qat_epochs and self.formats and not {"int8", WEB} & {*self.formats}:
            raise UserError("qat_epochs trains for int8, which formats leaves out.")
        self._check_activation_map()
        for name, least in (("calibration_images", 1), ("qat_epochs", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name} must be at least {least}; received {value}.")

    def _check_activation_map(self) -> None:
        if self.activation_map and not self.web:
            raise UserError(
                "activation_map is for the page; name web among the formats."
            )
        if self.activation_map and self.qat_epochs:
            raise UserError(
                "the network that qat_epochs trains has no activation_map; leave one "
                "of them out."
            )

    @property
    def web(self) -> bool:
        """Whether the page is wanted."""
        return WEB in self.formats


def finished_run(folder: Path | None) -> Path:
    """The run to export, or folder of a saved classifier. Raises UserError."""
    folder = folder or _newest()
    is_run = RunFolder(folder).is_started
    if is_run and not RunFolder(folder).is_finished:
        raise UserError(
            f"only a finished run can be exported, and {folder} has no "
            "result.json. Let its training end, or export what it has "
            f"saved so far: --run-folder {RunFolder(folder).classifier} --dataset DATA."
        )
    return folder


def _newest() -> Path:
    results = RUNS.glob("*/result.json")
    runs = (path for path in results if RunFolder(path.parent).classifier.is_dir())
    found = sorted(runs, key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(
            f"there is no finished run in {RUNS}/ to export; train one with "
            "python train.py, or name one with --run-folder."
        )
    return found[-1].parent
