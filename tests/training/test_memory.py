import re
from dataclasses import replace

import pytest
from making import tiny_run

from googlenet_keras.architecture.table1 import Conv
from googlenet_keras.architecture.variants import get_architecture
from googlenet_keras.errors import UserError
from googlenet_keras.training import memory
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.recipes import recipe


@pytest.mark.parametrize("limit", [8, 15, 16, 100, 255, 256, 300])
def test_the_largest_fitting_is_found(limit):
    tried = []

    def fits(batch):
        tried.append(batch)
        return batch <= limit

    assert memory._largest_fitting(fits, 256) == min(limit // 8 * 8, 256)
    assert len(tried) <= 6
    assert memory._largest_fitting(lambda batch: batch <= limit, 30) == min(
        limit // 8 * 8, 24
    )


def test_where_nothing_fits_that_is_said():
    with pytest.raises(UserError, match=r"not even 8 images fit .* smaller"):
        memory._largest_fitting(lambda batch: False, 256)
    few = replace(recipe("smoke"), batch_size=8)
    assert str(memory.batch_too_large_error(None, few, classes=2)).startswith(
        "not even 8 images"
    )
    with pytest.raises(UserError, match="multiples of 8, and there are 7 images"):
        memory.largest_batch(recipe("smoke"), classes=2, images=7)


def test_a_step_that_needs_more_memory_than_there_is_is_refused_with_the_figure():
    small = recipe("smoke").resolve("digits", precision="float32")
    memory.check_memory(small, classes=10)
    large = replace(small, image_size=(8192,), batch_size=1000)
    with pytest.raises(
        UserError, match=r"a step of 1000 images of 8192 x 8192 .* at least [\d,.]+ GB"
    ):
        memory.check_memory(large, classes=10)


@pytest.mark.slow
def test_of_several_image_sizes_the_largest_counts():
    sizes = ("32:1", "8192x4096:1", "64:1")
    config = TrainConfig.from_recipe("smoke", image_sizes=sizes, batch_size=1000)
    with pytest.raises(UserError, match="a step of 1000 images of 8192 x 4096 pixels"):
        memory.check_memory(config.resolve("photos", precision="float32"), classes=10)
    tried = replace(config, width=0.125, image_sizes=("32:1", "64x48:1", "40:1"))
    network = memory._build_once(tried.resolve("photos", xla="off"), 2, None)
    assert network.inputs[0].shape == (None, 64, 48, 3)


def test_a_size_at_which_the_network_cannot_be_built_is_refused_before_the_start():
    """A window of 2 that is not padded does not fit into the last map at 32 pixels."""
    arch = get_architecture("paper")
    rows = (*arch.rows, Conv("late", filters=8, kernel=2))
    late = replace(arch, rows=rows, padding="symmetric")
    config = TrainConfig(image_sizes=("32:1", "64:1")).resolve("photos")
    with pytest.raises(UserError, match="the window of late, 2 x 2, does not fit"):
        memory.check_memory(replace(config, network=late), classes=2)
    large = replace(config, network=late, image_sizes=("96:1", "64:1"), epochs=2)
    memory.check_memory(large, classes=2)


@pytest.mark.slow
def test_a_real_step_that_gets_no_memory_ends_its_process_and_is_said(monkeypatch):
    """The network fits into a gigabyte, eight images of 2048 pixels do not."""
    config = tiny_run(None, "photos", image_size=(2048,), batch_size=9)
    config = config.resolve("photos", precision="float32")
    monkeypatch.setattr(memory, "_free_bytes", lambda: 10**9)
    message = str(memory.batch_too_large_error(None, config, classes=10))
    assert message.startswith("not even 8 images fit into memory; choose a smaller")


@pytest.mark.exhaustive
def test_a_real_step_is_tried_where_memory_is_scarce(monkeypatch):
    """A step of 768 pixels takes over 100 MB an image; more than there is kills."""
    config = tiny_run(None, "photos", image_size=(768,), batch_size=17)
    config = config.resolve("photos", precision="float32")
    monkeypatch.setattr(memory, "_free_bytes", lambda: 167 * 10**7)
    message = str(memory.batch_too_large_error(None, config, classes=10))
    assert re.match(
        "a batch of 17 images does not fit into memory; 8 do: --batch-size 8", message
    )
