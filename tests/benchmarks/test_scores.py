"""Kendall's tau of cheap scores: planted ones, and a small benchmark."""

import pickle
import re
from contextlib import contextmanager
from dataclasses import asdict, replace

import numpy as np
import pytest
from making import epoch_line, small_run, two_modules
from tuning_parts import budget, figures, model

from benchmarks import score_trainings, scores
from benchmarks.rank_correlation import Score, Tau, rank_correlation
from benchmarks.scores import Options, measure
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.errors import UserError
from googlenet_keras.files import (
    append_json_line,
    read_json,
    read_json_lines,
    write_json,
)
from googlenet_keras.processes import ProcessError
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.tuning import trainings
from googlenet_keras.tuning.image_results import ImageResults
from googlenet_keras.tuning.latency import Task, latency_cache_file
from googlenet_keras.tuning.shared_weights import score_networks

NETWORKS, IMAGES, SEEDS = 12, 300, 3
QUALITY = np.random.default_rng(5).permutation(NETWORKS) / NETWORKS


def planted(noise=0.02, seed=0):
    """Trainings whose true order is that of QUALITY, [seeds, networks, images]."""
    random = np.random.default_rng(seed)
    of_images = random.uniform(0, 2, IMAGES)
    luck = random.normal(0, noise, (SEEDS, NETWORKS, 1))
    return QUALITY[:, None] + of_images + luck + random.normal(0, 0.1, IMAGES)


def of_networks(values):
    return np.array(values, float)[None, :, None]


def test_a_planted_score_is_found():
    random = np.random.default_rng(1)
    noisy = QUALITY + random.normal(0, 0.05, NETWORKS)
    found = {
        name: rank_correlation(Score(name, of_networks(values)), planted())
        for name, values in {
            "right": QUALITY,
            "nearly": noisy,
            "turned": -QUALITY,
            "other": random.permutation(NETWORKS),
        }.items()
    }
    assert found["right"].value == pytest.approx(1, abs=0.05)
    assert 0.6 < found["nearly"].value < 1
    assert found["turned"].value == pytest.approx(-found["right"].value)
    assert abs(found["other"].value) < 0.5
    for tau in found.values():
        assert -1 <= tau.low <= tau.high <= 1
        assert tau.low <= tau.value + 1e-9


def test_the_interval_knows_the_luck_of_seeds_and_images():
    score = Score("right", of_networks(QUALITY))
    sure, unsure = (rank_correlation(score, planted(noise)) for noise in (0.01, 0.3))
    assert sure.high - sure.low < 0.5 * (unsure.high - unsure.low)
    random = np.random.default_rng(2)
    of_images = QUALITY[:, None] + random.normal(0, 2, (NETWORKS, IMAGES))
    by_images = rank_correlation(Score("images", of_images[None]), planted(0.0))
    assert by_images.high - by_images.low > 0.1
    assert by_images.low < by_images.value < 1


def test_a_training_is_not_compared_with_itself():
    random = np.random.default_rng(3)
    luck = random.normal(0, 1, (SEEDS, NETWORKS, 1)) + np.zeros(IMAGES)
    own = rank_correlation(Score("one", luck, is_reference=True), luck)
    assert abs(own.value) < 0.35  # there is nothing but luck
    assert rank_correlation(Score("one", luck), luck).value > 0.4


def test_what_does_not_vary_has_no_rank():
    same = Score("same", of_networks(np.ones(NETWORKS)))
    assert rank_correlation(same, planted()) is None
    assert scores.describe_tau(None) == "does not vary"
    tau = Tau(0.5, -0.25, 0.75)._asdict()
    assert scores.describe_tau(tau) == "0.50 (-0.25 to 0.75)"


def know_latency(base, size):
    """Lets this machine's latency be known for a network of two classes."""
    path = latency_cache_file(base, Task(2, (size,)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(model(2, size)))


class Killed(BaseException):
    """As a signal, nothing may catch it."""


class Children(list):
    """The names of what child processes are asked to train, which is planted.

    A network of more parameters has lower losses, and by shared weights higher ones.
    error: gives the one that a training ends with, if any.
    """

    error = staticmethod(lambda: None)

    def __call__(self, function, config, *arguments):
        if error := self.error():
            raise error
        sent = pickle.dumps((function, config, *arguments))  # as to a child process
        function, config, *arguments = pickle.loads(sent)
        folder = config.run_folder
        self.append(f"{folder.parents[1].name}/{folder.name}")
        if function is score_networks:
            *_, networks, search = arguments
            return {
                name: self.write(search.image_results(name), 20 - mean_loss(arch))
                for name, arch in networks.items()
            }
        assert function is trainings.train_and_judge
        loss = mean_loss(config.to_architecture())
        figures = self.write(arguments[1], loss, config.seed)
        lines = [epoch_line(k + 1) for k in range(config.epochs)]
        for line in lines:
            line["train"]["main"]["loss"] = loss
            append_json_line(folder / "metrics.jsonl", line)
        return figures

    def write(self, path, loss, seed=0):
        path.parent.mkdir(parents=True)
        luck = np.random.default_rng(seed).normal(0, 0.01)
        losses = np.arange(IMAGES) / IMAGES + loss + luck
        result = ImageResults(losses.astype(np.float32), losses < loss + 0.5, "")
        result.save(path)
        return figures(float(losses.mean()), images=IMAGES)


def mean_loss(arch):
    """The loss of a network."""
    return 20 - budget(96, classes=2).costs.of(arch, "parameters") / 1e5


@pytest.fixture
def children(monkeypatch):
    called = Children()

    @contextmanager
    def child(log):
        yield called

    for module in (trainings, score_trainings):
        monkeypatch.setattr(module, "child_process", child)
    return called


@pytest.mark.slow
def test_the_table_finds_what_is_planted_and_repeats_no_training(
    photos, children, tmp_path, capsys
):
    know_latency(BATCH_NORM, 96)
    training = TrainConfig(dataset=str(photos(a=20, b=20)), image_size=(96,))
    options = Options("22.5M", seeds=2, epochs=4, output=tmp_path / "scores")
    children.error = lambda: Killed() if len(children) == 4 else None
    with pytest.raises(Killed):
        measure(options, training)
    children.error = lambda: ProcessError("no") if len(children) == 30 else None
    with pytest.raises(UserError, match=r"failed: no\. .*what was trained is not rep"):
        measure(options, training)
    children.error = lambda: None
    rows = measure(options, training)
    parts = ("seed-1", "seed-2", "half", "a-quarter")
    names = [f"{part}/{number}" for part in parts for number in range(12)]
    assert children == [*names, "scores/network"]
    assert measure(options, training) == rows
    assert children == [*names, "scores/network"]
    taus = {row["score"]: row["taus"]["cross-entropy"] for row in rows}
    assert len(taus) == 2 + 2 + 3 + 3 + 2
    assert taus["parameters"]["value"] == pytest.approx(1)
    for part in ("one whole training", "half of the epochs", "a quarter of the epochs"):
        assert taus[f"cross-entropy, {part}"]["value"] == pytest.approx(1)
    for part in ("half of the epochs", "a quarter of the epochs"):
        assert taus[f"sum of training losses, {part}"]["value"] == pytest.approx(1)
    assert taus["cross-entropy, shared weights"]["value"] == pytest.approx(-1)
    assert taus["top-1, shared weights"] is None  # all have the same
    assert read_json(options.output / "scores.json")["scores"] == rows
    scores.print_scores(rows)
    assert re.search(
        r"cross-entropy, shared weights +-1\.00 \(-1\.00 to -1\.00\) +does not vary",
        capsys.readouterr().out,
    )
    with pytest.raises(UserError, match=r"epochs was 4 and is 8\. Choose another"):
        measure(replace(options, epochs=8), training)
    more = measure(replace(options, networks=13, seeds=3), training)
    assert len(children) == 49 + 4 + 13 + 1  # a new seed has all 13
    assert len(more) == len(rows)


WIDE = two_modules(width=0.5)
BASE = replace(WIDE, rows=WIDE.rows[:3], heads=())


@pytest.fixture
def small(photos, tmp_path):
    """The options of a small benchmark, and those of its trainings."""
    file = tmp_path / "network.json"
    write_json(file, BASE.to_json())
    know_latency(BASE, 32)
    options = Options("2M", networks=3, seeds=2, epochs=1, output=tmp_path / "scores")
    data = photos(a=20, b=20)
    return options, small_run(None, data, architecture=file, image_size=(32,))


def test_a_budget_without_enough_networks(small):
    options, training = small
    with pytest.raises(UserError, match=r"--networks 9 must differ, and 4 were found"):
        measure(replace(options, networks=9), training)


@pytest.mark.exhaustive
def test_every_part_trains_the_same_networks_of_the_budget(small):
    options, training = small
    rows = measure(options, training)
    for row in rows:
        trained = row["score"] not in ("multiply-adds", "parameters")
        assert (row["cpu_seconds_of_a_network"] > 0) == trained
        assert (row["cpu_seconds_once"] > 0) == ("shared" in row["score"])
    found = []
    for part in ("seed-1", "seed-2", "half", "a-quarter", "shared"):
        lines = read_json_lines(options.output / part / "trials.jsonl")
        by_name = {row["trial"]: row for row in lines if row["trial"] != "widest"}
        assert all(row["macs"] <= 2e6 for row in by_name.values())
        found.append([by_name[str(k)]["architecture"] for k in range(3)])
    assert all(archs == found[0] for archs in found)
    assert len({str(arch) for arch in found[0]}) == 3
    assert measure(options, training) == rows
