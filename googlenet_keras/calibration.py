"""Calibration: what a network's probabilities mean, as fitted on validation images."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

import numpy as np
from msgspec import Meta

from googlenet_keras.files import convert

COVERAGES = (90, 95)  # percent of images that a prediction set is right about

Probability = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True)
class Calibration:
    """What a network's probabilities mean, as fitted on validation images.

    temperature: what the main head's logits were divided by (arXiv 1706.04599); the
    network's weights have it already. least_probability_90, least_probability_95: of a
    label in the prediction set, which has the right label for 90 or 95 % of new images
    like those of validation (split conformal prediction, arXiv 1609.00451).
    refuse_below: images whose largest probability is less are refused as of no class;
    95 % of those of validation are not. None for a network that was trained without
    pictures of none of the classes, for which it would say little.
    """

    temperature: Annotated[float, Meta(gt=0, le=1e6)]
    least_probability_90: Probability
    least_probability_95: Probability
    refuse_below: Probability | None = None

    def refuses(self, probabilities: np.ndarray) -> np.ndarray:
        """Whether each image is refused, [images]; probabilities: [images, classes]."""
        return probabilities.max(axis=1) < (self.refuse_below or 0.0)

    def least_probability(self, coverage: int) -> float:
        """The least probability of a label in the set of this coverage, in percent."""
        value: float = getattr(self, f"least_probability_{coverage}")
        return value

    def set_size(self, probabilities: np.ndarray, coverage: int) -> np.ndarray:
        """The number of labels in each prediction set, [images], at least 1.

        probabilities: [images, classes].
        """
        likely = probabilities >= self.least_probability(coverage)
        return np.maximum(likely.sum(axis=1), 1)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Reads what `to_json` gives. Raises UserError for anything else."""
        return convert(data, cls, "calibration")
