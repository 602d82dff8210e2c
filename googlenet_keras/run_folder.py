"""The folder of a training run: its paths, its lock and its JSON files."""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypedDict, cast

from googlenet_keras import files
from googlenet_keras.errors import UserError

TOP_K = 5  # what "top5" counts in every file
EVENT_KEY = "event"  # marks a line of metrics.jsonl that is not an epoch's

log = logging.getLogger(__name__)


class HeadFigures(TypedDict, total=False):
    """Metrics of one head: fractions of 1, except the loss (cross-entropy, nats)."""

    top1: float
    top5: float | None  # None for 5 classes or fewer
    macro_f1: float
    loss: float
    calibration_error: float
    intervals: Mapping[str, tuple[float, float] | None]  # 95 %, of each figure


Figures = Mapping[str, Any]
"""{"images": int, HEAD: HeadFigures for main and the auxiliary heads there are}."""


class Result(TypedDict):
    """result.json: the final metrics of a finished run."""

    validation: Figures
    test: Figures | None
    epochs: int
    best_epoch: int
    seconds: float
    cpu_seconds: float
    peak_megabytes: float | None


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
                "folder that train.py printed, such as runs/digits-bn-..."
            )
        return folder

    def create(self, resume: bool = False) -> None:
        """Makes the folder. Raises UserError if it exists or cannot be made.

        resume: a folder of a run that was killed before it wrote config.json may exist.
        """
        self.refuse_existing(resume)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"the run folder must be writable; {self} cannot be made: "
                f"{error.strerror}. Choose another --run-folder."
            ) from error

    def refuse_existing(self, resume: bool = False) -> None:
        """Raises UserError if the folder exists; resume: as in `create`."""
        early = (self.environment, self.architecture, self._lock)
        is_empty_start = (resume and self.path.is_dir()) and all(
            path in early or path.suffix == files.TEMPORARY_SUFFIX
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
        return files.read_json(self.config)

    def read_result(self) -> Result:
        """Reads result.json. Raises UserError if the run is not finished."""
        if not self.is_finished:
            raise UserError(f"{self} has no {self.result.name}: it is not finished.")
        result = files.read_json(self.result)
        if "validation" not in result:
            raise UserError(
                f"{self.result} is a search's, not a run's; the search's best network "
                "is trained by python -m tuning.search --resume --retrain."
            )
        return cast(Result, result)

    def read_epochs(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, one per epoch, without events."""
        return [x for x in files.read_json_lines(self.metrics) if EVENT_KEY not in x]

    def truncate_epochs(self, epochs: int) -> None:
        """Drops all epochs but the first `epochs`, and all from a damaged line on."""
        existing = self.metrics.read_bytes() if self.metrics.exists() else b""
        lines = []
        for line in existing.split(b"\n"):
            try:
                data = json.loads(line)
            except ValueError:  # what a process that died was writing
                break
            if EVENT_KEY in data or data["epoch"] <= epochs:
                lines.append(json.dumps(data) + "\n")
        files.write_bytes(self.metrics, "".join(lines).encode())

    def remove_unfinished_files(self) -> None:
        """Removes the temporary files of a process that was killed."""
        for path in self.path.rglob(f"*{files.TEMPORARY_SUFFIX}"):
            if path.is_file():  # an unfinished export is the export's to remove
                path.unlink(missing_ok=True)

    def remove_checkpoints(self) -> None:
        """Removes the checkpoints of a finished run."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
