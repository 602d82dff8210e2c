import keras
import numpy as np
import pytest

from googlenet_keras.training.model import SmoothedCrossEntropy, head_metrics

LOGITS = np.array([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]], "float32")
LABELS = np.array([0, 2])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_keras_on_one_hot_labels(smoothing):
    keras_loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=smoothing
    )
    expected = keras_loss(np.eye(3, dtype="float32")[LABELS], LOGITS)
    found = SmoothedCrossEntropy(smoothing)(LABELS, LOGITS)
    assert float(found) == pytest.approx(float(expected))
    assert float(SmoothedCrossEntropy(smoothing)(LABELS[:, None], LOGITS)) == float(
        found
    )


def test_chance_costs_the_logarithm_of_the_classes():
    loss = SmoothedCrossEntropy(0.3)(np.array([1, 2]), np.zeros((2, 10), "float32"))
    assert float(loss) == pytest.approx(np.log(10))


def test_it_survives_a_round_trip():
    loss = SmoothedCrossEntropy(0.25)
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.smoothing == 0.25


@pytest.mark.parametrize(("classes", "names"), [
    (5, ["top1", "cross_entropy"]),
    (6, ["top1", "cross_entropy", "top5"]),
])  # fmt: skip
def test_top5_only_where_it_means_something(classes, names):
    metrics = head_metrics(("main", "aux1"), classes)
    assert [m.name for m in metrics["aux1"]] == names


def test_a_mixed_image_costs_its_parts():
    parts = np.array([[0.7, 0.0, 0.3], [0.0, 0.0, 1.0]], "float32")
    mixed = SmoothedCrossEntropy(0.1)(parts, LOGITS)
    keras_loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.1
    )
    assert float(mixed) == pytest.approx(float(keras_loss(parts, LOGITS)))


def test_metrics_count_a_mixed_image_as_of_its_largest_part():
    top1 = head_metrics(("main",), 3)["main"][0]
    top1.update_state(np.array([[0.7, 0.0, 0.3], [0.2, 0.8, 0.0]], "float32"), LOGITS)
    assert float(top1.result()) == 0.5
    top1.reset_state()
    top1.update_state(np.array([0, 1]), np.array([[2, 0, -1], [1, 0, 0]], "float32"))
    assert float(top1.result()) == 0.5
