from dataclasses import replace

import pytest

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.errors import UserError

ROWS = BATCH_NORM.to_json()["rows"]
HEADS = BATCH_NORM.to_json()["heads"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropout": 1.0}, "dropout of an architecture must be at least 0 and below 1"),
        ({"pixel_scale": 0}, "pixel_scale .* from 1e-06 to 1e\\+06; received 0"),
        ({"pixel_scale": 1e-300}, "from 1e-06"),
        ({"pixel_mean": [0, 10**400, 0]}, "three numbers up to 1e\\+06"),
        ({"pixel_mean": [1, 2]}, "three numbers"),
        ({"rows": []}, "one row or more"),
        ({"rows": [*ROWS, ROWS[0]]}, "names of their own"),
        ({"name": ["bn"]}, "named by letters"),
        ({"name": "../../tmp/bn"}, "named by letters"),
        ({"name": ".."}, "named by letters"),
        ({"rows": [ROWS[0] | {"name": "a/b"}]}, "named by letters"),
        ({"wide_kernel": 0}, "wide_kernel must be one of 1, 3, 5, 7; received '0'"),
        ({"padding": "sme"}, "Did you mean 'same'"),
        ({"heads": [HEADS[0] | {"name": "aux3"}]}, "must be one of aux1, aux2"),
        ({"heads": [HEADS[0] | {"after": "inception_4f"}]}, "place of aux1"),
        ({"rows": [ROWS[0] | {"filters": 64.5}]}, "filters of conv1_7x7_s2 .* 64.5"),
        ({"rows": [ROWS[0] | {"stride": 0}]}, "stride of conv1_7x7_s2 .* received 0"),
        ({"rows": [ROWS[0] | {"filters": "64"}]}, "from 1 to 65536; received '64'"),
        ({"rows": [ROWS[0] | {"filters": 10**9}]}, "filters .* from 1 to 65536"),
        ({"rows": [ROWS[0] | {"kernel": 5000}]}, "kernel .* from 1 to 64"),
        ({"rows": [ROWS[0] | {"stride": 10**9}]}, "stride .* from 1 to 64"),
        ({"rows": [ROWS[1] | {"window": 65}]}, "window .* from 1 to 64"),
        ({"heads": [HEADS[0] | {"units": 10**9}]}, "units of aux1 .* 1 to 65536"),
        (
            {"rows": [ROWS[1] | {"name": f"pool{i}"} for i in range(3000)]},
            "one row or more, at most 256",
        ),
        ({"pixel_scale": "1"}, "a number from 1e-06 to 1e\\+06; received '1'"),
        ({"rows": {"a": 1}}, "no architecture"),
        ({"rows": [5]}, "no architecture"),
        ({"rows": [ROWS[0] | {"kind": ["Conv"]}]}, "no architecture"),
        ({"rows": 5}, "no architecture"),
        ({"speed": 5}, "no architecture"),
    ],
)
def test_json_with_values_that_no_network_has(changes, message):
    with pytest.raises(UserError, match=message):
        Architecture.from_json(BATCH_NORM.to_json() | changes)


def test_a_network_may_have_one_head_or_none():
    for heads in ([], HEADS[1:]):
        read = Architecture.from_json(BATCH_NORM.to_json() | {"heads": heads})
        assert len(read.heads) == len(heads)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"padding": "smae"}, "padding must be one of .* Did you mean 'same'"),
        ({"rows": BATCH_NORM.rows[:3]}, "place of aux1"),  # its module is gone
        ({"rows": list(BATCH_NORM.rows)}, "rows .* a tuple of one row or more"),
        ({"rows": (*BATCH_NORM.rows, "relu")}, "rows .* a tuple of one row or more"),
        ({"heads": ("aux1",)}, "heads .* a tuple of AuxiliaryHead"),
        ({"name": "b n"}, "named by letters"),
        ({"dropout": float("nan")}, "at least 0 and below 1; received nan"),
        ({"dropout": "0.5"}, "at least 0 and below 1; received '0.5'"),
        ({"pixel_mean": (1.0, 2.0, float("inf"))}, "three numbers"),
        ({"wide_kernel": True}, "wide_kernel must be one of 1, 3, 5, 7"),
        ({"gamma": 1}, "gamma must be one of True, False; received '1'"),
        ({"differences": "none"}, "differences .* a tuple of sentences"),
    ],
)
def test_a_value_that_no_network_has_is_refused_when_it_is_made(changes, message):
    with pytest.raises(UserError, match=message):
        replace(BATCH_NORM, **changes)
