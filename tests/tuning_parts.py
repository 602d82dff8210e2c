"""What the tests of the search share: a latency model, spaces, budgets, jobs, races."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.channels import convolutions
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.tuning.budget import Budget, Costs
from googlenet_keras.tuning.config import SearchConfig
from googlenet_keras.tuning.finalists import choose_finalists
from googlenet_keras.tuning.image_results import ImageResults
from googlenet_keras.tuning.job import SearchFolder, SearchJob
from googlenet_keras.tuning.latency import WORK_KINDS, LatencyModel
from googlenet_keras.tuning.race import Race
from googlenet_keras.tuning.space import Space, round_width
from googlenet_keras.tuning.trials import TrialLog

IMAGES = 200
FIGURES = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_megabytes": None}
MILLISECONDS_PER = {"network": 0.05, "pointwise_macs": 7e-9, "spatial_macs": 5e-9}


def model(classes=10, size=32):
    costs = {kind: MILLISECONDS_PER.get(kind, 0.0) for kind in WORK_KINDS}
    return LatencyModel(classes, (size,), costs, 0.01)


def budget(size=96, classes=10, **limits):
    return Budget(limits, Costs(classes, (size,), model(classes, size)))


def space(level="coarse", tune=(), width=0.5):
    return Space(BATCH_NORM.scale_width(width), level, tune)


@contextmanager
def this_process(log):
    """Calls functions here, as a child process would."""
    yield lambda function, *arguments: function(*arguments)


def to_values(searched, arch):
    """The hyperparameters of `arch`; the smallest if several give its widths."""
    base, widths = searched.base.widths(), arch.widths()

    def fits(layer, value):
        fine = searched.level == "fine"
        return widths[layer] == (value if fine else round_width(base[layer] * value))

    values = {
        name: next(x for x in grid if all(fits(y, x) for y in searched.layers[name]))
        for name, grid in searched.grids.items()
    }
    heads = {2: "both", 0: "none"}.get(len(arch.heads)) or arch.heads[0].name
    all_of = {"dropout": arch.dropout, "variant": arch.name, "heads": heads}
    return values | {name: x for name, x in all_of.items() if name in searched.tune}


def job(folder, macs=None, **options):
    """A search of 64 pixels in `folder`, ready for its first trial."""
    config = SearchConfig(TrainConfig(image_size=(64,)), run_folder=folder, **options)
    limits = config.limits() | ({"macs": macs} if macs else {})
    allowed = replace(budget(size=64), limits=limits)
    base = allowed.largest_uniform(BATCH_NORM)
    return SearchJob(config, SearchFolder(folder), Space(base, config.level), allowed)


def trained(width=1.0):
    """A trained network whose channels have random worths and distances."""
    arch, random = BATCH_NORM.scale_width(width), np.random.default_rng(0)
    counts = {name: arch.widths()[name] for name in convolutions(arch)}
    return {
        "widths": arch.widths(),
        "worths": {name: random.random(n) / n for name, n in counts.items()},
        "distances": {name: random.random(n - 1) for name, n in counts.items()},
    }


def figures(loss=0.5, top1=0.8, images=IMAGES):
    top1 = dict.fromkeys(("main", "aux1", "aux2"), top1)
    return FIGURES | {"loss": loss, "top1": top1, "images": images, "epochs": 2}


class Planted:
    """A search of three trials, whose race is run with planted losses.

    gains: how much lower than even width's a network's losses are in the mean.
    """

    def __init__(self, folder, **gains):
        folder.mkdir(exist_ok=True)
        self.job = job(folder, macs=30e6, epochs=2, rounds=4)
        self.log, self.gains, self.trained = TrialLog(self.job), gains, []
        if self.log.rows:
            return
        self.log.add("uniform", "baseline", self.job.space.base, **figures())
        for number, width in enumerate((0.3, 0.25, 0.2)):
            arch = BATCH_NORM.scale_width(width)
            found = figures(loss=0.3 + number / 10)
            self.log.add(str(number), "completed", arch, **found)

    def race(self, outcome=None):
        race = Race(self.job, self.log, choose_finalists(self.job, self.log))
        race.train = self._train
        self.outcome = outcome or (lambda name: None)
        return race

    def run(self, outcome=None):
        race = self.race(outcome)
        race.run()
        return race

    def _train(self, name, arch, factor, number):
        self.trained.append(name)
        if error := self.outcome(name):
            raise error
        trial = name.split("-")[0]
        assert arch == Architecture.from_json(self.log.find(trial)["architecture"])
        of_images = np.random.default_rng(number).uniform(1, 3, IMAGES)
        random = np.random.default_rng([number, *name.encode()])
        seed, noise = random.normal(0, 0.01), random.normal(0, 0.05, IMAGES)
        loss = of_images + seed + noise - self.gains.get(f"trial_{trial}", 0)
        result = ImageResults(loss.astype(np.float32), loss < 2.5, f"fold {number}")
        path = self.job.folder.image_results(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        result.save(path)
        return figures(float(result.loss.mean()), float(result.correct.mean()))
