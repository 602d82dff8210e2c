"""Files of anybody's making: what is wrong is named, none hangs or ends the program."""

import multiprocessing
import os
import time

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from making_artifacts import LABELS, SOFTMAX, Type, onnx_file, operator, tensor, tflite
from PIL import Image

from googlenet_keras.artifacts import isolated
from googlenet_keras.artifacts.artifact import TEXT_FILES, Artifact
from googlenet_keras.artifacts.isolated import IsolatedRuntime
from googlenet_keras.cli import main
from googlenet_keras.errors import UserError

GREEN = np.full((32, 32, 3), [0, 9, 0], np.uint8)


@pytest.fixture
def short_limit(monkeypatch):
    """Two seconds in place of a minute."""
    monkeypatch.setattr(isolated, "MAX_OPENING_SECONDS", 2.0)


@pytest.mark.parametrize("write", [tflite, onnx_file])
def test_a_file_that_keeps_to_the_rules_is_run_in_another_process(tmp_path, write):
    suffix = "tflite" if write is tflite else "onnx"
    before = set(multiprocessing.active_children())  # of other tests' files
    artifact = Artifact.load(write(tmp_path / f"a.{suffix}"))
    assert artifact.labels == LABELS
    (child,) = set(multiprocessing.active_children()) - before
    (label, chance), *_ = artifact.predict(GREEN)[0].top
    assert (label, chance) == ("green", pytest.approx(np.exp(9) / (np.exp(9) + 2)))
    batch = artifact.predict([GREEN, GREEN[..., ::-1], np.roll(GREEN, 1, -1)], top=1)
    assert [found.top[0][0] for found in batch] == ["green", "green", "blue"]
    del artifact
    assert ends(child)


def test_what_is_garbage_is_not_waited_for(tmp_path):
    runtime = IsolatedRuntime(tflite(tmp_path / "a.tflite"), 1, TEXT_FILES)
    (child,) = runtime._call._pool._processes.values()
    work = runtime._call._pool.submit(time.sleep, 2)
    del runtime
    assert not work.done()
    assert ends(child)


def ends(child):
    """Whether a process ends in a while; `join` fails where another thread joins."""
    end = time.monotonic() + 30
    while child.is_alive() and time.monotonic() < end:
        time.sleep(0.05)
    return not child.is_alive()


@pytest.mark.slow
def test_a_daemon_which_may_have_no_children_runs_it_itself(tmp_path, capfd):
    photo = tmp_path / "green.png"
    Image.fromarray(GREEN).save(photo)
    arguments = ["predict", str(tflite(tmp_path / "a.tflite")), str(photo)]
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=main, args=(arguments,), daemon=True)
    process.start()
    process.join()
    assert process.exitcode == 0
    assert "green" in capfd.readouterr().out


def image(shape, type=Type.FLOAT32):
    def change(model):
        model["tensors"][0] = tensor("a", shape, type)
        if type != Type.FLOAT32:  # what computes has another input
            model["tensors"].append(tensor("other", [1, 32, 32, 3]))
            cast = schema.CastOptionsT(inDataType=type, outDataType=Type.FLOAT32)
            model["operators"].insert(0, operator("CAST", [0], [4], cast))
            model["operators"][1] = operator(
                "MEAN", [4, 2], [3], schema.ReducerOptionsT()
            )

    return change


def answer_of_rank_3(model):
    model["operators"][0] = operator("MEAN", [0, 2], [3], schema.ReducerOptionsT(True))
    model["tensors"][3] = tensor("means", [1, 1, 1, 3])
    model["tensors"][1] = tensor("b", [1, 1, 1, 3])


def two_inputs(model):
    model["inputs"]["other"] = 4
    model["tensors"].append(tensor("other", [1, 3]))


def logits(model):
    model["operators"].pop()
    model["outputs"]["probabilities"] = 3


def not_a_number(model):
    model["tensors"][2] = tensor("nan", [1, 3], buffer=2)
    model["tensors"].append(tensor("axes", [2], Type.INT32, 1))
    model["constants"].append(np.full((1, 3), np.nan, np.float32).tobytes())
    model["tensors"].append(tensor("sum", [1, 3]))
    model["operators"] = [
        operator("MEAN", [0, 4], [3], schema.ReducerOptionsT()),
        operator("ADD", [3, 2], [5], schema.AddOptionsT()),
        operator("SOFTMAX", [5], [1], schema.SoftmaxOptionsT(beta=1.0)),
    ]


def rename(ends, name):
    def change(model):
        (index,) = model[ends].values()
        model[ends] = {name: index}

    return change


TAKES = r"takes image, \[batch, height, width, 3\], and gives probabilities"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (image([1, 16, 16, 3]), r"to \(32, 32\) for 3 probabilities of .* \(16, 16\)"),
        (image([1, 32, 32, 1]), rf"{TAKES}.*one has image float32 \[1, 32, 32, 1\]"),
        (image([1, 32, 32, 3], Type.BOOL), rf"{TAKES}.*image bool"),
        (image([1, 32, 32, 3], Type.INT32), rf"{TAKES}.*image int32"),
        (image([1, 32, 32, 3], Type.UINT8), rf"{TAKES}.*image uint8 with scale 0 "),
        (image([2, 32, 32, 3]), "cannot be run: Cannot set tensor: Dimension mismatch"),
        (answer_of_rank_3, rf"{TAKES}.*probabilities float32 \[1, 1, 1, 3\]"),
        (two_inputs, rf"{TAKES}.*other float32 \[1, 3\]"),
        (rename("inputs", "pixels"), rf"{TAKES}.*has pixels float32"),
        (rename("outputs", "logits"), rf"{TAKES}.*logits float32"),
        (lambda model: model["outputs"].clear(), rf"{TAKES}.*one has image float32"),
        (lambda model: model["constants"].clear(), "cannot be run: it is damaged"),
        (lambda m: m["constants"].__setitem__(0, b""), "tensor b'axes' has no data"),
    ],
    ids=["another size", "one channel", "booleans", "integers", "bytes without a scale",
         "a batch of two", "rank 4", "two inputs", "another input", "another output",
         "no output", "no buffer", "no data"],
)  # fmt: skip
def test_a_tflite_file_that_does_not_keep_to_the_rules_is_named(
    tmp_path, change, message
):
    path = tflite(tmp_path / "a.tflite", change)
    with pytest.raises(UserError, match=message) as caught:
        Artifact.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("change", [logits, not_a_number], ids=["logits", "NaN"])
def test_what_is_no_probability_is_refused(tmp_path, change):
    artifact = Artifact.load(tflite(tmp_path / "a.tflite", change))
    with pytest.raises(UserError, match=r"must be \[1, 3\] and in 0\.\.1"):
        artifact.predict(GREEN)


def value(end, type=onnx.TensorProto.FLOAT, shape=None, name=None):
    """Changes what an ONNX graph claims of its input or output."""

    def change(graph):
        (old,) = getattr(graph, end)
        new = onnx.helper.make_tensor_value_info(name or old.name, type, shape)
        old.CopyFrom(new)

    return change


def cast_first(graph):
    value("input", onnx.TensorProto.BOOL, ["n", 32, 32, 3])(graph)
    graph.node[0].input[0] = "number"
    cast = onnx.helper.make_node("Cast", ["image"], ["number"], to=1)
    nodes = [cast, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def no_data(graph):
    graph.initializer.add(name="bias", data_type=1, dims=[3])
    graph.node.insert(1, onnx.helper.make_node("Add", ["means", "bias"], ["sums"]))
    graph.node[2].input[0] = "sums"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (value("input", shape=["n", 16, 16, 3]), r"\(32, 32\) for .* of \(16, 16\)"),
        (value("input", shape=["n", "h", "w", 3]), rf"{TAKES}.*'h', 'w', 3\]"),
        (value("input", shape=["n", 32, 32]), rf"{TAKES}.*image .* \['n', 32, 32\]"),
        (value("input", shape=None), rf"{TAKES}.*image float32 \[\]"),
        (cast_first, rf"{TAKES}.*image tensor\(bool\)"),
        (value("output", shape=["n", 4]), TAKES),
        (value("output", shape=["n", 3], name="means"), rf"{TAKES}.*means float32"),
        (lambda graph: graph.ClearField("output"), rf"{TAKES}.*one has image .*3\]\.$"),
        (no_data, "cannot be run: .*Initializer"),
        (lambda graph: graph.ClearField("node"), "cannot be run: .*invalid model"),
    ],
    ids=["another size", "free sides", "rank 3", "no shape", "booleans", "4 classes",
         "another output", "no output", "no data", "no operators"],
)  # fmt: skip
def test_an_onnx_file_that_does_not_keep_to_the_rules_is_named(
    tmp_path, change, message
):
    path = onnx_file(tmp_path / "a.onnx", change)
    with pytest.raises(UserError, match=message) as caught:
        Artifact.load(path).predict(GREEN)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("write", [tflite, onnx_file])
@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ({"labels": ("a", "b")}, "2 labels .* for 3 probabilities"),
        ({"labels": ()}, "0 labels .* for 3 probabilities"),
        ({"preprocessing": {"height": 32.0, "width": 32, "crop_fraction": 1.0}},
         r"whole numbers from 1, .*received 32\.0, 32, 1\.0"),
        ({"preprocessing": {"height": 32, "width": True, "crop_fraction": 1.0}},
         "whole numbers from 1, .*received 32, True"),
        ({"preprocessing": {"height": 32, "width": 32, "crop_fraction": True}},
         "received 32, 32, True"),
        ({"preprocessing": {"height": 32, "width": 32, "crop_fraction": float("nan")}},
         "received 32, 32, nan"),
        ({"preprocessing": 7}, "they cannot be read"),
        ({"preprocessing": {}}, "no preprocessing"),
    ],
)  # fmt: skip
def test_labels_and_preprocessing_that_are_another_files_are_refused(
    tmp_path, write, inside, message
):
    suffix = "tflite" if write is tflite else "onnx"
    with pytest.raises(UserError, match=message):
        Artifact.load(write(tmp_path / f"a.{suffix}", **inside))


def test_a_byte_order_mark_is_no_part_of_the_first_label(tmp_path):
    labels = ("\ufeffred", *LABELS[1:])
    assert Artifact.load(tflite(tmp_path / "a.tflite", labels=labels)).labels == LABELS


def test_texts_that_unpack_to_gigabytes_are_not_read(tmp_path):
    path = tflite(tmp_path / "a.tflite", labels=("a" * 2**24,))
    assert path.stat().st_size < 2**17
    with pytest.raises(UserError, match="a text has more than 16777216 bytes"):
        Artifact.load(path)


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_pipes_and_huge_files_are_refused_unread(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    os.mkfifo(path)
    with pytest.raises(UserError, match="only regular files are opened"):
        main(["predict", str(path), "photo.jpg"])
    path.unlink()
    path.touch()
    os.truncate(path, 2**40)  # sparse: it takes no room
    with pytest.raises(UserError, match="may have 1,073,741,824 bytes"):
        main(["predict", str(path), "photo.jpg"])


def endless_tflite(model):
    """WHILE true: the means stay as they are."""
    model["tensors"].append(tensor("ended", [1, 3]))
    options = schema.WhileOptionsT(condSubgraphIndex=1, bodySubgraphIndex=2)
    model["operators"] = [
        model["operators"][0],
        operator("WHILE", [3], [4], options),
        operator("SOFTMAX", [4], [1], SOFTMAX[3]),
    ]
    model["constants"].append(np.zeros(1, np.int32).tobytes())
    condition = [
        tensor("x", [1, 3]),
        tensor("zero", [1], Type.INT32, 2),
        tensor("true", [], Type.BOOL),
        tensor("same", [1], Type.BOOL),
    ]
    true = [
        operator("EQUAL", [1, 1], [3], schema.EqualOptionsT()),
        operator("REDUCE_ANY", [3, 1], [2], schema.ReducerOptionsT()),
    ]
    body = [tensor("x", [1, 3]), tensor("y", [1, 3])]
    step = [operator("ADD", [0, 0], [1], schema.AddOptionsT())]
    model["graphs"] = [(condition, true, [0], [2]), (body, step, [0], [1])]


def endless_onnx(graph):
    """Loop without a number of rounds, whose condition stays true."""
    make, boolean = onnx.helper, onnx.TensorProto.BOOL
    body = make.make_graph(
        [
            make.make_node("Identity", ["condition"], ["again"]),
            make.make_node("Identity", ["x"], ["y"]),
        ],
        "body",
        [
            make.make_tensor_value_info("number", onnx.TensorProto.INT64, []),
            make.make_tensor_value_info("condition", boolean, []),
            make.make_tensor_value_info("x", 1, ["n", 3]),
        ],
        [
            make.make_tensor_value_info("again", boolean, []),
            make.make_tensor_value_info("y", 1, ["n", 3]),
        ],
    )
    graph.initializer.append(make.make_tensor("true", boolean, [], [True]))
    loop = make.make_node("Loop", ["", "true", "means"], ["ended"], body=body)
    graph.node.insert(1, loop)
    graph.node[2].input[0] = "ended"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write", "change"),
    [("a.tflite", tflite, endless_tflite), ("a.onnx", onnx_file, endless_onnx)],
)
def test_a_file_that_never_ends_is_ended(tmp_path, short_limit, name, write, change):
    path = write(tmp_path / name, change)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"it takes more memory or time than any"):
        Artifact.load(path)
    assert 2 < time.monotonic() - began < 20


def endless_for_some(graph):
    """The loop ends at once unless an image is green."""
    endless_onnx(graph)
    make = onnx.helper
    graph.node[1].input[1] = "is_green"
    graph.initializer.append(make.make_tensor("five", 1, [], [5.0]))
    graph.node.insert(1, make.make_node("ReduceMax", ["means"], ["most"], keepdims=0))
    graph.node.insert(2, make.make_node("Greater", ["most", "five"], ["is_green"]))


@pytest.mark.slow
def test_a_file_that_never_ends_for_some_images_is_ended(tmp_path, short_limit):
    artifact = Artifact.load(onnx_file(tmp_path / "a.onnx", endless_for_some))
    assert artifact.predict(GREEN // 9, top=1)[0].top[0][0] == "green"
    with pytest.raises(UserError, match=r"it takes more memory or time than any"):
        artifact.predict(GREEN)
    assert artifact.predict(GREEN // 9, top=1)[0].top[0][0] == "green"


def huge_tflite(model):
    """4 x 10**11 bytes."""
    model["constants"].append(np.array([10**6, 10**5], np.int32).tobytes())
    model["constants"].append(np.zeros(1, np.float32).tobytes())
    model["tensors"] += [
        tensor("sides", [2], Type.INT32, 2), tensor("zero", [], buffer=3),
        tensor("huge", [10**6, 10**5]),
    ]  # fmt: skip
    model["operators"].append(operator("FILL", [4, 5], [6], schema.FillOptionsT()))
    model["outputs"]["huge"] = 6


def huge_onnx(graph):
    sides = onnx.helper.make_tensor(
        "sides", onnx.TensorProto.INT64, [2], [10**6, 10**5]
    )
    graph.initializer.append(sides)
    graph.node.add(op_type="ConstantOfShape", input=["sides"], output=["huge"])
    graph.output.append(onnx.helper.make_tensor_value_info("huge", 1, ["a", "b"]))


@pytest.mark.parametrize(
    ("name", "write", "change"),
    [("a.tflite", tflite, huge_tflite), ("a.onnx", onnx_file, huge_onnx)],
)
def test_a_file_that_asks_for_all_memory_gets_an_answer(
    tmp_path, short_limit, name, write, change
):
    path = write(tmp_path / name, change)
    with pytest.raises(UserError, match=rf"{name} cannot be run: "):
        IsolatedRuntime(path, 1, ["labels.txt"])
