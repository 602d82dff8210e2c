from dataclasses import asdict

import numpy as np
import pytest

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.tuning import latency
from googlenet_keras.tuning.latency import (
    HELD_OUT_NETWORKS,
    WORK_KINDS,
    LatencyModel,
    Task,
    count_work,
)

TASK = Task(classes=10, image_size=(64,))


def test_work_counts_multiply_adds_in_blocks_of_channels():
    arch = BATCH_NORM.scale_width(2)  # every width a multiple of 16
    task = Task(16, (64,))
    done = dict(zip(WORK_KINDS, count_work(arch, task, 16), strict=True))
    macs = sum(done[n] for n in WORK_KINDS if n.endswith("_macs"))
    assert macs == arithmetic.macs(arch, classes=16, image_size=64)
    narrow = BATCH_NORM.with_widths({"inception_3a_pool_proj": 8})
    wider = BATCH_NORM.with_widths({"inception_3a_pool_proj": 16})
    of = [
        dict(zip(WORK_KINDS, count_work(a, task, 16), strict=True))
        for a in (narrow, wider)
    ]
    outputs = of[0]["outputs"], of[1]["outputs"]
    assert outputs[0] == outputs[1]
    assert of[0]["joined"] < of[1]["joined"]


@pytest.mark.parametrize("block", [16, 64])
def test_known_costs_are_found_again_and_checked_on_other_networks(block):
    truth = np.zeros(len(WORK_KINDS))
    truth[:3] = 0.1, 7e-9, 4e-9
    networks = latency.sample_networks(BATCH_NORM)
    times = [float(count_work(n, TASK, block) @ truth) for n in networks]
    model = latency.fit_latency_model(networks, times, TASK)
    assert model.channel_block == block
    assert model.milliseconds(BATCH_NORM) == pytest.approx(
        count_work(BATCH_NORM, TASK, block) @ truth, rel=1e-3
    )
    assert len(model.checked_milliseconds) == HELD_OUT_NETWORKS
    assert model.median_error < 1e-3
    held_out = slice(-HELD_OUT_NETWORKS, None)
    times[held_out] = [2 * t for t in times[held_out]]  # these are not fitted
    wrong = latency.fit_latency_model(networks, times, TASK)
    assert wrong.milliseconds_per == model.milliseconds_per
    assert wrong.median_error == pytest.approx(0.5, abs=1e-3)


def test_a_model_is_read_back_and_damage_is_an_error(tmp_path):
    costs = {kind: float(number) for number, kind in enumerate(WORK_KINDS)}
    model = LatencyModel(10, (96,), costs, 0.02, [{"predicted": 1.1, "measured": 1.0}])
    write_json(tmp_path / "latency.json", asdict(model))
    assert LatencyModel.from_json(read_json(tmp_path / "latency.json")) == model
    with pytest.raises(UserError, match=r"a model of latency needs .*pooled"):
        LatencyModel.from_json(asdict(model) | {"milliseconds_per": {}})
    for change in (
        {"classes": "10"},
        {"classes": 1},
        {"image_size": 96},
        {"image_size": [9e9]},
        {"milliseconds_per": [1]},
        {"milliseconds_per": costs | {"pooled": "x"}},
        {"milliseconds_per": costs | {"pooled": -1}},
        {"median_error": float("nan")},
        {"checked_milliseconds": 5},
        {"channel_block": 0},
    ):
        with pytest.raises(UserError):
            LatencyModel.from_json(asdict(model) | change)
    with pytest.raises(UserError, match="no model of latency"):
        LatencyModel.from_json({"classes": 10})


@pytest.mark.exhaustive
def test_a_wider_network_takes_longer_on_this_machine():
    small, large = BATCH_NORM.scale_width(0.125), BATCH_NORM.scale_width(1)
    times = latency.measure_milliseconds([small, large], TASK)
    assert 0 < 1.5 * times[0] < times[1]
