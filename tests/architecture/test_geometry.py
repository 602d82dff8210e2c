import pytest

from googlenet_keras.architecture import geometry


def test_conv1_on_224_pads_as_each_framework_does():
    assert geometry.convolution_padding(224, 7, 2, "symmetric") == (3, 3)
    assert geometry.convolution_padding(224, 7, 2, "same") == (2, 3)


@pytest.mark.parametrize(
    ("size", "window", "rule", "expected"),
    [
        (112, 3, "symmetric", (0, 1)),  # even: one row past the end
        (7, 3, "symmetric", (0, 0)),  # odd: windows 0, 2, 4 end at the edge
        (7, 3, "same", (1, 1)),
        (7, 2, "symmetric", (0, 1)),
        (2, 3, "symmetric", (0, 1)),
        (1, 3, "symmetric", (0, 2)),
    ],
)
def test_stride_2_pools(size, window, rule, expected):
    assert geometry.pool_padding(size, window, 2, rule) == expected


def test_pools_inside_a_module_keep_the_size():
    for rule in ("symmetric", "same"):
        padding = geometry.pool_padding(14, 3, 1, rule)
        assert padding == (1, 1)
        assert geometry.outputs(14, 3, 1, padding) == 14


def test_ceil_mode_never_leaves_a_value_out():
    for size in range(1, 40):
        padding = geometry.pool_padding(size, 3, 2, "symmetric")
        count = geometry.outputs(size, 3, 2, padding)
        assert (count - 1) * 2 + 3 >= size
        assert count == max(-(-(size - 3) // 2), 0) + 1
