"""From hyper-parameters to a phone's file: the same network at every stop."""

import json
import math
import zipfile

import pytest
from making import call_main
from tuning_parts import space, to_values

from googlenet_keras.architecture import arithmetic
from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.classifier import Classifier
from googlenet_keras.files import read_json, write_json
from googlenet_keras.network.build import build_network
from googlenet_keras.run_folder import RunFolder
from googlenet_keras.tuning.budget import Costs

VALUES = {"stem": 0.5, "inception_3": 1.0, "inception_4": 1.5, "inception_5": 2.0}
SIZE, CLASSES = 32, 10


def counts(arch):
    return (
        arithmetic.macs(arch, classes=CLASSES, image_size=SIZE),
        arithmetic.parameters(arch, classes=CLASSES, image_size=SIZE),
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A network of the space, as a search writes it."""
    folder = tmp_path_factory.mktemp("found")
    arch = space("coarse", width=0.125).to_architecture(VALUES)
    write_json(folder / "best_architecture.json", arch.to_json())
    return arch, folder / "best_architecture.json"


@pytest.fixture(scope="module")
def exported(found, tmp_path_factory):
    import train
    from googlenet_keras.exports import export

    folder = tmp_path_factory.mktemp("runs") / "found"
    call_main(
        train.main,
        *("--recipe", "smoke", "--width", "1", "--epochs", "1"),
        *("--architecture", str(found[1]), "--run-folder", str(folder)),
    )
    export(folder, formats=("int8",))
    return folder


def test_values_and_file_stand_for_the_same_network(found):
    arch, file = found
    read = Architecture.from_json(json.loads(file.read_text()))
    assert read == arch
    searched = space("coarse", width=0.125)
    assert searched.to_architecture(to_values(searched, read)) == arch


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
    file = exported / "export" / "int8.tflite"
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


def test_the_megabytes_of_the_budget_are_not_less_than_the_files(found, exported):
    arch, _ = found
    digits = "".join(f"{n}\n" for n in range(CLASSES))
    costs = Costs(CLASSES, (SIZE,), label_bytes=len(digits))
    exact = (exported / "export" / "int8.tflite").stat().st_size / 1e6
    assert exact <= costs.of(arch, "megabytes") < exact + 0.006
