"""The data that a run was trained on."""

from pathlib import Path

from googlenet_keras.data.dataset import Dataset
from googlenet_keras.data.sources import open_dataset
from googlenet_keras.errors import UserError
from googlenet_keras.run_folder import RunFolder


def open_run_dataset(
    run: RunFolder,
    dataset: str | None = None,
    *,
    data_dir: Path | None = None,
    download: bool = False,
) -> Dataset:
    """Opens the data set of a run, split as in training, or `dataset` if it is given.

    run: may be another folder, such as that of a saved classifier, if `dataset` is
    named. Raises UserError if neither names one.
    """
    config = run.read_config() if run.is_started else {}
    name = dataset or config.get("dataset")
    if name is None:
        raise UserError(
            f"{run} does not say what it was trained on; name the data with --dataset."
        )
    run_data_dir = config.get("data_dir") if dataset is None else None
    return open_dataset(
        name,
        validation_fraction=config.get("validation_fraction", 0.2),
        data_dir=data_dir or (Path(run_data_dir) if run_data_dir else None),
        download=download,
    )
