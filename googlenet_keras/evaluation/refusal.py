"""Figures of refusing pictures by a threshold on their largest probability."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from googlenet_keras.data.dataset import Split
from googlenet_keras.data.preprocessing import CENTER_CROP
from googlenet_keras.errors import UserError
from googlenet_keras.evaluation import metrics
from googlenet_keras.evaluation.calibration import ACCEPTED_PERCENT, least_probability
from googlenet_keras.evaluation.evaluate import Evaluation, evaluate, log_probabilities
from googlenet_keras.evaluation.metrics import ImageScores
from googlenet_keras.predictor import Predictor
from googlenet_keras.run_folder import HeadFigures


class RefusalFigures(TypedDict):
    """Figures of a threshold; all but the counts are fractions of 1.

    auroc: how often an image of a class has a larger score than a none picture; 0.5 is
    chance. refused, none_refused: parts of the images and of the none pictures with a
    score below the threshold. accepted: metrics of the main head on the other images;
    None if all are refused.
    """

    threshold: float
    auroc: float
    images: int
    refused: float
    none_pictures: int
    none_refused: float
    accepted: HeadFigures | None


def evaluate_refusal(
    evaluation: Evaluation, none: Split, threshold: float | None = None
) -> RefusalFigures:
    """Scores none pictures with the evaluated network; says how many are refused.

    none: of `open_none_folder`. threshold: of the largest probability (0..1); None:
    that of `refusal_threshold`. Raises UserError, and UnreadableImageError.
    """
    if threshold is None:
        threshold = refusal_threshold(evaluation)
    scores = score_pictures(evaluation.members, none, evaluation.crops)
    classes = len(evaluation.class_names)
    return refusal_figures(evaluation.main, scores, threshold, classes)


def score_pictures(
    predictors: Predictor | Sequence[Predictor],
    pictures: Split,
    crops: str = CENTER_CROP,
) -> np.ndarray:
    """The largest probability of each picture, [pictures], whatever its label.

    predictors, crops: as for `evaluate`. Raises UnreadableImageError.
    """
    ensemble = [predictors] if isinstance(predictors, Predictor) else list(predictors)
    batches = log_probabilities(ensemble, pictures, crops, "pictures")
    return np.exp(np.concatenate([x["main"].max(axis=1) for _, x in batches]))


def refusal_threshold(evaluation: Evaluation) -> float:
    """The threshold of the network, or else one that refuses 5 % of validation images.

    They are evaluated, as `evaluation` crops, if that is of another split. Raises
    UserError if the data set has none.
    """
    calibration = evaluation.calibration
    if calibration and calibration.refuse_below is not None:
        return calibration.refuse_below
    dataset = evaluation.dataset
    if not dataset.validation.count:
        raise UserError(
            "the threshold is that of the validation images unless one is given; "
            f"{dataset.name} has none. Add --threshold 0.5, or another."
        )
    if evaluation.split != "validation":
        members, crops = evaluation.members, evaluation.crops
        evaluation = evaluate(members, dataset, "validation", crops)
    confidence = evaluation.main.confidence
    # of fewer than 19 images no part of 5 % can be refused: all are accepted
    return least_probability(confidence, ACCEPTED_PERCENT) or float(confidence.min())


def refusal_figures(
    known: ImageScores, none: np.ndarray, threshold: float, classes: int
) -> RefusalFigures:
    """Figures of refusing what has a largest probability below `threshold`.

    known: the main head's scores of images of the classes. none: largest probabilities
    of none pictures. classes: their number.
    """
    from sklearn.metrics import roc_auc_score

    scores = np.concatenate([known.confidence, none])
    is_known = np.arange(len(scores)) < len(known.label)
    accepted = known.confidence >= threshold
    rest = ImageScores(*(values[accepted] for values in known))
    return {
        "threshold": threshold,
        "auroc": float(roc_auc_score(is_known, scores)),
        "images": len(known.label),
        "refused": float((~accepted).mean()),
        "none_pictures": len(none),
        "none_refused": float((none < threshold).mean()),
        "accepted": metrics.figures(rest, classes) if accepted.any() else None,
    }
