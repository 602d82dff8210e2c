"""Teachers: trained networks whose answers a network learns beside the labels."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Self

import keras

from googlenet_keras.classifier import (
    WEIGHTS_FILE,
    Classifier,
    Description,
    description_file,
)
from googlenet_keras.data.dataset import list_names, match_names, unknown_names
from googlenet_keras.data.preprocessing import Preprocessing
from googlenet_keras.errors import UserError
from googlenet_keras.files import expand_user, read_bytes, read_json
from googlenet_keras.training.options import TrainConfig

MAX_WEIGHTS_BYTES = 2**32  # of a file that is read to know a teacher again


@dataclass(frozen=True)
class Teacher:
    """A trained network in a folder, which is loaded only when it has to answer.

    folder: a run's or a saved Classifier's. size: height and width of its input.
    classes: its class number for each class of the data set. digest: of its weights
    and architecture.
    """

    folder: Path
    size: tuple[int, int]
    classes: tuple[int, ...]
    digest: str

    @classmethod
    def open(cls, folder: Path, class_names: Sequence[str]) -> Self:
        """The teacher in `folder`. Raises UserError if it has other classes."""
        file = description_file(folder)
        description: Description = read_json(file, Description)
        labels = description["labels"]
        places = match_names(class_names, labels)
        if len(labels) != len(places) or {*places} != {*range(len(labels))}:
            raise _other_classes_error(folder, labels, class_names)
        digest = hashlib.sha256(json.dumps(description["architecture"]).encode())
        digest.update(read_bytes(file.with_name(WEIGHTS_FILE), MAX_WEIGHTS_BYTES))
        return cls(
            folder,
            Preprocessing.from_json(description["preprocessing"]).size,
            tuple(place for place in places if place is not None),
            digest.hexdigest(),
        )

    def load(self) -> keras.Model:
        """Loads the network, from images to the main head's logits of the classes.

        It computes in the precision of Keras's dtype policy. Raises UserError.
        """
        classifier = Classifier.load(self.folder)
        network, logits = classifier.network, classifier.network.output["main"]
        if classifier.none_output:
            logits = logits[:, : len(classifier.labels)]
        return keras.Model(network.input, logits)


def open_teachers(
    config: TrainConfig, class_names: Sequence[str]
) -> tuple[Teacher, ...]:
    """Opens the networks of --teacher; config: with the data's defaults resolved.

    Raises UserError for other classes than the data set's, and for an input of another
    aspect ratio than that of the network to train: they see the same crops.
    """
    folders = [expand_user(str(folder)) for folder in config.teacher]
    teachers = tuple(Teacher.open(folder, class_names) for folder in folders)
    sizes = {stage.size for stage in config.stages}
    for teacher, (height, width) in product(teachers, sizes):
        if teacher.size[0] * width != teacher.size[1] * height:
            raise UserError(
                "a teacher sees the crops that the network sees, and needs an input of "
                f"the same aspect ratio; that of {teacher.folder} is "
                f"{teacher.size[0]} x {teacher.size[1]}, and the network's is {height} "
                f"x {width}. Change the image size, or name another teacher."
            )
    return teachers


def _other_classes_error(
    folder: Path, labels: Sequence[str], class_names: Sequence[str]
) -> UserError:
    unknown = unknown_names(class_names, labels)
    more = unknown_names(labels, class_names)
    parts = [f"it does not know {list_names(unknown)}"] if unknown else []
    parts += [f"it knows {list_names(more)} besides"] if more else []
    return UserError(
        "a teacher needs the classes of the data set, in any order; of "
        f"{folder}, {' and '.join(parts)}. Train it on the same classes, or name "
        "another."
    )
