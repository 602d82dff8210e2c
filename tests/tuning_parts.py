"""What the tests of the search share: a model of latency, spaces and budgets."""

from googlenet_keras.architecture.variants import BATCH_NORM
from tuning.budget import Budget, Costs
from tuning.latency import WORK, LatencyModel
from tuning.space import Space

PER = {"network": 0.05, "pointwise_macs": 7e-9, "spatial_macs": 5e-9}


def model(classes=10, size=32):
    costs = tuple(PER.get(name, 0.0) for name in WORK)
    return LatencyModel(classes, (size,), costs, 0.01)


def budget(size=96, classes=10, **limits):
    return Budget(limits, Costs(classes, (size,), model(classes, size)))


def space(level="coarse", tune=(), width=0.5):
    return Space(BATCH_NORM.scale_width(width), level, tune)
