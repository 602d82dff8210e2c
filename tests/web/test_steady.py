"""The camera's steady label: the page's own TypeScript, run by Node.js."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import softmax

from benchmarks.camera import Scene, changes, delays, smooth

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tools")]

CAT, DOG = [1.0, 0.0], [0.0, 1.0]


def smooth_frames(frames, milliseconds, **settings):
    (found,) = smooth(np.array(frames), milliseconds, [settings])
    return found


def test_the_first_frame_is_shown_as_it_is():
    found = smooth_frames([[0.25, 0.75]], [123456.0])
    assert (found["places"], found["raw"]) == ([1], [1])
    assert found["averages"] == [[0.25, 0.75]]


@pytest.mark.parametrize("frames_per_second", [4, 10, 60])
def test_the_average_forgets_by_the_time_and_not_by_the_frame(frames_per_second):
    count = frames_per_second // 2 + 1  # from 0 to 500 ms
    found = smooth_frames([CAT] + [DOG] * (count - 1), np.linspace(0, 500, count))
    assert found["averages"][-1][0] == pytest.approx(math.exp(-500 / 250), abs=1e-6)


def test_frames_at_uneven_times_count_for_the_time_since_the_last():
    found = smooth_frames(
        [CAT, DOG, CAT], [0, 250, 300], timeConstant=100, margin=0, hold=9999
    )
    after = 1 - (1 - math.exp(-2.5)) * math.exp(-0.5)
    assert found["averages"][-1][0] == pytest.approx(after, abs=1e-6)


def test_a_label_that_flickers_leaves_the_steady_one_alone():
    frames = [[0.7, 0.3] if i % 3 else [0.3, 0.7] for i in range(1, 90)]
    found = smooth_frames(frames, [1000 / 15 * i for i in range(89)])
    assert set(found["places"]) == {0}
    assert changes(found["raw"]) == 58


def test_labels_in_turns_leave_the_first_one():
    frames = [CAT, DOG] * 40
    assert set(smooth_frames(frames, [1000 / 15 * i for i in range(80)])["places"]) == {
        0
    }


def test_a_lead_of_the_margin_changes_the_label_before_the_hold_is_over():
    # after 100 ms of DOG the averages are 1/e and 1 - 1/e: a lead of 0.264
    times, frames = [0, 100], [CAT, DOG]
    for margin, place in ((0.26, 1), (0.27, 0)):
        found = smooth_frames(frames, times, timeConstant=100, margin=margin, hold=1000)
        assert found["places"] == [0, place], margin


def test_what_every_frame_says_is_shown_after_the_hold_whatever_the_lead():
    frames = [[0.52, 0.48]] * 3 + [[0.48, 0.52]] * 5
    found = smooth_frames(frames, [100 * i for i in range(8)], hold=350)
    assert found["places"] == [0] * 7 + [1]  # 400 ms after 300 ms
    interrupted = [*frames[:6], frames[0], *frames[6:]]
    found = smooth_frames(interrupted, [100 * i for i in range(9)], hold=350)
    assert set(found["places"]) == {0}


def test_a_label_comes_only_with_a_frame_that_says_it():
    frames = [CAT, DOG, DOG, DOG, CAT, CAT, DOG, CAT, DOG, CAT]
    found = smooth_frames(frames, [100 * i for i in range(10)], margin=0)
    steps = zip(pairwise(found["places"]), found["raw"][1:], strict=True)
    assert all(new in (old, raw) for (old, new), raw in steps)
    assert set(found["places"]) == {0, 1}


@pytest.mark.parametrize("frames_per_second", [7, 15, 30, 60])
@pytest.mark.parametrize("new", [[0.02, 0.95, 0.03], [0.3, 0.36, 0.34]])
def test_a_new_scene_is_shown_half_a_second_later_at_most(new, frames_per_second):
    count = 2 * frames_per_second
    frames = [[0.96, 0.02, 0.02]] * count + [new] * count
    times = [1000 * i / frames_per_second for i in range(2 * count)]
    late = times[smooth_frames(frames, times)["places"].index(1)] - times[count]
    assert 0 < late <= 500


def pan(frames_per_second, seed):
    """A camera over 12 photographs of 6 classes, and the frames of each.

    It rests for 4 s on each. Every photograph looks like another class, too, every
    third much: a twentieth and a quarter of their frames say so. The hand's shifts
    last for a tenth of a second, the noise for a frame.
    """
    random = np.random.default_rng(seed)
    rest, slide = 4 * frames_per_second, frames_per_second // 2
    logits = random.normal(0, 0.5, (12, 6))
    for i in range(12):
        logits[i, i % 6] = 4
        logits[i, (i + 3) % 6] = 3.2 if i % 3 == 2 else 2
    begins = np.arange(12) * (rest + slide)
    found = [Scene(max(x - slide, 0), x, x + rest) for x in begins.tolist()]
    known = np.concatenate([begins, begins + rest - 1])
    times = np.arange(found[-1].end)
    order = np.argsort(known)
    seen = [np.interp(times, known[order], np.tile(x, 2)[order]) for x in logits.T]
    kept = math.exp(-10 / frames_per_second)
    shift = np.zeros(6)
    shifts = [
        shift := kept * shift + math.sqrt(1 - kept**2) * random.normal(size=6)
        for _ in times
    ]
    noise = random.normal(0, 0.6, (len(times), 6))
    return softmax(np.transpose(seen) + 0.6 * np.array(shifts) + noise, axis=1), found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("frames_per_second", [10, 15, 30])
def test_over_a_pan_the_label_changes_a_fifth_as_often(frames_per_second, seed):
    probabilities, scenes = pan(frames_per_second, seed)
    times = [1000 * i / frames_per_second for i in range(len(probabilities))]
    found = smooth_frames(probabilities, times)
    raw, steady = found["raw"], found["places"]
    assert raw == probabilities.argmax(1).tolist()
    assert changes(steady) <= changes(raw) / 5
    late = delays(raw, steady, scenes, frames_per_second)
    assert len(late) >= 4
    # where the frames themselves waver after the change, one may come later
    assert sorted(late)[-2] <= 0.5
    assert max(late) <= 1
