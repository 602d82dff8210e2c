import keras
import numpy as np
import pytest
from making_weights import caffe_shapes, caffemodel, onnx_zoo, random_like

from googlenet_keras.architecture.variants import PAPER
from googlenet_keras.errors import UserError
from googlenet_keras.weights import from_caffe
from googlenet_keras.weights.from_caffe import parse_caffemodel
from googlenet_keras.weights.pretrained import import_weights
from googlenet_keras.weights.weight_file import map_weights

HEADS = {
    f"loss{k}/{name}": shape
    for k, channels in ((1, 512), (2, 528))
    for name, shape in {
        "conv_w_0": (128, channels, 1, 1),
        "conv_b_0": (128,),
        "fc_w_0": (1024, 2048),
        "fc_b_0": (1024,),
        "classifier_w_0": (1000, 1024),
        "classifier_b_0": (1000,),
    }.items()
}


@pytest.fixture(scope="module")
def weights():
    return random_like(caffe_shapes() | HEADS)


@pytest.fixture(
    scope="module",
    params=[False, pytest.param(True, marks=pytest.mark.exhaustive)],
    ids=["new", "old"],
)
def file(request, weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("caffe") / "googlenet.caffemodel"
    return caffemodel(path, weights, old=request.param)


@pytest.fixture(scope="module")
def imported(file):
    return import_weights("caffe", file)


@pytest.mark.slow
def test_the_trunk_is_the_onnx_route_s(imported, weights, tmp_path):
    trunk = {n: value for n, value in weights.items() if not n.startswith(tuple(HEADS))}
    zoo = import_weights("onnx-zoo", onnx_zoo(tmp_path / "a.onnx", trunk, ceil=True))
    assert zoo.architecture == imported.architecture
    wanted = {v.path: np.asarray(v) for v in zoo.network.weights}
    found = {v.path: np.asarray(v) for v in imported.network.weights}
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)


def test_the_old_format_has_the_same_weights(weights, tmp_path):
    """Its shapes have four sides, whatever the tensor is."""
    sources, found = from_caffe.weight_sources(PAPER, ("aux1", "aux2")), []
    for old in (False, True):
        path = caffemodel(tmp_path / f"{old}.caffemodel", weights, old=old)
        tensors = parse_caffemodel(path).tensors
        found.append((tensors["conv2/3x3_b_0"].ndim, map_weights(tensors, sources)))
    (sides, new), (old_sides, old) = found
    assert (sides, old_sides) == (1, 4)
    assert new.keys() == old.keys()
    for name, value in new.items():
        np.testing.assert_array_equal(old[name], value)


def head_by_hand(weights, k, map_):
    """An auxiliary head in float64 on a map [14, 14, channels], as Caffe flattens."""
    w = {n: v.astype(float) for n, v in weights.items() if n.startswith(f"loss{k}/")}
    starts = (0, 3, 6, 9)
    pooled = np.array([[map_[i : i + 5, j : j + 5].mean((0, 1)) for j in starts]
                       for i in starts])  # fmt: skip
    conv = pooled @ w[f"loss{k}/conv_w_0"][:, :, 0, 0].T + w[f"loss{k}/conv_b_0"]
    flat = np.maximum(conv, 0).transpose(2, 0, 1).ravel()  # channel by channel
    hidden = np.maximum(w[f"loss{k}/fc_w_0"] @ flat + w[f"loss{k}/fc_b_0"], 0)
    return w[f"loss{k}/classifier_w_0"] @ hidden + w[f"loss{k}/classifier_b_0"]


def heads_apart(classifier, weights):
    network = classifier.network
    images = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3)).astype("f4")
    maps = {k: network.get_layer(m).output
            for k, m in ((1, "inception_4a"), (2, "inception_4d"))}  # fmt: skip
    outputs = {f"aux{k}": network.output[f"aux{k}"] for k in maps}
    both = keras.Model(network.input, (maps, outputs)).predict_on_batch(images)
    found = []
    for k, map_ in both[0].items():
        wanted = head_by_hand(weights, k, map_[0].astype(float))
        found.append(np.abs(both[1][f"aux{k}"][0] - wanted).max() / np.ptp(wanted))
    return found


@pytest.mark.slow
def test_the_heads_by_hand(imported, weights):
    assert max(heads_apart(imported, weights)) < 1e-5


@pytest.mark.slow
def test_a_map_flattened_in_keras_order(file, weights, monkeypatch):
    monkeypatch.setattr(
        from_caffe,
        "transpose_flattened_dense",
        lambda value, channels: value.reshape(1024, -1).T,
    )
    assert min(heads_apart(import_weights("caffe", file), weights)) > 0.01


def test_what_is_missing_left_over_or_misshapen(weights, tmp_path):
    path = tmp_path / "a.caffemodel"
    changed = dict(weights)
    changed["inception_9z/1x1_w_0"] = changed["inception_9z/1x1_b_0"] = np.ones(3, "f4")
    for ending in ("_w_0", "_b_0"):
        del changed["inception_3a/5x5" + ending]
    changed["conv2/3x3_w_0"] = np.ones(3, "f4")
    with pytest.raises(UserError) as caught:
        import_weights("caffe", caffemodel(path, changed))
    text = str(caught.value)
    assert "missing: inception_3a/5x5_b_0, inception_3a/5x5_w_0" in text
    assert "left over: inception_9z/1x1_b_0, inception_9z/1x1_w_0" in text
    assert "misshapen: conv2/3x3_w_0 is (3,)" in text


def test_weights_that_are_not_finite(weights, tmp_path):
    broken = weights | {"conv2/3x3_b_0": np.full(192, np.nan, "f4")}
    with pytest.raises(UserError, match=r"finite .*; conv2/3x3_b_0 are not"):
        import_weights("caffe", caffemodel(tmp_path / "a.caffemodel", broken))


def test_a_blob_shorter_than_it_says(tmp_path):
    small = {"a_w_0": np.ones(2, "f4"), "a_b_0": np.ones(4, "f4")}
    path = caffemodel(tmp_path / "a.caffemodel", small)
    assert parse_caffemodel(path).tensors["a_b_0"].tolist() == [1, 1, 1, 1]
    whole = path.read_bytes()
    assert whole.count(b"\x3a\x03\x0a\x01\x04") == 1  # the shape of the second blob
    path.write_bytes(whole.replace(b"\x3a\x03\x0a\x01\x04", b"\x3a\x03\x0a\x01\x05"))
    with pytest.raises(UserError, match="the numbers of 'a' are damaged"):
        parse_caffemodel(path)


def test_blobs_that_nobody_would_read(tmp_path):
    small = {"a_w_0": np.ones(2, "f4"), "a_b_0": np.ones(4, "f4")}
    path = caffemodel(tmp_path / "a.caffemodel", small)
    layer = path.read_bytes()
    path.write_bytes(layer * 2)
    with pytest.raises(UserError, match="'a_w_0' is there twice"):
        parse_caffemodel(path)
    path.write_bytes(b"\xa2\x06\x09\x0a\x01a" + b"\x3a\x00" * 3)
    with pytest.raises(UserError, match="'a' has 3 blobs"):
        parse_caffemodel(path)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xff\xff\xff", "(corrupt|parsing)"),
        (b"", "no layer with weights"),
        (b"\xa2\x06\x00" * 2**25, "(memory|alloc|parsing)"),  # empty layers
    ],
)
def test_no_caffemodel(tmp_path, data, text):
    path = tmp_path / "a.caffemodel"
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"no valid \.caffemodel: .*{text}"):
        from_caffe.read(path)
