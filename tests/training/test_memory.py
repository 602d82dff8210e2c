import re
from dataclasses import replace

import pytest

from googlenet_keras.errors import UserError
from googlenet_keras.training import memory
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
def test_a_real_step_is_tried_where_memory_is_scarce(monkeypatch):
    """A step of 448 pixels takes some 150 MB an image; more than there is kills."""
    config = replace(
        recipe("smoke"), image_size=(448,), width=0.5, precision="float32",
        batch_size=25,
    ).resolve("photos")  # fmt: skip
    monkeypatch.setattr(memory, "_free_bytes", lambda: 25 * 10**8)
    message = str(memory.batch_too_large_error(None, config, classes=10))
    assert re.match(
        r"a batch of 25 images does not fit into memory; (8|16) do: --batch-size \1",
        message,
    )
