"""Options of an export, with defaults, help texts and checks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from googlenet_keras.errors import UserError, unknown_choice_error
from googlenet_keras.exporting.npu import NpuTarget
from googlenet_keras.installation import command_line
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.option_checks import check_options
from googlenet_keras.training.options import Text

RUNS_FOLDER = Path("runs")
Layout = Literal["nhwc", "nchw"]


@dataclass(frozen=True)
class ExportConfig:
    """Options of one export. Raises UserError where a value breaks its rule."""

    run_folder: Path | None = None
    """A run, or a folder with a saved classifier; none: the newest run in runs/."""
    formats: tuple[str, ...] = ()
    """Of saved_model float32 float16 dynamic int8 int16x8 phone onnx, all if none is
    named; also coreml coreml_int8 openvino, which need libraries of their own; web, a
    page that runs int8 and float32 in a browser (needs npm); android and ios, the
    sources of apps that run int8."""
    phone_aspect: Annotated[float, Meta(ge=0.1, le=10)] | None = None
    """phone: width / height of the photographs; none: what suits 100 of them best."""
    activation_map: bool = False
    """web: a second output in the page's files, to show which places matter."""
    calibration_images: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """Training images that int8 learns its ranges from; none: 256, or 1 per class."""
    qat_epochs: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """Epochs of quantization-aware training, if int8 loses too much; 0: none."""
    npu: tuple[str, ...] = ()
    """Chips to compile int8 files for, such as qualcomm:SM8750; needs their SDK."""
    onnx_layout: Layout = "nhwc"
    """Order of the ONNX file's input: channels last or first."""
    license: Text | None = None
    """License that the files state, such as CC-BY-4.0; none: what is known."""
    dataset: Text | None = None
    """digits, a folder of class folders or a TFDS name; none: the run's own."""
    data_dir: Path | None = None
    """Folder of prepared TFDS data; none: the run's, else TFDS's own."""
    download: bool = False
    """Let TFDS download and prepare the data set."""

    def __post_init__(self) -> None:
        # slow: TensorFlow
        from googlenet_keras.exporting.formats import FOLDER_FORMATS, FORMATS, files_of

        if isinstance(self.formats, str):
            raise UserError(
                f"formats must be names, such as ({self.formats!r},); received a text."
            )
        check_options(self)
        _ = self.npu_targets
        for name in self.formats:
            if name not in FORMATS | FOLDER_FORMATS:
                raise unknown_choice_error("a format", name, FORMATS | FOLDER_FORMATS)
        files = files_of(self.formats)
        has_integers = not files or any(format.is_integer for format in files)
        if self.qat_epochs and not has_integers:
            raise UserError(
                "qat_epochs needs int8 or phone among the formats; received "
                f"{', '.join(self.formats)}. Add one, or leave qat_epochs out."
            )
        if self.npu and not has_integers:
            raise UserError(
                "npu needs int8 or phone among the formats; received "
                f"{', '.join(self.formats)}. Add one, or leave npu out."
            )
        if self.phone_aspect and self.formats and "phone" not in self.formats:
            raise UserError(
                "phone_aspect needs the format phone; add it to formats, or leave "
                "phone_aspect out."
            )
        if self.activation_map and "web" not in self.formats:
            raise UserError(
                "activation_map needs the format web; add it to formats, or leave "
                "activation_map out."
            )
        if self.activation_map and self.qat_epochs:
            raise UserError(
                "the network that qat_epochs trains has no activation_map; leave one "
                "of them out."
            )

    @property
    def npu_targets(self) -> list[NpuTarget]:
        """The chips in `npu`. Raises UserError."""
        return [NpuTarget.parse(text) for text in self.npu]

    def find_run(self) -> RunFolder:
        """The run to export, or the folder of a saved classifier. Raises UserError."""
        run = RunFolder(self.run_folder) if self.run_folder else _newest_run()
        if run.is_started and not run.is_finished:
            raise UserError(
                f"only a finished run can be exported, and {run} has no "
                f"{run.result.name}. Let its training end, or export what it has saved "
                f"so far: --run-folder {run.classifier} --dataset DATA."
            )
        return run


def _newest_run() -> RunFolder:
    runs = [RunFolder(result.parent) for result in RUNS_FOLDER.glob("*/result.json")]
    if exportable := [run for run in runs if run.classifier.is_dir()]:
        return max(exportable, key=lambda run: run.result.stat().st_mtime)
    raise UserError(
        f"there is no finished run in {RUNS_FOLDER}/ to export; train one with "
        f"{command_line('train')}, or name one with --run-folder."
    )
