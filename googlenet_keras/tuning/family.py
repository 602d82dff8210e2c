"""A family of networks: searches for several budgets, in one folder."""

import logging
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from googlenet_keras import machine
from googlenet_keras.console import new_table, print_table
from googlenet_keras.files import write_json
from googlenet_keras.installation import command_line
from googlenet_keras.run_folder import Result
from googlenet_keras.training.flags import resume_options
from googlenet_keras.tuning.config import CHANGEABLE_OPTIONS, SearchConfig
from googlenet_keras.tuning.job import SearchFolder, SearchJob, make_job, resolve_search
from googlenet_keras.tuning.networks import Networks
from googlenet_keras.tuning.outcome import FinishedSearch
from googlenet_keras.tuning.pareto import draw_family
from googlenet_keras.tuning.trainings import retrained_run
from googlenet_keras.tuning.trials import UNIFORM, TrialRow
from googlenet_keras.tuning.verdict import Verdict

log = logging.getLogger(__name__)


class NetworkResult(TypedDict):
    """A network of a budget, trained in its search.

    row: of trials.jsonl. loss, top1: the means of its rounds in the race; without a
    race those of the validation images, as in the row.
    """

    loss: float
    top1: float
    row: TrialRow


class BudgetResult(TypedDict):
    """The outcome of the search for one budget.

    budget: its name, which its folder has. retrained: with --retrain.
    """

    budget: str
    limits: dict[str, float]
    best: NetworkResult
    uniform: NetworkResult
    verdict: Verdict
    measured_milliseconds: float | None
    retrained: Result | None


class FamilyResult(TypedDict):
    """The result.json of a family. seconds, cpu_seconds: of all completed trainings."""

    budgets: list[BudgetResult]
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Family:
    """The searches for several budgets, or for one, whose folder is then this one."""

    config: SearchConfig
    folder: SearchFolder
    jobs: list[SearchJob]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Locks all folders within the block. Raises UserError, as RunFolder.lock."""
        folders = [job.folder for job in self.jobs]
        if len(folders) > 1:
            folders = [self.folder, *folders]
        with ExitStack() as locks:
            for folder in folders:
                locks.enter_context(folder.lock())
            yield

    def save_options(self) -> None:
        """Writes config.json, if it is not that of the only search."""
        if len(self.jobs) > 1:
            self.folder.save_options(self.config)


def prepare_family(config: SearchConfig) -> Family:
    """Opens the data, resolves every option and makes the folders of new searches.

    Raises UserError, before any folder is made if that can be known.
    """
    config, dataset = resolve_search(config)
    folder = SearchFolder(config.run_folder or "")
    searches = config.split()
    jobs = [
        make_job(_own_options(own, name), dataset, name)
        for name, own in searches.items()
    ]
    if len(jobs) > 1 and not config.resume:
        folder.create()
        write_json(folder.environment, machine.environment())
    for job in jobs:
        if not job.config.resume:
            job.create_folder(resume=config.resume)
    return Family(config, folder, jobs)


def _own_options(config: SearchConfig, name: str) -> SearchConfig:
    """The options of a budget's search, which has begun if `config` is resumed.

    Only its family knows --minutes, and divides them. Raises UserError.
    """
    if not name:
        return config
    folder = SearchFolder(Path(config.run_folder or "", name))
    resume = config.resume and folder.is_started
    own = replace(config, run_folder=folder.path, minutes=0.0, resume=resume)
    return resume_options(SearchConfig, own, CHANGEABLE_OPTIONS)


def write_family_result(
    family: Family, finished: Sequence[FinishedSearch]
) -> FamilyResult:
    """Writes result.json and pareto.png of the family, and prints its table."""
    result: FamilyResult = {
        "budgets": [_budget_result(search) for search in finished],
        "seconds": round(sum(x.result["seconds"] for x in finished), 1),
        "cpu_seconds": round(sum(x.result["cpu_seconds"] for x in finished), 1),
    }
    draw_family([search.networks for search in finished], family.folder.pareto)
    write_json(family.folder.result, result)
    _print_family(result)
    for row in result["budgets"]:
        log.info(f"{row['budget']}: {row['verdict']['sentence']}")
    log.info(
        f"everything is in {family.folder}; train and export these networks with\n  "
        f"{command_line('search')} --resume --retrain --run-folder "
        f"{shlex.quote(str(family.folder))}"
    )
    return result


def _budget_result(search: FinishedSearch) -> BudgetResult:
    result, networks = search.result, search.networks
    run = retrained_run(networks.job, networks.best["trial"])
    uniform = networks.trials.find(UNIFORM)
    assert uniform  # which every search trains
    return {
        "budget": networks.job.name,
        "limits": dict(networks.job.budget.limits),
        "best": _network_result(networks, networks.best),
        "uniform": _network_result(networks, uniform),
        "verdict": result["verdict"],
        "measured_milliseconds": result["measured_milliseconds"],
        "retrained": run.read_result() if run.is_finished else None,
    }


def _network_result(networks: Networks, row: TrialRow) -> NetworkResult:
    loss, top1 = row["loss"], row["top1"]["main"]
    for racer in networks.race.racers if networks.race else ():
        if racer.name == row["trial"] and racer.rounds:
            loss, top1 = racer.loss, racer.top1
    return {"loss": loss, "top1": top1, "row": row}


def _print_family(result: FamilyResult) -> None:
    """Prints a line for each budget: what is handed over, beside even width."""
    numbers = ("loss", "uniform", "top-1", "uniform", "MMACs", "parameters", "MB", "ms")
    table = new_table("budget", "network", numbers=(*numbers, "retrained top-1"))
    for line in result["budgets"]:
        best, uniform, row = line["best"], line["uniform"], line["best"]["row"]
        retrained = line["retrained"]
        figures = retrained and (retrained["test"] or retrained["validation"])
        table.add_row(
            *(line["budget"], row["trial"]),
            *(f"{best['loss']:.4f}", f"{uniform['loss']:.4f}"),
            *(f"{best['top1']:.4f}", f"{uniform['top1']:.4f}"),
            *(f"{row['macs'] / 1e6:.1f}", f"{row['parameters']:,}"),
            *(f"{row['megabytes']:.2f}", f"{row['milliseconds']:.2f}"),
            f"{figures['main']['top1']:.4f}" if figures else "-",
        )
    print_table(table)
