import keras
import numpy as np
import pytest
from making import classifier, write_photos

from googlenet_keras.data.sources import open_dataset
from googlenet_keras.evaluation import channel_clusters
from googlenet_keras.evaluation.channel_clusters import (
    channel_distances,
    count_clusters,
)


def test_channels_of_a_cluster_all_fire_together():
    """Of a chain, whose ends do not, complete linkage makes two clusters."""
    chain = np.array([[1, 0.95, 0.8], [0.95, 1, 0.94], [0.8, 0.94, 1]])
    distances = channel_clusters._join_distances(chain)
    np.testing.assert_allclose(distances, [0.05, 0.2])
    counts = [count_clusters(distances, x) for x in (0.96, 0.9, 0.7)]
    assert counts == [3, 2, 1]


@pytest.mark.parametrize("channels", [0, 1])
def test_a_single_channel_is_a_cluster(channels):
    distances = channel_clusters._join_distances(np.ones((channels, channels)))
    assert count_clusters(distances, 0.9) == 1


@pytest.fixture
def images(tmp_path):
    return open_dataset(str(write_photos(tmp_path / "a", {"a": 20, "b": 20}))).train


def test_at_most_so_many_images_are_read_from_all_of_a_split(images, monkeypatch):
    monkeypatch.setattr(channel_clusters, "MAX_IMAGES", 10)
    chosen = channel_clusters._evenly_chosen(images)
    step = -(-images.count // 10)
    found = [int(index) for index, *_ in chosen.in_order()]
    assert found == list(range(0, images.count, step))
    assert len(chosen.files) == chosen.count == len(found) <= 10


@pytest.mark.slow
def test_equal_channels_join_first_and_dead_ones_never(images, monkeypatch):
    monkeypatch.setattr(channel_clusters, "MAX_IMAGES", 10)
    monkeypatch.setattr(channel_clusters, "BATCH_SIZE", 4)
    made = classifier("bn", size=32)
    network, name = made.network, "conv1_7x7_s2"
    kernel = network.get_layer(name).kernel
    value = np.array(kernel)
    value[..., 1] = 3 * value[..., 0]
    kernel.assign(value)
    norm = network.get_layer(f"{name}_bn")
    norm.set_weights([np.zeros(8) if "mean" in x.path or "beta" in x.path else
                      np.ones(8) for x in norm.weights])  # fmt: skip
    norm.gamma.assign([1, 1, 0, *[1] * 5])  # the third channel never fires
    distances = channel_distances(made, images)
    assert len(distances[name]) == 6
    assert abs(distances[name][0]) < 1e-4
    network = keras.Model(network.input, network.get_layer(f"{name}_relu").output)
    chosen = channel_clusters._evenly_chosen(images)
    pixels = [made.preprocessing.read(chosen.load(x)) for *_, x in chosen.in_order()]
    channels = network.predict_on_batch(np.stack(pixels)).reshape(-1, 8)
    correlation = np.corrcoef(channels[:, [0, 1, 3, 4, 5, 6, 7]].T)
    expected = channel_clusters._join_distances(correlation)
    np.testing.assert_allclose(distances[name], expected, atol=1e-4)
