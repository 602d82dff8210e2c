"""From hyper-parameters to a phone's file: the same network at every stop."""

import json
import math
import zipfile
from dataclasses import replace

import pytest
from making import classifier, small_run, two_modules, write_photos
from tuning_parts import to_values

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import BATCH_NORM
from googlenet_keras.classifier import Classifier
from googlenet_keras.files import read_json, write_json
from googlenet_keras.network.build import build_network
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.training.trainer import train_network
from googlenet_keras.tuning.budget import Costs
from googlenet_keras.tuning.space import Space

SPACE = Space(two_modules().scale_width(2), "coarse")
VALUES = {"stem": 0.5, "inception_4": 1.5}
SIZE, CLASSES = 32, 10
LABELS = tuple("0123456789")
COSTS = Costs(CLASSES, (SIZE,), label_bytes=len("".join(f"{x}\n" for x in LABELS)))


def counts(arch):
    return (
        arithmetic.macs(arch, classes=CLASSES, image_size=SIZE),
        arithmetic.parameters(arch, classes=CLASSES, image_size=SIZE),
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A network of the space, as a search writes it."""
    folder = tmp_path_factory.mktemp("found")
    arch = SPACE.to_architecture(VALUES)
    write_json(folder / "best_architecture.json", arch.to_json())
    return arch, folder / "best_architecture.json"


@pytest.fixture(scope="module")
def exported(found, tmp_path_factory):
    from googlenet_keras.exports import export

    folder = tmp_path_factory.mktemp("runs") / "found"
    photos = write_photos(folder.with_name("photos"), dict.fromkeys(LABELS, 3))
    train_network(small_run(folder, photos, architecture=found[1]))
    export(folder / "classifier", formats=("android", "ios"), dataset=str(photos))
    return folder


def test_values_and_file_stand_for_the_same_network(found):
    arch, file = found
    read = Architecture.from_json(json.loads(file.read_text()))
    assert read == arch
    assert SPACE.to_architecture(to_values(SPACE, read)) == arch


@pytest.mark.slow
def test_the_trained_network_is_the_one_that_was_found(found, exported):
    arch, _ = found
    trained = Classifier.load(exported)
    assert trained.architecture == arch
    built = build_network(arch, classes=CLASSES, image_size=SIZE, auxiliary=False)
    assert sum(math.prod(x.shape) for x in built.trainable_weights) == counts(arch)[1]
    config = read_json(RunFolder(exported).config)
    assert config["widths"] == arch.widths()


def test_describe_counts_the_same(found, capsys):
    from googlenet_keras.cli import main

    arch, file = found
    sizes = ["--image-size", str(SIZE), "--classes", str(CLASSES), "--json"]
    main(["describe", "--architecture", str(file), *sizes])
    described = json.loads(capsys.readouterr().out)
    assert (described["macs"], described["parameters"]) == counts(arch)
    assert described["rows"][0]["filters"] == {"conv1_7x7_s2": 8}


def test_the_phones_file_has_the_same_layers_and_says_so(found, exported):
    arch, _ = found
    file = exported / "classifier" / "export" / "int8.tflite"
    layers = arithmetic.layers(arch, CLASSES, SIZE, auxiliary=False)
    macs, weights, biases = counted(file.read_bytes())
    assert macs == counts(arch)[0]
    assert weights == sum(layer.weights for layer in layers)
    assert biases == sum(layer.outputs for layer in layers)
    assert carried(file) == arch


def counted(data):
    """Multiply-adds, weights and biases of a TFLite file, from its own graph."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    (graph,) = model.subgraphs
    kinds = {schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.FULLY_CONNECTED}
    macs = weights = biases = 0
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode not in kinds:
            continue
        kernel, bias = (list(graph.tensors[i].shape) for i in operator.inputs[1:3])
        output = list(graph.tensors[operator.outputs[0]].shape)
        size = math.prod(kernel)
        macs += size * math.prod(output) // output[-1]
        weights += size
        biases += math.prod(bias)
    return macs, weights, biases


def carried(file):
    with zipfile.ZipFile(file) as archive:
        description = json.loads(archive.read("classifier.json"))
    return Architecture.from_json(description["architecture"])


@pytest.mark.parametrize(("app", "assets"), [
    ("android", "app/src/main/assets"), ("ios", "Sources/GoogLeNet/Resources"),
])  # fmt: skip
def test_an_app_has_that_file_and_its_self_test(exported, app, assets):
    bundle = exported / "classifier" / "export"
    report = read_json(bundle / "report.json")
    assert list(report["formats"]) == ["int8"]
    assert report["apps"][app]["passed"]
    model = bundle / app / assets / "int8.tflite"
    assert model.read_bytes() == (bundle / model.name).read_bytes()
    assert (
        "int8.tflite" in read_json(model.parent / "selftest" / "selftest.json")["files"]
    )


def megabytes(folder):
    return (folder / "classifier" / "export" / "int8.tflite").stat().st_size / 1e6


def test_the_megabytes_of_the_budget_are_not_less_than_the_files(found, exported):
    assert megabytes(exported) <= COSTS.of(found[0], "megabytes")


@pytest.mark.exhaustive
def test_the_megabytes_of_the_budget_are_nearly_the_files(tmp_path):
    """The files of whole networks; untrained ones are as large as others."""
    from googlenet_keras.exports import export

    made = classifier(BATCH_NORM, classes=CLASSES, size=SIZE, whole=True)
    replace(made, labels=LABELS).save(tmp_path / "classifier")
    photos = write_photos(tmp_path / "photos", dict.fromkeys(LABELS, 3))
    export(tmp_path / "classifier", formats=("int8",), dataset=str(photos))
    exact = megabytes(tmp_path)
    assert exact <= COSTS.of(made.architecture, "megabytes") < exact + 0.006
