import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import norm
from sklearn.metrics import f1_score, precision_recall_fscore_support

from googlenet_keras.errors import UserError
from googlenet_keras.evaluation import metrics
from googlenet_keras.evaluation.evaluate import Evaluation

LOGS = log_softmax([[3.0, 1, 0], [0, 2, 1], [1, 5, 2], [0, 0, 0]], axis=1)
LABELS = np.array([0, 2, 1, 2])


@pytest.fixture
def scores():
    return metrics.score_images(LOGS, LABELS)


def test_scores_by_hand(scores):
    assert scores.predicted.tolist() == [0, 1, 1, 0]
    assert scores.rank.tolist() == [0, 1, 0, 2]  # ties do not count as knowledge
    assert scores.loss[3] == pytest.approx(np.log(3))
    assert scores.confidence[3] == pytest.approx(1 / 3)


def test_figures_by_hand(scores):
    found = metrics.figures(scores, classes=3)
    assert found["top1"] == 0.5
    assert found["top5"] is None
    # class 0: precision 1/2, recall 1; class 1: 1/2, 1; class 2: never said
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert found["loss"] == pytest.approx(scores.loss.mean())


def test_top5_counts_ranks_below_5():
    logs = log_softmax(np.tile(np.arange(10.0, 0, -1), (10, 1)), axis=1)
    scores = metrics.score_images(logs, np.arange(10))
    assert metrics.figures(scores, 10)["top5"] == 0.5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_no_hits(bad):
    with pytest.raises(UserError, match="must be finite"):
        metrics.score_images(np.full((2, 3), bad), np.array([0, 1]))


def test_confusion_has_true_classes_down(scores):
    expected = [[1, 0, 0], [0, 1, 0], [1, 1, 0]]
    evaluation = Evaluation(
        {"main": scores}, LOGS, ("a", "b", "c"), [], None, "test", "1"
    )
    assert evaluation.confusion().tolist() == expected


def test_batches_join(scores):
    parts = [
        metrics.score_images(LOGS[:1], LABELS[:1]),
        metrics.score_images(LOGS[1:], LABELS[1:]),
    ]
    np.testing.assert_array_equal(metrics.concatenate(parts).loss, scores.loss)


def test_the_mean_of_probabilities():
    logs = np.log([[[0.2, 0.8]], [[0.6, 0.4]]])  # [2 crops, 1 image, 2 classes]
    found = np.exp(metrics.log_mean(logs, axis=0))
    np.testing.assert_allclose(found, [[0.4, 0.6]])
    np.testing.assert_array_equal(metrics.log_mean(logs[:1], axis=0), logs[0])


def test_figures_of_classes_are_scikit_learns():
    labels, predicted = np.random.default_rng(0).integers(0, [[7], [9]], (2, 40))
    scores = metrics.ImageScores(labels, predicted, *np.zeros((3, 40)))
    found = metrics.class_figures(scores, [str(i) for i in range(10)])
    assert list(found) == [str(i) for i in range(9)]
    expected = precision_recall_fscore_support(labels, predicted, zero_division=0)
    rows = [(x["precision"], x["recall"], x["f1"], x["images"]) for x in found.values()]
    np.testing.assert_allclose(rows, np.transpose(expected))


def test_macro_f1_is_scikit_learns():
    generator = np.random.default_rng(0)
    labels, predicted = generator.integers(0, [[7], [9]], (2, 40))
    expected = f1_score(labels, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(labels, predicted, 12) == pytest.approx(expected)


def test_calibration_error_by_hand():
    # two answers of confidence 0.9, one of them right; two of 0.6, both right
    scores = metrics.ImageScores(
        label=np.array([0, 1, 0, 0]),
        predicted=np.zeros(4, int),
        confidence=np.array([0.9, 0.9, 0.61, 0.61]),
        rank=np.array([0, 1, 0, 0]),
        loss=np.ones(4),
    )
    figures = metrics.figures(scores, 2)
    assert figures["calibration_error"] == pytest.approx((0.4 + 0.39) / 2)


def test_intervals():
    """Wilson's for 8 of 10: 0.4902 to 0.9433 (R's binom.wilson)."""
    rank = np.array([0] * 8 + [1, 1])
    labels = np.array([0, 1] * 5)
    predicted = np.where(rank == 0, labels, 1 - labels)
    scores = metrics.ImageScores(labels, predicted, np.full(10, 0.7), rank, np.ones(10))
    figures = metrics.figures(scores, 2)
    intervals = figures["intervals"]
    assert intervals["top1"] == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert intervals["top5"] is None
    assert intervals["loss"] == (1.0, 1.0)
    low, high = intervals["macro_f1"]
    assert 0.4 < low < figures["macro_f1"] < high <= 1.0


def test_a_difference_of_top1_is_that_of_the_same_images():
    def ranked(*rank):
        return metrics.ImageScores(*np.zeros((3, 4)), np.array(rank), np.zeros(4))

    mean, (low, high) = metrics.top1_difference(ranked(0, 0, 0, 1), ranked(0, 1, 0, 1))
    assert mean == 0.25
    # half an image more of each kind: 1.5 and 0.5 of 6 apart
    reach = 1.96 * (2 - 1 / 6) ** 0.5 / 6
    assert (low, high) == pytest.approx((1 / 6 - reach, 1 / 6 + reach))
    # four of four prove little: 4.5 and 0.5 of 6 apart
    _, interval = metrics.top1_difference(ranked(0, 0, 0, 0), ranked(1, 1, 1, 1))
    assert interval == pytest.approx((0.168, 1.166), abs=0.001)


def test_the_confidence_that_little_is_lost():
    first = np.ones(1000, bool)
    equal = metrics.paired_difference(first, first)
    # half an image in each outcome: 1 of 1002 apart, so a deviation of 1 / 1002
    assert equal.confidence_below(0.005) == pytest.approx(norm.cdf(5.01))
    assert equal.images_for(0.005, 0.95) == 108  # 1000 / 1002**2 * (1.645 / 0.005)**2
    second = first.copy()
    second[:4] = False
    lost = metrics.paired_difference(first, second)
    assert (lost.difference, lost.images) == (0.004, 1000)
    assert 0.6 < lost.confidence_below(0.005) < 0.7
    needed = lost.images_for(0.005, 0.95)
    assert needed > 10_000
    # the same share of so many images gives that confidence
    scaled = lost._replace(deviation=lost.deviation * (1000 / needed) ** 0.5)
    assert scaled.confidence_below(0.005) == pytest.approx(0.95, abs=1e-4)
    second[:5] = False
    assert metrics.paired_difference(first, second).images_for(0.004, 0.95) is None


def test_intervals_hold_their_figures():
    """Resampling raises a calibration error; the interval does not rise with it."""
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 300)
    hits = generator.uniform(size=300) < confidence
    labels = generator.integers(0, 40, 300)
    predicted = np.where(hits, labels, (labels + 1) % 40)
    rank = np.where(hits, 0, 1)
    scores = metrics.ImageScores(labels, predicted, confidence, rank, np.ones(300))
    figures = metrics.figures(scores, 40)
    for name in ("macro_f1", "calibration_error"):
        low, high = figures["intervals"][name]
        assert 0 <= low < figures[name] < high <= 1


def test_by_class_by_hand(scores):
    found = metrics.class_figures(scores, ("a", "b", "c", "never"))
    assert list(found) == ["a", "b", "c"]
    assert found["a"] == {
        "images": 1,
        "predicted": 2,
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
    }
    assert found["c"]["images"] == 2
    assert found["c"]["predicted"] == found["c"]["f1"] == 0
