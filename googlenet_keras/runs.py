"""Trains a network, evaluates it and writes the reports of the run."""

from functools import cached_property
from pathlib import Path

from googlenet_keras.classifier import Classifier
from googlenet_keras.data.dataset import Dataset
from googlenet_keras.data.pipeline import UnreadableImageError
from googlenet_keras.errors import DiskError
from googlenet_keras.evaluation import fonts, plots
from googlenet_keras.evaluation.calibration import fit_calibration
from googlenet_keras.evaluation.evaluate import Evaluation, evaluate
from googlenet_keras.evaluation.report import write_report
from googlenet_keras.files import atomic_folder, write_json
from googlenet_keras.run_folder import Result, RunFolder
from googlenet_keras.stopwatch import Stopwatch
from googlenet_keras.training.flags import read_stored_options, resume_options
from googlenet_keras.training.job import open_training_data
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.signals import interrupt_on_signal
from googlenet_keras.training.trainer import TrainedNetwork, train_network
from googlenet_keras.training.training_state import resume_hint
from googlenet_keras.weights.pretrained import pretrained_folder


class Run:
    """A finished run; its parts are read from the folder on first use."""

    def __init__(self, folder: RunFolder | Path | str) -> None:
        """Opens the run. Raises UserError if `folder` is not a run folder."""
        self.folder = RunFolder.open(Path(str(folder)))

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @cached_property
    def config(self) -> TrainConfig:
        """Every option as it was resolved."""
        return read_stored_options(TrainConfig, self.folder)

    @cached_property
    def classifier(self) -> Classifier:
        """The trained Classifier."""
        return Classifier.load(self.folder.classifier)

    @cached_property
    def dataset(self) -> Dataset:
        """The data set that the run was trained on."""
        return open_training_data(self.config)

    @cached_property
    def result(self) -> Result:
        """The final metrics. Raises UserError if the run is not finished."""
        return self.folder.read_result()

    @property
    def best_epoch(self) -> int:
        """The epoch that the classifier is of, counted from 1.

        It is the last one that is not clearly worse than an earlier one.
        """
        return self.result["best_epoch"]


def train(config: TrainConfig, stopwatch: Stopwatch | None = None) -> Run | None:
    """Trains, evaluates and reports as `config` says.

    With `resume` a run that is finished already is opened. The run folder gets what
    train_network leaves there, plots/, report.html and result.json. stopwatch: started
    when the work began. Of several workers only the chief gets a Run. Raises UserError,
    and InterruptionError after a signal.
    """
    stopwatch = stopwatch or Stopwatch()
    folder = RunFolder(config.run_folder or "")
    if config.resume and folder.is_finished:
        resume_options(TrainConfig, config)  # raises if one differs
        folder.read_result()  # raises if it is damaged
        folder.remove_checkpoints()  # the process may have been killed before that
        return Run(folder)
    trained = train_network(config, stopwatch, _find_weights)
    if trained is None:
        return None
    run = Run(trained.job.folder)
    hint = f"The classifier is in {run.folder}."
    if trained.job.config.checkpoint_minutes:
        hint = resume_hint(run.folder)
    message = f"stopped in the final evaluation. {hint}"
    try:
        with interrupt_on_signal(message), run.folder.lock():
            _finish(run, trained, stopwatch)
    except (DiskError, UnreadableImageError) as error:
        raise type(error)(f"{error} {hint}") from error
    return run


def _find_weights(config: TrainConfig) -> Path:
    return pretrained_folder(config.weights, preferred_variant=config.variant)


def _finish(run: Run, trained: TrainedNetwork, stopwatch: Stopwatch) -> None:
    """Evaluates the network, writes plots, report and result, drops checkpoints.

    The figures are those of float32, which `evaluate` gives again, whatever the
    precision of training.
    """
    run.classifier, run.dataset = trained.classifier, trained.job.dataset
    folder, dataset = run.folder, run.dataset
    validation = _calibrate(run, evaluate(run.classifier, dataset, "validation"))
    classifier = run.classifier
    test = evaluate(classifier, dataset, "test") if dataset.test else None
    for evaluation in filter(None, (validation, test)):
        evaluation.warn_of_missing_classes()
    fonts.warn_of_numbers(classifier.labels)
    epochs = folder.read_epochs()
    folder.plots.mkdir(exist_ok=True)
    plots.curves(epochs).savefig(folder.plots / "curves.png", dpi=100)
    title = f"{len(validation.labels)} validation images"
    matrix = plots.confusion_matrix(validation.confusion(), classifier.labels, title)
    matrix.savefig(folder.plots / "confusion_matrix.png", dpi=100)
    plots.predictions(validation, folder.plots / "predictions.png")
    result: Result = {
        "validation": validation.figures(),
        "test": test.figures() if test else None,
        "epochs": len(epochs),
        "best_epoch": trained.best_epoch,
        **stopwatch.spent(),
    }
    results = {"validation": result["validation"], "test": result["test"]}
    names = (folder.path.name,)
    write_report(folder.report, validation, results, names, folder, own_data=True)
    write_json(folder.result, result)
    folder.remove_checkpoints()  # there is nothing left to resume


def _calibrate(run: Run, validation: Evaluation) -> Evaluation:
    """Calibrates the run's Classifier, on disk too; returns its figures after that."""
    if run.classifier.calibration:  # the run was stopped after that
        return validation
    found = fit_calibration(
        validation.log_probabilities, validation.labels, bool(run.config.none)
    )
    run.classifier = run.classifier.calibrate(found)
    with atomic_folder(run.folder.classifier, replace=True) as folder:
        run.classifier.save(folder)
    return validation.calibrate(run.classifier, found.temperature)
