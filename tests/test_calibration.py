import numpy as np
import pytest

from googlenet_keras.calibration import Calibration
from googlenet_keras.errors import UserError

CALIBRATION = Calibration(0.75, 0.25, 0.125)


def test_set_sizes_by_hand():
    rows = np.array(
        [[0.5, 0.25, 0.2, 0.05], [0.24, 0.24, 0.26, 0.26], [0.9, 0.1, 0, 0]]
    )
    assert CALIBRATION.set_size(np.array(rows), 90).tolist() == [2, 2, 1]
    assert CALIBRATION.set_size(np.array(rows), 95).tolist() == [3, 4, 1]


def test_a_set_has_the_likeliest_label_at_least():
    assert CALIBRATION.set_size(np.full((1, 10), 0.1), 90).tolist() == [1]


def test_what_is_refused():
    rows = np.array([[0.5, 0.5], [0.6, 0.4], [0.7, 0.3]])
    assert Calibration(1.0, 0.1, 0.1, 0.6).refuses(rows).tolist() == [
        True,
        False,
        False,
    ]
    assert not CALIBRATION.refuses(rows).any()


def test_it_survives_json():
    refusing = Calibration(1.0, 0.1, 0.1, 0.6)
    assert Calibration.from_json(refusing.to_json()) == refusing
    assert Calibration.from_json(CALIBRATION.to_json()) == CALIBRATION


@pytest.mark.parametrize(("name", "value"), [
    ("temperature", 0),
    ("temperature", "1"),
    ("least_probability_90", 1.5),
    ("least_probability_95", None),
])  # fmt: skip
def test_values_that_no_calibration_has(name, value):
    with pytest.raises(UserError, match=name):
        Calibration.from_json({**CALIBRATION.to_json(), name: value})
