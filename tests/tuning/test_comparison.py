import numpy as np
import pytest
from scipy.stats import t

from googlenet_keras.errors import UserError
from googlenet_keras.tuning.comparison import compare
from googlenet_keras.tuning.image_results import ImageResults

IMAGES = 80


def results(losses, images="a", correct=None):
    losses = np.asarray(losses, np.float32)
    correct = np.zeros(len(losses), bool) if correct is None else np.array(correct)
    return ImageResults(losses, correct, images)


def test_means_are_those_of_the_rounds_and_intervals_those_of_the_pairs():
    first = [results([1, 2, 3], "a", [True, True, False]), results([2, 4], "b")]
    second = [results([1, 1, 1], "a"), results([1, 1], "b", [True, False])]
    found = compare(first, second)
    # means of 1 and of 2; variances of 1 and of 2, each divided by its images
    assert found["loss"] == 1.5
    margin = 1.96 * np.sqrt(1 / 3 + 2 / 2) / 2
    assert found["loss_interval"] == pytest.approx((1.5 - margin, 1.5 + margin))
    assert found["top1"] == pytest.approx((2 / 3 - 1 / 2) / 2)
    assert (found["images"], found["rounds"]) == (5, 2)


def test_what_is_common_to_both_networks_counts_nothing():
    hard = np.arange(20.0)
    first = [results(hard, name) for name in "abc"]
    second = [results(hard + 0.5, name) for name in "abc"]
    assert compare(first, second)["loss_interval"] == pytest.approx((-0.5, -0.5))


def test_rounds_that_disagree_widen_the_interval():
    even = np.zeros(4)
    second = [results(even, name) for name in "abc"]
    agreed = compare([results(even + 1, name) for name in "abc"], second)
    apart = [results(even + x, name) for x, name in zip((0, 1, 2), "abc", strict=True)]
    low, high = compare(apart, second)["loss_interval"]
    assert agreed["loss_interval"] == pytest.approx((1, 1))
    # Student's t of 2 degrees of freedom, 4.303, times 1 / sqrt(3)
    assert (low, high) == pytest.approx((1 - 2.484, 1 + 2.484), abs=0.001)
    # two rounds cannot tell
    assert compare(apart[:2], second[:2])["loss_interval"] == (0.5, 0.5)


def test_the_noise_of_a_round_is_known_from_all_networks_of_the_race():
    even = np.zeros(4)
    quiet = [[results(even + x, name) for name in "abc"] for x in (0, 1, 2, 3)]
    noisy = [results(even + x, name) for x, name in zip((3, 4, 5), "abc", strict=True)]
    found = compare(quiet[1], quiet[0], quiet)
    assert found["loss_interval"] == pytest.approx((1, 1))
    low, high = compare(quiet[1], quiet[0], [*quiet, noisy])["loss_interval"]
    # -1, 0 and 1 in one of five networks, 4/5 of it left by the rounds' means
    variance = 2 * (4 / 5) / ((5 - 1) * (3 - 1))
    margin = t.ppf(0.975, 8) * np.sqrt(2 * variance / 3)
    assert (low, high) == pytest.approx((1 - margin, 1 + margin))


def test_a_network_that_left_early_tells_of_the_noise_too():
    even = np.zeros(4)
    race = [[results(even, name) for name in "abc"] for _ in range(2)]
    early = [results(even + 1, "a"), results(even - 1, "b")]
    found = compare(race[0], race[1], [*race, early])
    assert found["loss"] == 0
    assert found["loss_interval"][1] > 0


def test_a_network_is_compared_over_the_rounds_that_both_ran():
    first = [results([1, 1], "a")]
    second = [results([0, 0], "a"), results([9, 9], "b")]
    found = compare(first, second)
    assert (found["loss"], found["images"], found["rounds"]) == (1, 2, 1)


@pytest.mark.parametrize("other", [results([1, 2], "b"), results([1, 2, 3], "a")])
def test_rounds_on_other_images_are_not_compared(other):
    with pytest.raises(UserError, match="have changed during the race"):
        compare([results([1, 2], "a")], [other])


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("seeds", [0.0, 0.04, 0.2])
@pytest.mark.parametrize("rounds", [3, 5])
def test_the_interval_covers_the_planted_difference(rounds, seeds, is_shared):
    """An image's part, a training's part for each image, and a seed's for all."""
    random, planted, covered = np.random.default_rng(1), 0.03, []
    zero, hits = np.zeros(IMAGES), []
    for _ in range(400):
        of_images = random.normal(0, 0.4, IMAGES)
        first, second = [], []
        for number in range(rounds):
            if not is_shared:
                of_images = random.normal(0, 0.4, IMAGES)
            noise = random.normal(0, 0.2, IMAGES) + random.normal(0, seeds)
            name = "a" if is_shared else str(number)
            first.append(results(planted + of_images + noise, name))
            second.append(results(zero, name))
        low, high = compare(first, second)["loss_interval"]
        covered.append(low <= planted <= high)
        hits.append(high < 0 or low > 0)
    assert 0.90 < np.mean(covered) < 0.998
    if rounds == 5 and not seeds and not is_shared:
        assert np.mean(hits) > 0.1  # it can tell something


def test_results_are_read_back(tmp_path):
    written = results([0.25, 3], "digest", [True, False])
    written.save(tmp_path / "file")
    read = ImageResults.load(tmp_path / "file")
    np.testing.assert_array_equal(read.loss, written.loss)
    np.testing.assert_array_equal(read.correct, written.correct)
    assert read.images == "digest"


@pytest.mark.parametrize(
    "damage",
    [
        *(b"", b"x", lambda data: data[:-1], None),
        results([np.nan]),
        results([]),
        ImageResults(np.zeros((1, 1), np.float32), np.zeros((1, 1), bool), ""),
        ImageResults(np.zeros(2, np.float32), np.zeros(1, bool), ""),
        ImageResults(np.zeros(2, np.float32), np.zeros(2, np.uint8), ""),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, damage):
    file = tmp_path / "file"
    results([1, 2]).save(file)
    if isinstance(damage, ImageResults):
        damage.save(file)
    elif damage is None:
        file.unlink()
    else:
        file.write_bytes(
            damage if isinstance(damage, bytes) else damage(file.read_bytes())
        )
    with pytest.raises(UserError, match=r"damaged|no such file"):
        ImageResults.load(file)
