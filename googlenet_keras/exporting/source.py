"""The classifier that all formats of one export are converted from."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.table1 import ResponseNorm

if TYPE_CHECKING:
    import keras
    import numpy as np

    from googlenet_keras.classifier import Classifier

CALIBRATION_FILE, QAT_MODEL_FOLDER = "calibration.npy", "rounded"


@dataclass(frozen=True)
class StaticModel:
    """A SavedModel of batch 1, with what is needed to quantize it.

    images: [n, height, width, 3] uint8, for calibration. response_norms: names of the
    layers that stay float in an int8 file. rounded: the SavedModel of the network after
    quantization-aware training, if there was any.
    """

    path: Path
    images: Iterable["np.ndarray"] = ()
    response_norms: tuple[str, ...] = ()
    rounded: Path | None = None


@dataclass(frozen=True)
class Source:
    """The saved classifier that an export converts, and a work folder; picklable.

    folder: where the classifier is saved. work: for models between it and the files,
    with calibration.npy if a format needs it, and the SavedModel `rounded` after
    quantization-aware training. license: as the user states it. activation_map: the
    network has this output too. portable: as for deployable_network.
    """

    folder: Path
    work: Path
    channels_first: bool = False
    license: str | None = None
    activation_map: bool = False
    portable: bool = True

    @property
    def classifier(self) -> "Classifier":
        """The classifier, loaded once per process."""
        return _load(self.folder, self.portable)[0]

    @property
    def network(self) -> "keras.Model":
        """Its deployable network."""
        from googlenet_keras.network.build import add_activation_map

        network = _load(self.folder, self.portable)[1]
        return add_activation_map(network) if self.activation_map else network

    def static_model(self) -> StaticModel:
        """The model that all TFLite formats are converted from; made on first use."""
        import numpy as np

        from googlenet_keras.exporting.to_saved_model import save_static
        from googlenet_keras.files import atomic_folder

        path = self.work / ("static_with_map" if self.activation_map else "static")
        if not path.exists():
            with atomic_folder(path) as folder:
                save_static(self.network, folder)
        images, rounded = self.work / CALIBRATION_FILE, self.work / QAT_MODEL_FOLDER
        return StaticModel(
            path,
            np.load(images) if images.exists() else (),
            response_norms(self.classifier.architecture),
            rounded if rounded.exists() else None,
        )


@cache
def _load(folder: Path, portable: bool) -> "tuple[Classifier, keras.Model]":
    from googlenet_keras.artifacts.deployable import deployable_network
    from googlenet_keras.artifacts.runtimes import hide_gpus
    from googlenet_keras.classifier import Classifier

    hide_gpus()
    classifier = Classifier.load(folder)
    return classifier, deployable_network(classifier, portable)


def response_norms(arch: Architecture) -> tuple[str, ...]:
    """The names of the local response normalization layers."""
    return tuple(row.name for row in arch.rows if isinstance(row, ResponseNorm))
