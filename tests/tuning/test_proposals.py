from dataclasses import replace

import numpy as np
import pytest
from making import two_modules
from tuning_parts import job, trained

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.errors import UserError
from googlenet_keras.files import read_json, write_json
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.tuning.config import SearchConfig
from googlenet_keras.tuning.proposals import (
    Proposals,
    check_proposing_network,
    cut,
    prepare_proposals,
    propose,
)

SCORES = {"a": np.array([1.0, 2, 3]), "b": np.array([0.5, 2.5])}


def test_one_threshold_cuts_all_convolutions():
    assert cut(SCORES, lambda x: sum(x.values()) <= 4) == {"a": 3, "b": 1}
    assert cut(SCORES, lambda x: sum(x.values()) <= 3) == {"a": 2, "b": 1}
    assert cut(SCORES, lambda _: False) == {"a": 1, "b": 1}  # each has a channel


@pytest.mark.parametrize("level", ["coarse", "fine"])
@pytest.mark.parametrize("width", [0.25, 1.0])
def test_proposals_are_in_the_space_and_fill_the_budget(level, width, tmp_path):
    search = job(tmp_path, macs=30e6, level=level)
    space, budget = search.space, search.budget
    found = propose(trained(width), search)
    assert list(found) == ["gammas", "clusters"]
    assert propose(trained(width), search) == found
    assert found["gammas"]["values"] != found["clusters"]["values"]
    for proposal in found.values():
        values = proposal["values"]
        assert all(values[name] in grid for name, grid in space.grids.items())
        assert budget.allows(space.to_architecture(values))
        larger = [space.increment(values, name) for name in space.grids]
        assert not any(x and budget.allows(space.to_architecture(x)) for x in larger)


@pytest.mark.parametrize(("part", "name"), [("worths", "gammas"),
                                            ("distances", "clusters")])  # fmt: skip
def test_what_the_network_needs_is_wide(part, name, tmp_path):
    network, search = trained(), job(tmp_path, macs=30e6)
    network[part] = {
        layer: scores * (100 if layer.startswith("inception_4") else 1)
        for layer, scores in network[part].items()
    }
    values = propose(network, search)[name]["values"]
    others = [values[x] for x in search.space.grids if x != "inception_4"]
    assert values["inception_4"] > 1 > max(others)


def test_what_costs_much_of_the_budget_is_narrow(tmp_path):
    """Late convolutions have many parameters, early ones many multiply-adds."""
    network = trained()
    network["worths"] = {n: np.ones(len(x)) for n, x in network["worths"].items()}
    few_macs, few_parameters = (
        propose(network, job(tmp_path, **limits))["gammas"]["channels"]
        for limits in ({"macs": 30e6}, {"max_parameters": "500k"})
    )
    early, late = "conv2_3x3", "inception_5b_3x3"
    assert few_macs[early] / few_macs[late] < few_parameters[early]
    assert few_macs[early] == few_parameters[late] == 1


def test_a_network_within_the_budget_is_cut_too(tmp_path):
    search = job(tmp_path, macs=30e6)
    costs, base = search.budget.costs, search.space.base
    before = costs.of(base.with_widths(trained(0.25)["widths"]), "macs")
    assert before < 30e6
    for proposal in propose(trained(0.25), search).values():
        after = costs.of(base.with_widths(proposal["channels"]), "macs")
        assert 0.4 * before < after <= 0.5 * before


def test_without_gammas_the_clusters_alone_propose(tmp_path, capsys):
    network = trained() | {"worths": {}}
    assert list(propose(network, job(tmp_path, macs=30e6))) == ["clusters"]
    assert "no gammas of batch normalization" in capsys.readouterr().err


def saved_description(folder, arch):
    """The classifier.json of a saved Classifier, whose weights nobody reads."""
    preprocessing = {"height": 32, "width": 32, "crop_fraction": 1.0}
    content = {"preprocessing": preprocessing, "labels": ["a", "b"], "heads": ["main"]}
    more = {"architecture": arch.to_json(), "provenance": {}}
    folder.mkdir(exist_ok=True)
    write_json(folder / "classifier.json", content | more)
    return folder


def searching(folder, **options):
    training = options.pop("training", TrainConfig())
    return SearchConfig(training, propose_from=folder, max_macs="30M", **options)


def test_the_network_to_ask_has_the_layers_of_the_search(tmp_path):
    other = saved_description(tmp_path / "a", BATCH_NORM.scale_width(0.5))
    check_proposing_network(searching(other, training=TrainConfig(variant="slim")))
    small = saved_description(tmp_path / "b", two_modules())
    with pytest.raises(UserError, match=r"lacks conv2_3x3_reduce, .* and 39 more\. N"):
        check_proposing_network(searching(small))
    more = replace(BATCH_NORM, name="more", rows=(*BATCH_NORM.rows, ROW))
    with pytest.raises(UserError, match=r"has late_1x1, .* and 1 more besides\."):
        check_proposing_network(searching(saved_description(tmp_path / "c", more)))
    with pytest.raises(
        UserError, match=r"a run folder has a config\.json; .* not a fo"
    ):
        check_proposing_network(searching(tmp_path / "none"))


ROW = replace(BATCH_NORM.rows[-1], name="late")


def test_there_is_a_budget_to_cut_a_network_to():
    with pytest.raises(UserError, match="there is no limit"):
        SearchConfig(propose_from="a")


def test_a_resumed_search_asks_nobody_again(tmp_path):
    config = searching(tmp_path / "gone", run_folder=tmp_path, resume=True)
    check_proposing_network(config)
    search = replace(job(tmp_path, macs=30e6), config=config)
    write_json(search.folder.proposals, propose(trained(), search))
    before = search.folder.proposals.read_bytes()
    prepare_proposals([search])
    assert search.folder.proposals.read_bytes() == before


@pytest.mark.slow
def test_a_network_that_cannot_be_read_is_one_message(tmp_path):
    folder = saved_description(tmp_path / "a", two_modules())
    search = job(tmp_path, macs=30e6)
    search = replace(search, config=searching(folder, run_folder=tmp_path))
    with pytest.raises(UserError, match=r"failed: .*weights\.safetensors.* --resume"):
        prepare_proposals([search])
    assert not search.folder.proposals.exists()


def test_each_is_proposed_once(tmp_path):
    search = job(tmp_path, macs=30e6)
    written = propose(trained(), search)
    written["clusters"]["values"] = written["gammas"]["values"]
    write_json(search.folder.proposals, written)
    proposals, tried, names = Proposals(search), [], []
    while values := proposals.next(tried):
        tried.append(values | {"tuner/epochs": 1})
        names.append(proposals.name(tried[-1]))
    assert names == ["uniform", "gammas"]  # the third would train the same again
    other = search.space.scale(tried[0], 0.5)
    assert proposals.name(other) == "tuner"


@pytest.mark.parametrize(
    "values", [{}, {"stem": "x"}, dict.fromkeys(job("a", 30e6).space.grids, 2.0)]
)
def test_damaged_proposals_are_refused(values, tmp_path):
    search = job(tmp_path, macs=30e6)
    proposal = {"channels": {"conv1_7x7_s2": 8}, "values": values}
    write_json(search.folder.proposals, {"gammas": proposal})
    with pytest.raises(UserError, match=r"proposals\.json must have widths of this"):
        Proposals(search)


def test_what_is_written_says_what_was_wanted_and_what_is_tried(tmp_path):
    search = job(tmp_path, macs=30e6)
    write_json(search.folder.proposals, propose(trained(), search))
    for proposal in read_json(search.folder.proposals).values():
        wanted = search.space.base.with_widths(proposal["channels"])
        assert isinstance(wanted, Architecture)
        assert proposal["values"].keys() == search.space.grids.keys()
