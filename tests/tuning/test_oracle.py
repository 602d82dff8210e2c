import json
import shutil

import pytest
from tuning_parts import job, trained

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.errors import UserError
from googlenet_keras.files import write_json
from googlenet_keras.processes import ProcessError
from googlenet_keras.tuning.proposals import propose
from googlenet_keras.tuning.trials import TrialLog
from googlenet_keras.tuning.tuner import Tuner

FIGURES = {
    **{"images": 100, "epochs": 2},
    **{"seconds": 1.0, "cpu_seconds": 1.0, "peak_megabytes": None},
}


class Killed(BaseException):
    """What is no Exception, as a signal is none: nothing may catch it."""


class Search:
    """keras-tuner's own search, with trainings that cost nothing."""

    def __init__(self, folder, outcomes, tuner="random", **options):
        self.job = job(folder, macs=30e6, tuner=tuner, epochs=4, **options)
        self.log = TrialLog(self.job)
        self.outcomes, self.ran = outcomes, []

    def run(self):
        tuner = Tuner(self.job, self.log)
        tuner.train = self._train
        tuner.search()

    def _train(self, trial, values):
        self.ran.append((trial, values))
        outcome = self.outcomes(len(self.ran), values)
        if isinstance(outcome, BaseException):
            raise outcome  # as a training does
        heads = ("main", "aux1", "aux2")
        # a network that is right more often has a larger loss here: which one counts?
        top1 = dict.fromkeys(heads, outcome / 2)
        return FIGURES | {"loss": outcome, "top1": top1}


@pytest.mark.slow
@pytest.mark.parametrize("tuner", ["random", "bayesian", "hyperband"])
def test_every_trial_is_within_the_budget_and_written_down(tuner, tmp_path):
    search = Search(tmp_path, lambda n, _: 1 - n / 100, tuner, trials=7)
    search.run()
    assert len(search.log.rows) == len(search.ran) == 7
    proposed = [tuple(v[n] for n in search.job.space.grids) for _, v in search.ran]
    assert tuner == "hyperband" or len(set(proposed)) == 7  # none is trained twice
    assert all(27e6 < row["macs"] <= 30e6 for row in search.log.rows)
    written = [json.loads(x) for x in (tmp_path / "trials.jsonl").open()]
    for row, kept in zip(written, search.log.rows, strict=True):
        assert Architecture.from_json(row["architecture"]) == Architecture.from_json(
            kept["architecture"]
        )
        assert row["macs"] == kept["macs"]
    assert (written[0]["loss"], written[0]["images"]) == (0.99, 100)
    assert written[0]["top1"] == {"main": 0.495, "aux1": 0.495, "aux2": 0.495}
    assert search.log.ranking()[0]["trial"] == written[-1]["trial"]


@pytest.mark.slow
@pytest.mark.parametrize("level", ["coarse", "fine"])
@pytest.mark.parametrize("tuner", ["random", "bayesian", "hyperband"])
def test_the_first_trial_is_the_uniform_network(tuner, level, tmp_path):
    def killed(number, _):
        return Killed() if number == 2 else 0.5

    search = Search(tmp_path, killed, tuner, trials=4, level=level)
    with pytest.raises(Killed):
        search.run()
    (first, values), (_, others) = search.ran
    assert first == "0"
    assert search.job.space.is_uniform(search.job.space.to_architecture(values))
    assert not search.job.space.is_uniform(search.job.space.to_architecture(others))
    spoil(tmp_path / "tuner" / "oracle.json", "")  # and lose its line, too
    (tmp_path / "trials.jsonl").write_text("")
    again = Search(tmp_path, lambda *_: 0.5, tuner, trials=4, level=level)
    again.run()
    assert again.ran[0] == (first, values)


@pytest.mark.slow
@pytest.mark.parametrize("tuner", ["random", "bayesian", "hyperband"])
def test_the_proposals_of_a_trained_network_come_next(tuner, tmp_path):
    """A search that is killed in them goes on with the next, even from its log."""

    def killed(number, _):
        return Killed() if number == 3 else 0.3 - number / 10

    search = Search(tmp_path, killed, tuner, trials=7)
    proposed = propose(trained(), search.job)
    write_json(search.job.folder.proposals, proposed)
    with pytest.raises(Killed):
        search.run()
    spoil(tmp_path / "tuner" / "oracle.json", "")
    again = Search(tmp_path, lambda *_: 0.5, tuner, trials=7)
    again.run()
    names = [row["proposal"] for row in again.log.rows]
    assert names[:4] == ["uniform", "gammas", "clusters", "tuner"]
    ran = [values for _, values in (*search.ran[:2], *again.ran)]
    for name, values in zip(names, ran, strict=True):
        if name in proposed:
            assert proposed[name]["values"].items() <= values.items()
    if tuner == "hyperband":  # which promotes the one of the smallest loss
        assert names[-1] == "gammas"
    else:
        assert names[4:] == ["tuner"] * 3


@pytest.mark.slow
def test_hyperband_promotes_the_better_half_to_all_epochs(tmp_path):
    search = Search(tmp_path, lambda n, _: 1 - n / 100, "hyperband", trials=12)
    search.run()
    epochs = [values["tuner/epochs"] for _, values in search.ran]
    assert epochs[:7] == [1, 1, 1, 1, 2, 2, 4]
    promoted = search.ran[4][1]
    assert promoted["stem"] == search.ran[3][1]["stem"]  # the best of the first four


@pytest.mark.slow
def test_a_hyperband_begun_small_goes_on_with_more_trials(tmp_path):
    Search(tmp_path, lambda n, _: n / 100, "hyperband", trials=1).run()
    more = Search(tmp_path, lambda n, _: n / 100, "hyperband", trials=12)
    more.run()
    assert len(more.log.rows) == 12


@pytest.mark.slow
def test_with_few_trials_hyperband_halves_less_and_still_ends_a_training(tmp_path):
    search = Search(tmp_path, lambda n, _: n / 100, "hyperband", trials=5)
    search.run()
    assert 4 in [values["tuner/epochs"] for _, values in search.ran]


@pytest.mark.slow
def test_failures_are_rows_with_reasons_and_never_the_best(tmp_path):
    def outcomes(number, _):
        if number == 1:
            return 0.5
        if number == 2:
            return float("nan")
        return ProcessError("the loss must stay finite")

    search = Search(tmp_path, outcomes, trials=8)
    search.run()
    assert [row["status"] for row in search.log.rows] == ["completed"] + 7 * ["failed"]
    assert search.log.rows[2]["reason"] == "the loss must stay finite"
    assert search.log.rows[1]["reason"] == "its figures are not finite"
    assert [row["trial"] for row in search.log.ranking()] == ["0"]


@pytest.mark.slow
@pytest.mark.parametrize("tuner", ["random", "bayesian", "hyperband"])
def test_a_search_that_is_killed_goes_on_and_repeats_nothing(tuner, tmp_path):
    first = Search(tmp_path, lambda n, _: Killed() if n == 4 else 0.1, tuner, trials=8)
    with pytest.raises(Killed):
        first.run()
    assert len(first.log.rows) == 3
    second = Search(tmp_path, lambda n, _: 0.2, tuner, trials=8)
    second.run()
    assert second.ran[0] == first.ran[3]
    assert len(second.ran) == 5
    rows = second.log.rows
    assert [row["trial"] for row in rows] == [str(n) for n in range(8)]


def test_a_kill_between_a_trials_end_and_its_last_writing_loses_nothing(tmp_path):
    search = Search(tmp_path, lambda n, _: 0.1, trials=3)
    search.run()
    state = tmp_path / "tuner" / "oracle.json"
    data = json.loads(state.read_text())
    data["ongoing_trials"] = {"tuner0": "2"}  # as it is before the trial is let go
    state.write_text(json.dumps(data))
    lines = (tmp_path / "trials.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "trials.jsonl").write_text("".join(lines[:2]) + lines[2][:40])
    again = Search(tmp_path, lambda n, _: 0.3, trials=3)
    again.run()
    assert again.ran == []
    assert [row["loss"] for row in again.log.rows] == [0.1] * 3


@pytest.mark.slow
def test_a_trial_that_the_list_does_not_know_yet_is_made_again(tmp_path):
    search = Search(tmp_path, lambda n, _: 0.1, trials=3)
    search.run()
    state = tmp_path / "tuner" / "oracle.json"
    data = json.loads(state.read_text())
    data["start_order"] = data["start_order"][:2]
    state.write_text(json.dumps(data))
    (tmp_path / "trials.jsonl").write_text(
        "".join((tmp_path / "trials.jsonl").open().readlines()[:2])
    )
    again = Search(tmp_path, lambda n, _: 0.3, trials=3)
    again.run()
    assert [row["loss"] for row in again.log.rows] == [0.1, 0.1, 0.3]


def spoil(path, content):
    """Replaces a file by `content`, or removes it; a dictionary changes its keys."""
    if content is None:
        path.unlink()
    elif isinstance(content, dict):
        path.write_text(json.dumps(json.loads(path.read_text()) | content))
    else:
        path.write_text(content)


SPOILED = [
    *(("oracle.json", x) for x in (None, "", "[]", "{", "{}", "[" * 10**5)),
    ("oracle.json", {"start_order": 5}),
    ("oracle.json", {"start_order": ["0", "9"]}),
    ("oracle.json", {"start_order": ["0"]}),
    ("oracle.json", {"ongoing_trials": {"tuner0": "9"}}),
    ("oracle.json", {"hyperparameters": 5}),
    ("oracle.json", {"seed_state": "x"}),
    *(("trial_1/trial.json", x) for x in (None, "", "5", "{}")),
    ("trial_1/trial.json", {"score": "x"}),
    ("trial_1/trial.json", {"score": None}),
    ("trial_1/trial.json", {"hyperparameters": {"space": [], "values": {}}}),
    *(("tuner.json", x) for x in (None, "", "{", "[]")),
]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The folder of a search of three trials."""
    folder = tmp_path_factory.mktemp("searched")
    Search(folder, lambda n, _: n / 10, trials=3).run()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("file", "content"), SPOILED)
def test_a_search_whose_state_is_damaged_goes_on_from_its_log(
    searched, file, content, tmp_path, capsys
):
    shutil.copytree(searched, tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "trials.jsonl").read_text().splitlines()
    spoil(tmp_path / "tuner" / file, content)
    again = Search(tmp_path, lambda n, _: 0.9, trials=5)
    again.run()
    assert [trial for trial, _ in again.ran] == ["3", "4"]
    lines = (tmp_path / "trials.jsonl").read_text().splitlines()
    assert lines[:3] == before
    assert [json.loads(line)["trial"] for line in lines] == ["0", "1", "2", "3", "4"]
    widths = {str(row["architecture"]) for row in again.log.rows}
    assert len(widths) == 5  # none is tried twice
    said = capsys.readouterr().err
    assert ("3 trials were restored" in said) is (file != "tuner.json")


@pytest.mark.slow
@pytest.mark.parametrize("tuner", ["bayesian", "hyperband"])
def test_every_method_goes_on_as_if_its_state_was_whole(tuner, tmp_path):
    def killed(number, _):
        return Killed() if number == 6 else number / 10

    folders = tmp_path / "whole", tmp_path / "spoiled"
    for folder in folders:
        folder.mkdir()
        with pytest.raises(Killed):
            Search(folder, killed, tuner, trials=9).run()
    spoil(folders[1] / "tuner" / "oracle.json", "")
    searches = [Search(f, lambda n, _: 0.3, tuner, trials=9) for f in folders]
    for search in searches:
        search.run()
        assert [trial for trial, _ in search.ran] == ["5", "6", "7", "8"]
    if tuner == "hyperband":  # the same trials are promoted to the same epochs
        promoted = [
            [(v["tuner/round"], v["tuner/epochs"], v.get("tuner/trial_id"))
             for _, v in search.ran] for search in searches
        ]  # fmt: skip
        assert promoted[0] == promoted[1]


@pytest.mark.slow
def test_a_trial_between_logged_ones_is_made_again(tmp_path):
    Search(tmp_path, lambda n, _: n / 10, trials=4).run()
    lines = (tmp_path / "trials.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "trials.jsonl").write_text("".join([*lines[:1], *lines[2:]]))
    spoil(tmp_path / "tuner" / "oracle.json", "")
    again = Search(tmp_path, lambda n, _: 0.9, trials=4)
    again.run()
    assert [trial for trial, _ in again.ran] == ["1"]
    assert sorted(row["trial"] for row in again.log.rows) == ["0", "1", "2", "3"]


def test_a_damaged_line_of_the_log_is_written_anew_from_the_state(tmp_path):
    Search(tmp_path, lambda n, _: n / 10, trials=3).run()
    first, second, third = (tmp_path / "trials.jsonl").read_text().splitlines()
    (tmp_path / "trials.jsonl").write_text(f"{first}\n{second[:50]}\n{third}\n")
    again = Search(tmp_path, lambda n, _: 0.9, trials=3)
    again.run()
    assert again.ran == []
    losses = {row["trial"]: row["loss"] for row in again.log.rows}
    assert losses == {"0": 0.1, "1": 0.2, "2": 0.3}


def test_a_log_of_an_older_version_cannot_restore_trials_and_says_so(tmp_path):
    Search(tmp_path, lambda n, _: n / 10, trials=2).run()
    rows = [json.loads(x) for x in (tmp_path / "trials.jsonl").open()]
    for row in rows:
        del row["hyperparameters"]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "trials.jsonl").write_text(text)
    Search(tmp_path, lambda n, _: 0.9, trials=2).run()  # its state is whole
    spoil(tmp_path / "tuner" / "oracle.json", "")
    with pytest.raises(UserError, match=r"trials\.jsonl cannot rebuild it .*another"):
        Search(tmp_path, lambda n, _: 0.9, trials=2).run()
