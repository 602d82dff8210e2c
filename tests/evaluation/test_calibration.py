import numpy as np
import pytest
from scipy.special import log_softmax

from googlenet_keras.calibration import Calibration
from googlenet_keras.evaluation import calibration, metrics
from googlenet_keras.evaluation.metrics import figures, score_images

GENERATOR = np.random.default_rng(0)
TRUE_LOGITS = GENERATOR.normal(0, 2, (4000, 5))
LABELS = np.array([
    GENERATOR.choice(5, p=np.exp(row)) for row in log_softmax(TRUE_LOGITS, axis=1)
])  # fmt: skip


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_logits_that_were_multiplied_is_found(temperature):
    logs = log_softmax(TRUE_LOGITS * temperature, axis=1)
    found = calibration.fit_temperature(logs, LABELS)
    assert found == pytest.approx(temperature, rel=0.05)
    after = calibration.change_temperature(logs, found)
    before, true = (
        score_images(x, LABELS).loss.mean()
        for x in (logs, log_softmax(TRUE_LOGITS, axis=1))
    )
    assert score_images(after, LABELS).loss.mean() <= min(before, true) + 1e-4


def test_a_network_without_mistakes_is_not_certain():
    logs = log_softmax(10 * np.eye(4), axis=1)
    found = calibration.fit_temperature(logs, np.arange(4))
    confidence = np.exp(calibration.change_temperature(logs, found)).max(axis=1)
    # of five images it knows four, and of the fifth nothing
    np.testing.assert_allclose(confidence, 0.85, atol=1e-3)


def test_a_temperature_can_be_undone():
    logs = log_softmax(TRUE_LOGITS, axis=1)
    changed = calibration.change_temperature(logs, 0.7)
    assert np.abs(changed - logs).max() > 0.1
    again = calibration.change_temperature(changed, 1 / 0.7)
    np.testing.assert_allclose(again, logs, atol=1e-12)


def test_the_probability_of_none_changes_with_the_others():
    logs, colder = (log_softmax(TRUE_LOGITS / t, axis=1)[:, :-1] for t in (1, 0.7))
    found = calibration.change_temperature(logs, 0.7)
    np.testing.assert_allclose(found, colder, atol=1e-9)


def test_the_least_probability_by_hand():
    right = np.linspace(0.05, 0.95, 19)[::-1]
    # of 20 images, the new one included, 2 and 1 may be below
    assert calibration.least_probability(right, 90) == pytest.approx(0.10, 1e-4)
    assert calibration.least_probability(right, 95) == pytest.approx(0.05, 1e-4)
    assert (
        calibration.least_probability(right[:18], 95) == 0
    )  # too few to leave any out


def test_sets_of_new_images_are_right_as_often_as_they_should_be():
    logs = log_softmax(TRUE_LOGITS, axis=1)
    found = calibration.fit_calibration(logs[:2000], LABELS[:2000])
    new = calibration.change_temperature(logs[2000:], found.temperature)
    scores = score_images(new, LABELS[2000:])
    figures = calibration.set_figures(new, scores, found)
    assert figures["coverage_90"] == pytest.approx(0.90, abs=0.02)
    assert figures["coverage_95"] == pytest.approx(0.95, abs=0.015)
    assert 1 < figures["set_size_90"] < figures["set_size_95"] < 5
    low, high = figures["intervals"]["coverage_90"]
    assert low < figures["coverage_90"] < high


def test_the_threshold_refuses_a_twentieth_of_the_validation_images():
    logs = log_softmax(TRUE_LOGITS, axis=1)
    assert calibration.fit_calibration(logs, LABELS).refuse_below is None
    found = calibration.fit_calibration(logs, LABELS, with_refusal=True)
    new = np.exp(calibration.change_temperature(logs, found.temperature))
    assert found.refuses(new).mean() == pytest.approx(0.05, abs=0.001)


def test_coverage_counts_the_likeliest_label_too():
    logs = np.log([[0.4, 0.35, 0.25], [0.4, 0.35, 0.25]])
    scores = score_images(logs, np.array([0, 1]))
    found = calibration.set_figures(logs, scores, Calibration(1.0, 0.9, 0.3))
    assert (found["coverage_90"], found["coverage_95"]) == (0.5, 1.0)
    assert (found["set_size_90"], found["set_size_95"]) == (1.0, 2.0)


@pytest.mark.slow
def test_the_calibration_error_of_chance_is_that_of_labels_drawn_by_probability(
    monkeypatch,
):
    monkeypatch.setattr(metrics, "BOOTSTRAP_SAMPLES", 1)  # no interval is looked at
    logs = log_softmax(TRUE_LOGITS[:372], axis=1)
    places, draws = np.exp(logs).cumsum(axis=1), GENERATOR.random((200, 372, 1))
    found = [
        figures(score_images(logs, labels), 5)["calibration_error"]
        for labels in (places > draws).argmax(axis=2)
    ]
    expected = calibration.chance_calibration_error(score_images(logs, LABELS[:372]))
    assert np.mean(found) == pytest.approx(expected, rel=0.05)


def test_a_reliability_diagram_by_hand():
    logs = np.log([[0.9, 0.1], [0.91, 0.09], [0.6, 0.4]])
    bins = calibration.reliability(score_images(logs, np.array([0, 1, 0])))
    np.testing.assert_allclose(bins["confidence"], [0.6, 0.905])
    np.testing.assert_allclose(bins["top1"], [1, 0.5])
    assert bins["images"].tolist() == [1, 2]
