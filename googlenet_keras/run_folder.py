"""The folder of a training run: its paths, its lock and its JSON files."""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NotRequired, Self, TypedDict

from msgspec import Meta

from googlenet_keras import files
from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user
from googlenet_keras.installation import command_line

TOP_K = 5  # what "top5" counts in every file
EVENT_KEY = "event"  # marks a line of metrics.jsonl that is not an epoch's

VALIDATION_FRACTION = 0.2  # default of what is held out where nothing else decides
ValidationFraction = Annotated[float, Meta(ge=0.01, le=0.9)]
FoldNumber = Annotated[int, Meta(ge=0, le=100)]
Seed = Annotated[int, Meta(ge=0, le=2**31 - 1)]

log = logging.getLogger(__name__)


class HeadFigures(TypedDict, total=False):
    """Metrics of one head: fractions of 1, except the loss (cross-entropy, nats)."""

    top1: float
    top5: float | None  # None for 5 classes or fewer
    macro_f1: float
    loss: float
    calibration_error: float
    # of the main head of a calibrated network: images whose label is in the prediction
    # set, and how many labels a set has in the mean
    coverage_90: float
    coverage_95: float
    set_size_90: float
    set_size_95: float
    intervals: Mapping[str, tuple[float, float] | None]  # 95 %, of each figure


class Figures(TypedDict):
    """The metrics of each head on a split."""

    images: int
    main: HeadFigures
    aux1: NotRequired[HeadFigures]
    aux2: NotRequired[HeadFigures]


class Result(TypedDict):
    """result.json: the final metrics of a finished run."""

    validation: Figures
    test: Figures | None
    epochs: int
    best_epoch: int
    seconds: float
    cpu_seconds: float
    peak_megabytes: float | None


class FoldResult(Result):
    """The final metrics of the run whose test images are a fold."""

    fold: int


class FoldsResult(TypedDict):
    """result.json of several folds. seconds, cpu_seconds: of all their runs."""

    pooled: Figures  # of each image by the network that has not seen it
    folds: Sequence[FoldResult]
    seconds: float
    cpu_seconds: float


class EpochHeadFigures(TypedDict):
    """Metrics of one head after an epoch, as in HeadFigures."""

    top1: float
    top5: float | None
    loss: float


class EpochFigures(TypedDict):
    """The total loss and the metrics of each head after an epoch."""

    loss: float
    main: EpochHeadFigures
    aux1: NotRequired[EpochHeadFigures]
    aux2: NotRequired[EpochHeadFigures]


class Epoch(TypedDict):
    """A line of metrics.jsonl; an event's line has other keys and EVENT_KEY."""

    epoch: Annotated[int, Meta(ge=1)]
    # height and width in pixels; older runs have none
    image_size: NotRequired[tuple[int, int]]
    learning_rate: float
    seconds: float
    images_per_second: float
    train: EpochFigures
    validation: EpochFigures


class StoredOptions(TypedDict, total=False):
    """Some entries of config.json; the others are a TrainConfig's options."""

    dataset: str
    data_dir: str | None
    validation_fraction: ValidationFraction
    folds: FoldNumber
    fold: FoldNumber
    fold_seed: Seed | None
    seed: Seed
    widths: Mapping[str, int]


class RunFolder:
    """A run folder on disk; an attribute for each file and folder in it."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.jsonl"
        self.result = self.path / "result.json"
        self.report = self.path / "report.html"
        self.classifier = self.path / "classifier"
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"
        self.plots = self.path / "plots"
        self.export = self.path / "export"
        # a copy of the file that --architecture named, which may change or go
        self.architecture = self.path / "architecture.json"
        self._lock = self.path / ".lock"
        # what is written before config.json
        self.early_files = [self.environment, self.architecture, self._lock]

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def __str__(self) -> str:
        return str(self.path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The folder of a run that has started. Raises UserError if it is not one."""
        folder = cls(path)
        if not folder.is_started:
            problem = "has none" if path.is_dir() else "is not a folder"
            raise UserError(
                f"a run folder has a {folder.config.name}; {path} {problem}. Name the "
                "folder that the training printed, such as runs/digits-bn-..."
            )
        return folder

    @classmethod
    def of_network(cls, path: Path) -> Self:
        """The run in `path`, or that whose saved classifier is in `path`."""
        run = cls(path.resolve().parent)
        is_saved = run.is_started and path.resolve() == run.classifier
        return run if is_saved else cls(path)

    def create(self, resume: bool = False) -> None:
        """Makes the folder. Raises UserError if it exists or cannot be made.

        resume: a folder of a run that was killed before it wrote config.json may exist.
        """
        self.refuse_existing(resume)
        if str(self).encode(errors="ignore").decode() != str(self):
            # TensorFlow would fail later
            raise UserError(
                "the path of a run folder must be text in this locale's encoding; "
                f"received {self.path}. Choose another --run-folder, "
                "or set LC_ALL=C.UTF-8."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"the run folder must be writable; {self} cannot be made: "
                f"{error.strerror}. Choose another --run-folder."
            ) from error

    def refuse_existing(self, resume: bool = False) -> None:
        """Raises UserError if the folder exists; resume: as in `create`."""
        is_empty_start = (resume and self.path.is_dir()) and all(
            path in self.early_files or path.suffix == files.TEMPORARY_SUFFIX
            for path in self.path.iterdir()
        )
        if os.path.lexists(self.path) and not is_empty_start:
            raise UserError(
                f"a run folder is never overwritten, and {self} exists; choose another "
                "--run-folder or remove it."
            )

    @property
    def is_started(self) -> bool:
        """Whether the run's options are written."""
        return self.config.is_file()

    @property
    def is_finished(self) -> bool:
        """Whether the run has its final figures."""
        return self.result.is_file()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes from training in the folder within the block.

        Raises UserError if another process holds the lock; the operating system
        releases that of a dead process.
        """
        files.check_regular_file(self._lock)
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        # NFS locks only writable files; the run's others are replaced, which would
        # release a lock on them
        with self._lock.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    f"only one process at a time may train in {self}, and another one "
                    "does; wait for it or end it."
                ) from error
            except OSError as error:
                log.warning("%s cannot be locked: %s", self, error.strerror)
            yield

    def read_config(self) -> dict[str, Any]:
        """Reads config.json: every option as resolved. Raises UserError."""
        options = files.read_json(self.config)
        files.convert(options, StoredOptions, str(self.config))
        for name, value in options.items():
            if "\0" in str(value):
                raise UserError(f"{self.config}: {name} has a null character.")
        return options

    def is_own_data(self, dataset: str | None) -> bool:
        """Whether the run was trained on `dataset`; True for None."""
        own = self.read_config().get("dataset") if self.is_started else None
        if dataset is None or dataset == own:
            return True
        folder, trained_on = expand_user(dataset), Path(own or "")
        is_folder = own and folder.is_dir() and trained_on.is_dir()
        return bool(is_folder) and os.path.samefile(folder, trained_on)

    def read_result(self) -> Result:
        """Reads result.json. Raises UserError if the run is not finished."""
        if not self.is_finished:
            raise UserError(
                f"{self} has no {self.result.name}: it is not finished. Finish it with "
                f"{command_line('train')} --resume --run-folder {self}."
            )
        result = files.read_json(self.result)
        if "best" in result and "validation" not in result:
            raise UserError(
                f"{self.result} is a search's, not a run's; the search's best network "
                f"is trained by {command_line('search')} --resume --retrain."
            )
        if "budgets" in result:
            raise UserError(
                f"{self.result} is of searches for several budgets; name the folder of "
                f"one, such as {self.path / result['budgets'][0]['budget']}."
            )
        if "folds" in result:
            raise UserError(
                f"{self.result} is of several folds, each with a run of its own; name "
                f"one, such as {self.path / 'fold-1'}."
            )
        return files.convert(result, Result, str(self.result))

    def read_epochs(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, one per epoch, without events.

        Raises UserError for a damaged line.
        """
        lines = files.read_json_lines(self.metrics, _parse_line)
        epochs = [line for line in lines if EVENT_KEY not in line]
        heads = {frozenset(x[part]) for x in epochs for part in ("train", "validation")}
        if len(heads) > 1:
            raise UserError(
                f"all lines of {self.metrics} must have the same heads; they differ. "
                "Remove the lines that another run has written."
            )
        return epochs

    def truncate_epochs(self, epochs: int) -> None:
        """Drops all epochs but the first `epochs`, and damaged lines."""
        lines: list[dict[str, Any]] = []
        if self.metrics.exists():
            lines = files.read_json_lines(self.metrics, _parse_line, skip_damaged=True)
        text = "".join(
            json.dumps(line) + "\n"
            for line in lines
            if EVENT_KEY in line or line["epoch"] <= epochs
        )
        files.write_bytes(self.metrics, text.encode())

    def remove_unfinished_files(self) -> None:
        """Removes the temporary files of a process that was killed."""
        for path in self.path.rglob(f"*{files.TEMPORARY_SUFFIX}"):
            if path.is_file():  # an unfinished export is the export's to remove
                path.unlink(missing_ok=True)

    def remove_checkpoints(self) -> None:
        """Removes the checkpoints of a finished run."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)


def _parse_line(line: dict[str, Any]) -> dict[str, Any]:
    return line if EVENT_KEY in line else files.convert(line, Epoch, "an epoch")
