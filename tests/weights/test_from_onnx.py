from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import onnxruntime
import pytest
from making_weights import caffe_shapes, onnx_zoo, random_like

from googlenet_keras.errors import UserError
from googlenet_keras.network import build, layers
from googlenet_keras.weights import from_caffe, from_onnx, pretrained
from googlenet_keras.weights.from_onnx import parse_onnx
from googlenet_keras.weights.pretrained import import_weights
from googlenet_keras.weights.weight_file import transpose_kernel

CLOSE = 1e-4  # float32 sums in another order; each correction undone is far above
BGR_MEAN = np.array([104.0, 117.0, 123.0], np.float32)  # Caffe's


@pytest.fixture(scope="module", params=["floor", "symmetric"])
def rule(request):
    return request.param


@pytest.fixture(scope="module")
def file(rule, tmp_path_factory):
    weights = random_like(caffe_shapes())
    weights["loss3/classifier_w_0"] *= 0.05  # or every answer would be certain
    path = tmp_path_factory.mktemp("zoo") / f"{rule}.onnx"
    return onnx_zoo(path, weights, ceil=rule == "symmetric")


@pytest.fixture(scope="module")
def images():
    """Coloured blotches: noise would be grey by the time that it is averaged."""
    random = np.random.default_rng(1)
    blotches = random.integers(0, 256, (4, 8, 8, 3))
    return blotches.repeat(28, 1).repeat(28, 2).astype("f4")


@pytest.fixture(scope="module")
def wanted(file, images):
    """What ONNX Runtime makes of the file, for BGR less Caffe's mean."""
    bgr = (images[..., ::-1] - BGR_MEAN).transpose(0, 3, 1, 2)
    session = onnxruntime.InferenceSession(str(file))
    found = [session.run(None, {"data_0": one[None]})[0].ravel() for one in bgr]
    return np.stack(found)


def apart(classifier, images, wanted):
    found = classifier.probabilities(images)
    return np.abs(found - wanted).max() / wanted.max()


@pytest.mark.slow
def test_the_same_probabilities(file, images, wanted, rule):
    assert 0.003 < wanted.max() < 0.9  # of 1,000 classes: neither dumb nor certain
    classifier = import_weights("onnx-zoo", file)
    assert apart(classifier, images, wanted) < CLOSE
    assert classifier.architecture.padding == rule
    assert classifier.heads == ("main",)
    assert classifier.labels[0] == "tench"
    assert classifier.labels[-1] == "toilet tissue"


@pytest.mark.slow
def test_another_padding_is_another_network(file, images, wanted, monkeypatch):
    monkeypatch.setattr(
        pretrained,
        "build_network",
        lambda arch, **options: build.build_network(
            replace(arch, padding="same"), **options
        ),
    )
    assert apart(import_weights("onnx-zoo", file), images, wanted) > 10 * CLOSE


@pytest.mark.slow
def test_alpha_that_is_not_divided_by_the_window(file, images, wanted, monkeypatch):
    norm = layers.LocalResponseNormalization
    monkeypatch.setattr(build, "LocalResponseNormalization", partial(norm, alpha=5e-4))
    assert apart(import_weights("onnx-zoo", file), images, wanted) > 10 * CLOSE


@pytest.mark.slow
def test_blue_and_red_exchanged(file, images, wanted, monkeypatch):
    monkeypatch.setattr(from_caffe, "reverse_input_channels", lambda value: value)
    assert apart(import_weights("onnx-zoo", file), images, wanted) > 10 * CLOSE


@pytest.mark.slow
def test_a_kernel_with_its_sides_exchanged(file, images, wanted, monkeypatch):
    monkeypatch.setattr(
        from_caffe,
        "transpose_kernel",
        lambda v: transpose_kernel(v).transpose(1, 0, 2, 3),
    )
    assert apart(import_weights("onnx-zoo", file), images, wanted) > 10 * CLOSE


def small(path, change=lambda model: None):
    """Two pools and a weight, changed."""
    nodes = [
        onnx.helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[3, 3],
                              strides=[2, 2], pads=[0, 0, 2, 2]),
        onnx.helper.make_node("LRN", ["b"], ["c"], size=5, alpha=1e-4),
    ]  # fmt: skip
    weight = onnx.numpy_helper.from_array(np.ones((2, 2), "f4"), "x_w_0")
    graph = onnx.helper.make_graph(nodes, "g", [], [], [weight])
    model = onnx.helper.make_model(graph)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def test_the_rule_of_a_graph(tmp_path):
    contents = parse_onnx(small(tmp_path / "a.onnx"))
    assert contents.padding == "symmetric"
    assert contents.tensors["x_w_0"].tolist() == [[1, 1], [1, 1]]


def pads(model):
    given = {a.name: a for a in model.graph.node[0].attribute}
    given["pads"].ints[:] = [1, 1, 1, 1]


def another_norm(model):
    given = {a.name: a for a in model.graph.node[1].attribute}
    given["alpha"].f = 5e-4


def elsewhere(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")


def another_operator(model):
    model.graph.node[1].op_type = "BatchNormalization"


def padding_by_a_rule(model):
    model.graph.node[0].attribute.add(name="auto_pad", type=3, s=b"SAME_UPPER")


def twice(model):
    model.graph.initializer.append(model.graph.initializer[0])


def bytes_(model):
    model.graph.initializer[0].data_type = onnx.TensorProto.UINT8


def float8(model):
    model.graph.initializer[0].data_type = onnx.TensorProto.FLOAT8E4M3FN


def torn(model):
    model.graph.initializer[0].dims[0] = 2**40


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (pads, "padded at the end only"),
        (another_norm, "must have Caffe's"),
        (elsewhere, "in another file, which is not opened"),
        (bytes_, "must be float32; 'x_w_0' are UINT8"),
        (float8, "must be float32; 'x_w_0' are FLOAT8E4M3FN"),
        (another_operator, "has no operator 'BatchNormalization'"),
        (padding_by_a_rule, "padding must be in numbers; found 'SAME_UPPER'"),
        (twice, "'x_w_0' is there twice"),
        (lambda model: model.graph.node.pop(0), "found none"),
    ],
)
def test_another_graph_is_refused(tmp_path, change, text):
    with pytest.raises(UserError, match=text):
        parse_onnx(small(tmp_path / "a.onnx", change))


def test_numbers_that_do_not_fit_their_shape(tmp_path):
    with pytest.raises(UserError, match=r"numbers of 'x_w_0' are .*cannot reshape"):
        parse_onnx(small(tmp_path / "a.onnx", torn))


def graph_of(count):
    """A graph of so many empty inputs, behind which its length stands."""
    length = b""
    for shift in (0, 7, 14, 21):
        length += bytes([(2 * count >> shift) & 127 | (128 if shift < 21 else 0)])
    return b"\x3a" + length + b"\x5a\x00" * count


def test_many_empty_parts_do_no_harm(tmp_path):
    path = small(tmp_path / "a.onnx")
    path.write_bytes(path.read_bytes() + graph_of(300_000))
    assert parse_onnx(path).padding == "symmetric"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"nothing of the kind", "parsing"),
        (graph_of(2**25 - 2**20) * 2, "memory|alloc|parsing"),  # 50 bytes each
    ],
)
def test_no_onnx_at_all(tmp_path, data, text):
    path = tmp_path / "a.onnx"
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"no valid GoogLeNet in ONNX: .*{text}"):
        from_onnx.read(path)
