import ml_dtypes
import numpy as np
import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.weights.weight_file import WeightSource, map_weights

SOURCES = {"main/bias": WeightSource("fc.bias")}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floating_point_numbers_become_float32(dtype):
    found = map_weights({"fc.bias": np.array([0.5, 2], dtype)}, SOURCES)["main/bias"]
    assert (found.dtype, found.tolist()) == (np.float32, [0.5, 2])


@pytest.mark.parametrize(
    "dtype", [bool, np.int64, np.complex64, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2]
)
def test_numbers_of_other_types_are_refused_by_name(dtype):
    kind = np.dtype(dtype).name
    with pytest.raises(UserError, match=rf"or float64; fc\.bias are {kind}\.$"):
        map_weights({"fc.bias": np.ones(2, dtype)}, SOURCES)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_what_is_not_finite_in_float32_is_refused_by_name(value):
    with pytest.raises(UserError, match=r"must be finite .*; fc\.bias are not\.$"):
        map_weights({"fc.bias": np.array([1, value])}, SOURCES)
