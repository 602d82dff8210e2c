import numpy as np
import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.evaluation import metrics

LOGITS = np.array([[3.0, 1, 0], [0, 2, 1], [1, 5, 2], [0, 0, 0]])
LABELS = np.array([0, 2, 1, 2])


@pytest.fixture
def answered():
    return metrics.answers(LOGITS, LABELS)


def test_answers_by_hand(answered):
    assert answered.predicted.tolist() == [0, 1, 1, 0]
    assert answered.rank.tolist() == [0, 1, 0, 2]  # ties do not count as knowledge
    assert answered.loss[3] == pytest.approx(np.log(3))
    assert answered.confidence[3] == pytest.approx(1 / 3)


def test_figures_by_hand(answered):
    found = metrics.figures(answered, LABELS, classes=3)
    assert found["top1"] == 0.5
    assert found["top5"] is None
    # class 0: precision 1/2, recall 1; class 1: 1/2, 1; class 2: never said
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert found["loss"] == pytest.approx(answered.loss.mean())


def test_top5_counts_ranks_below_5():
    logits = np.tile(np.arange(10.0, 0, -1), (10, 1))
    answered = metrics.answers(logits, np.arange(10))
    assert metrics.figures(answered, np.arange(10), 10)["top5"] == 0.5


def test_huge_logits_stay_finite():
    answered = metrics.answers(np.array([[1e4, -1e4]], "float32"), np.array([1]))
    assert answered.loss[0] == pytest.approx(2e4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_no_hits(bad):
    with pytest.raises(UserError, match="must be finite"):
        metrics.answers(np.full((2, 3), bad), np.array([0, 1]))


def test_confusion_has_true_classes_down(answered):
    expected = [[1, 0, 0], [0, 1, 0], [1, 1, 0]]
    assert metrics.confusion(answered, LABELS, 3).tolist() == expected


def test_batches_join(answered):
    parts = [
        metrics.answers(LOGITS[:1], LABELS[:1]),
        metrics.answers(LOGITS[1:], LABELS[1:]),
    ]
    np.testing.assert_array_equal(metrics.joined(parts).loss, answered.loss)
