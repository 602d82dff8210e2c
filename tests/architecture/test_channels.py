from functools import partial

import pytest

from googlenet_keras.architecture.ablations import ablate
from googlenet_keras.architecture.arithmetic import macs
from googlenet_keras.architecture.channels import (
    channel_costs,
    channel_sources,
    convolutions,
)
from googlenet_keras.architecture.variants import BATCH_NORM, PAPER, VARIANTS

ENDS_3A = tuple(f"inception_3a_{end}" for end in ("1x1", "3x3", "5x5", "pool_proj"))


def test_who_reads_whose_channels():
    sources = channel_sources(BATCH_NORM)
    assert sources["conv1_7x7_s2"] == ()  # pixels
    assert sources["conv2_3x3"] == ("conv2_3x3_reduce",)
    assert sources["inception_3a_5x5"] == ("inception_3a_5x5_reduce",)
    assert sources["inception_3b_pool_proj"] == ENDS_3A
    assert list(sources)[-1] == "main"
    assert len(sources["main"]) == 4


def test_a_pool_without_projection_passes_its_channels_on():
    sources = channel_sources(ablate("bn", module="naive", head="dense"))
    ends = (*ENDS_3A[:3], "conv2_3x3")  # of the pooled input
    assert sources["inception_3b_3x3"] == ends
    assert list(sources)[-1] == "main_fc"


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_convolution_of_the_trunk_is_there_once(variant):
    arch = VARIANTS[variant]
    trunk = [name for name in arch.widths() if not name.startswith("aux")]
    assert convolutions(arch) == trunk


def test_a_channel_costs_what_it_and_its_readers_multiply():
    costs = channel_costs(PAPER, partial(macs, classes=1000, image_size=224))
    places = 28 * 28
    # it reads 192 channels; 3b's four 1x1 convolutions read it
    assert costs["inception_3a_1x1"] == (192 + 128 + 128 + 32 + 64) * places
    assert costs["inception_5b_pool_proj"] == 832 * 7 * 7 + 1000
    assert costs["conv1_7x7_s2"] == 3 * 7 * 7 * 112 * 112 + 64 * 56 * 56
