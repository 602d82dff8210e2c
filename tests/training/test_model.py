import keras
import numpy as np
import pytest
import tensorflow as tf
from making import small_run

from googlenet_keras.training.model import (
    SmoothedCrossEntropy,
    build_and_compile,
    head_metrics,
)

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


# the last output is none of the two classes
NONE_LOGITS = np.log(np.array([[0.5, 0.25, 0.25], [0.8, 0.15, 0.05]], "float32"))
NONE_LABELS = {"numbers": np.array([0, 2]), "parts": np.eye(3, dtype="float32")[[0, 2]]}
NONE_LABELS["parts"] = NONE_LABELS["parts"][:, :2]


@pytest.mark.parametrize("kind", ["numbers", "parts"])
def test_a_none_picture_is_of_the_output_that_no_class_has(kind):
    found = SmoothedCrossEntropy(0.0)(NONE_LABELS[kind], NONE_LOGITS)
    assert float(found) == pytest.approx(-(np.log(0.5) + np.log(0.05)) / 2)
    smoothed = SmoothedCrossEntropy(0.3)(NONE_LABELS[kind], NONE_LOGITS)
    spread = -NONE_LOGITS.mean()
    assert float(smoothed) == pytest.approx(0.7 * float(found) + 0.3 * spread)


@pytest.mark.parametrize("kind", ["numbers", "parts"])
def test_metrics_count_images_of_classes_and_answers_of_classes_only(kind):
    logits = np.zeros((4, 7), "float32")
    logits[[0, 1, 2, 3], [2, 2, 5, 0]] = 9
    logits[:2, 6] = 10  # more likely than any class: none
    labels = np.array([2, 3, 6, 6])  # right, wrong in the first five, none, none
    if kind == "parts":
        labels = np.eye(7, dtype="float32")[labels][:, :6]
    top1, cross_entropy, top5 = head_metrics(("main", "aux1"), 6)["main"]
    top1.update_state(labels, logits)
    assert float(top1.result()) == 0.5
    top5.update_state(labels, logits)
    assert float(top5.result()) == 1
    cross_entropy.update_state(labels, logits)
    log_sum = np.log(np.exp(10) + np.exp(9) + 5)
    assert float(cross_entropy.result()) == pytest.approx(log_sum - 4.5)


def test_a_mixed_label_that_is_not_finite_makes_no_none_picture():
    parts = np.full((2, 2), np.nan, "float32")
    assert np.isnan(float(SmoothedCrossEntropy(0.1)(parts, NONE_LOGITS)))


TEACHER = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]], "float32")


def distilled(labels, *targets):
    """[batch, 1 + targets, classes]: the shares of the labels, then the targets."""
    return np.stack([np.eye(4, dtype="float32")[labels][:, :3], *targets], axis=1)


def cross_entropies(targets, logits=LOGITS):
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -(targets * logs).sum(axis=1)


def test_a_soft_target_is_blended_with_the_smoothed_label():
    loss = SmoothedCrossEntropy(0.3, (0.7,))
    smoothed = 0.7 * np.eye(3)[LABELS] + 0.3 / 3
    target = 0.3 * smoothed + 0.7 * TEACHER
    expected = cross_entropies(target).mean()
    assert float(loss(distilled(LABELS, TEACHER), LOGITS)) == pytest.approx(expected)
    # in validation there is no soft target
    plain = cross_entropies(smoothed).mean()
    assert float(loss(LABELS, LOGITS)) == pytest.approx(plain)
    second = np.full((2, 3), 1 / 3, "float32")
    both = SmoothedCrossEntropy(0.3, (0.7, 0.4))(
        distilled(LABELS, TEACHER, second), LOGITS
    )
    expected = cross_entropies(0.6 * target + 0.4 * second).mean()
    assert float(both) == pytest.approx(expected)


def test_none_pictures_and_class_weights_count_in_distillation_as_without():
    labels = np.array([[1, 0], [0, 0]], "f4")
    answers = np.array([[0.4, 0.6], [0, 0]], "f4")  # of a teacher that has no none
    y_true = np.stack([labels, answers], axis=1)
    found = SmoothedCrossEntropy(0.0, (0.7,))(y_true, NONE_LOGITS)
    target = 0.3 * np.eye(3)[:1] + 0.7 * np.array([[0.4, 0.6, 0.0]])
    of_class = cross_entropies(target, NONE_LOGITS[:1])
    assert float(found) == pytest.approx(float(of_class[0] - np.log(0.05)) / 2)
    weighted = SmoothedCrossEntropy(0.0, (0.7,))(
        distilled(LABELS, TEACHER), LOGITS, sample_weight=np.array([2.0, 0.5], "f4")
    )
    losses = cross_entropies(0.3 * np.eye(3)[LABELS] + 0.7 * TEACHER)
    assert float(weighted) == pytest.approx((losses * [2, 0.5]).mean())


def test_metrics_count_the_label_and_not_the_soft_target():
    logits = np.zeros((4, 6), "float32")
    logits[[0, 1, 2, 3], [2, 2, 5, 0]] = 9
    labels = np.array([2, 3, 6, 6])  # right, wrong, none, none
    parts = np.eye(7, dtype="float32")[labels][:, :6]
    answers = np.eye(6, dtype="float32")[[3, 2, 0, 0]]  # wrong, the network's, ...
    for metric in head_metrics(("main", "aux1"), 6)["main"]:
        metric.update_state(np.stack([parts, answers], axis=1), logits)
        found = metric.result().numpy()
        metric.reset_state()
        metric.update_state(labels[:2], logits[:2])
        assert found == pytest.approx(metric.result().numpy())
    loss = SmoothedCrossEntropy(0.1, (0.7, 0.2))
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.soft_target_weights == (0.7, 0.2)


def gradients(network, labels, logits):
    """The loss, and its gradient by the logits of each head."""
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = network.compute_loss(y=labels, y_pred=logits)
    return float(loss), {h: x.numpy() for h, x in tape.gradient(loss, logits).items()}


@pytest.mark.slow
@pytest.mark.parametrize("teacher", [(), ("teacher",)])
def test_the_main_head_teaches_the_others_and_learns_nothing_from_it(teacher):
    """The gradient of each head is its own loss's: softmax less target, by weight."""
    random = np.random.default_rng(0)
    heads = ("main", "aux1", "aux2")
    logits = {h: tf.constant(random.normal(size=(2, 3)), tf.float32) for h in heads}
    labels = distilled(LABELS, TEACHER) if teacher else LABELS
    target = 0.9 * np.eye(3)[LABELS] + 0.1 / 3
    target = 0.3 * target + 0.7 * TEACHER if teacher else target
    config = small_run(None, "digits", teacher=teacher, self_distillation=0.4)
    network = build_and_compile(
        config.resolve("digits", precision="float32", xla="off"), classes=3, steps=1
    )
    _, found = gradients(network, dict.fromkeys(heads, labels), logits)
    answers = tf.nn.softmax(logits["main"]).numpy()
    for head, weight in (("main", 1.0), ("aux1", 0.3), ("aux2", 0.3)):
        own = target if head == "main" else 0.6 * target + 0.4 * answers
        expected = weight * (tf.nn.softmax(logits[head]).numpy() - own) / 2
        np.testing.assert_allclose(found[head], expected, atol=1e-6, err_msg=head)
    validation = network.compute_loss(
        y=dict.fromkeys(heads, LABELS), y_pred=logits, training=False
    )
    plain = SmoothedCrossEntropy(0.1)
    expected = sum(
        weight * float(plain(LABELS, logits[head]))
        for head, weight in (("main", 1.0), ("aux1", 0.3), ("aux2", 0.3))
    )
    assert float(validation) == pytest.approx(expected)
