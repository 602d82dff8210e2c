import gzip
import tarfile

import keras
import numpy as np
import pytest
import safetensors.numpy
from making_weights import slim_checkpoint

from googlenet_keras.errors import UserError
from googlenet_keras.network.build import build_network
from googlenet_keras.network.weights import assign_weights, named_weights
from googlenet_keras.weights import from_slim
from googlenet_keras.weights.from_slim import read
from googlenet_keras.weights.pretrained import import_weights

# Slim's modules as nets/inception_v1.py has them: inputs, then filters by branch
MIXED = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}

BLOCKS = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]  # the paper's names


def kernels():
    """Slim's names and kernel shapes, by what nets/inception_v1.py says."""
    found = {
        "Conv2d_1a_7x7": (7, 7, 3, 64),
        "Conv2d_2b_1x1": (1, 1, 64, 64),
        "Conv2d_2c_3x3": (3, 3, 64, 192),
    }
    for name, (inputs, one, reduce3, three, reduce5, five, proj) in MIXED.items():
        odd = "Conv2d_0a_3x3" if name == "5b" else "Conv2d_0b_3x3"
        for layer, shape in {
            "Branch_0/Conv2d_0a_1x1": (1, 1, inputs, one),
            "Branch_1/Conv2d_0a_1x1": (1, 1, inputs, reduce3),
            "Branch_1/Conv2d_0b_3x3": (3, 3, reduce3, three),
            "Branch_2/Conv2d_0a_1x1": (1, 1, inputs, reduce5),
            f"Branch_2/{odd}": (3, 3, reduce5, five),
            "Branch_3/Conv2d_0b_1x1": (1, 1, inputs, proj),
        }.items():
            found[f"Mixed_{name}/{layer}"] = shape
    return found


@pytest.fixture(scope="module")
def tensors():
    random = np.random.default_rng(0)
    made = {"global_step": np.array(3, np.int64)}
    for name, shape in kernels().items():
        scale = (2 / np.prod(shape[:3])) ** 0.5
        made[f"InceptionV1/{name}/weights"] = random.normal(0, scale, shape)
        made[f"InceptionV1/{name}/weights/RMSProp"] = np.zeros(shape)
        norm = f"InceptionV1/{name}/BatchNorm/"
        made[f"{norm}beta"] = random.normal(0, 0.1, shape[3])
        made[f"{norm}moving_mean"] = random.normal(0, 0.1, shape[3])
        made[f"{norm}moving_variance"] = random.uniform(0.5, 2, shape[3])
    logits = "InceptionV1/Logits/Conv2d_0c_1x1/"
    made[f"{logits}weights"] = random.normal(0, 0.03, (1, 1, 1024, 1001))
    made[f"{logits}biases"] = random.normal(0, 0.1, 1001)
    return {n: v.astype("f4") if v.ndim else v for n, v in made.items()}


@pytest.fixture(
    scope="module",
    params=[pytest.param(1, marks=pytest.mark.exhaustive), 2],
    ids=["one file", "with an index"],
)
def checkpoint(request, tensors, tmp_path_factory):
    return slim_checkpoint(tmp_path_factory.mktemp("slim"), tensors, request.param)


def convolved(x, tensors, name, stride=1):
    """conv, batch norm and ReLU in float64, padded as TensorFlow's SAME."""
    kernel = tensors[f"InceptionV1/{name}/weights"].astype(float)
    size = len(kernel)
    x = same(x, size, stride, 0.0)
    rows = (len(x) - size) // stride + 1
    y = sum(
        x[i : i + rows * stride : stride, j : j + rows * stride : stride] @ kernel[i, j]
        for i in range(size)
        for j in range(size)
    )
    beta, mean, variance = (
        tensors[f"InceptionV1/{name}/BatchNorm/{n}"].astype(float)
        for n in ("beta", "moving_mean", "moving_variance")
    )
    return np.maximum((y - mean) / np.sqrt(variance + 1e-3) + beta, 0)


def pooled(x, stride):
    x = same(x, 3, stride, -np.inf)
    rows = (len(x) - 3) // stride + 1
    windows = [x[i : i + rows * stride : stride, j : j + rows * stride : stride]
               for i in range(3) for j in range(3)]  # fmt: skip
    return np.max(windows, axis=0)


def same(x, size, stride, value):
    total = max((-(-len(x) // stride) - 1) * stride + size - len(x), 0)
    pad = (total // 2, total - total // 2)
    return np.pad(x, (pad, pad, (0, 0)), constant_values=value)


def first_module(tensors, image):
    """Mixed_3b's output by hand for an image in 0..255."""
    x = convolved(image / 127.5 - 1, tensors, "Conv2d_1a_7x7", 2)
    x = convolved(pooled(x, 2), tensors, "Conv2d_2b_1x1")
    x = pooled(convolved(x, tensors, "Conv2d_2c_3x3"), 2)
    m = "Mixed_3b/Branch_"
    middle = convolved(x, tensors, f"{m}1/Conv2d_0a_1x1")
    wide = convolved(x, tensors, f"{m}2/Conv2d_0a_1x1")
    return np.concatenate(
        [
            convolved(x, tensors, f"{m}0/Conv2d_0a_1x1"),
            convolved(middle, tensors, f"{m}1/Conv2d_0b_3x3"),
            convolved(wide, tensors, f"{m}2/Conv2d_0b_3x3"),
            convolved(pooled(x, 1), tensors, f"{m}3/Conv2d_0b_1x1"),
        ],
        axis=-1,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant", ["slim", pytest.param("bn", marks=pytest.mark.exhaustive)]
)
def test_the_first_module_by_hand(checkpoint, tensors, variant):
    made = import_weights("slim", checkpoint, variant=variant)
    small = build_network(made.architecture, image_size=64, auxiliary=False)
    assign_weights(small, named_weights(made.network))
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype("f4")
    module = keras.Model(small.input, small.get_layer("inception_3a").output)
    wanted = first_module(tensors, image.astype(float))
    found = module.predict_on_batch(image[None])[0]
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.slow
def test_the_background_is_left_out(checkpoint, tensors, monkeypatch):
    made = import_weights("slim", checkpoint)
    logits = "InceptionV1/Logits/Conv2d_0c_1x1/"
    found = named_weights(made.network)
    wanted = tensors[f"{logits}weights"][0, 0, :, 1:]
    np.testing.assert_array_equal(found["main/kernel"], wanted)
    np.testing.assert_array_equal(found["main/bias"], tensors[f"{logits}biases"][1:])
    monkeypatch.setattr(from_slim, "CLASSES_WITH_BACKGROUND", 0)
    with pytest.raises(UserError, match="1001 classes and 1000 labels"):
        import_weights("slim", checkpoint)


@pytest.mark.slow
def test_equal_to_the_torchvision_route(checkpoint, tensors, tmp_path):
    """The same weights by torchvision's names: as torchvision itself had them."""
    state = {}
    stem = {
        "Conv2d_1a_7x7": "conv1",
        "Conv2d_2b_1x1": "conv2",
        "Conv2d_2c_3x3": "conv3",
    }
    branches = [
        "branch1",
        "branch2.0",
        "branch2.1",
        "branch3.0",
        "branch3.1",
        "branch4.1",
    ]
    blocks = dict(zip(MIXED, BLOCKS, strict=True))
    for number, name in enumerate(kernels()):
        block = blocks.get(name[6:8])
        role = branches[(number - len(stem)) % 6]
        theirs = stem.get(name) or f"inception{block}.{role}"
        slim = f"InceptionV1/{name}/"
        beta = tensors[f"{slim}BatchNorm/beta"]
        state |= {
            f"{theirs}.conv.weight": tensors[f"{slim}weights"].transpose(3, 2, 0, 1),
            f"{theirs}.bn.weight": np.ones_like(beta),
            f"{theirs}.bn.bias": beta,
            f"{theirs}.bn.running_mean": tensors[f"{slim}BatchNorm/moving_mean"],
            f"{theirs}.bn.running_var": tensors[f"{slim}BatchNorm/moving_variance"],
        }
    logits = "InceptionV1/Logits/Conv2d_0c_1x1/"
    state["fc.weight"] = tensors[f"{logits}weights"][0, 0, :, 1:].T
    state["fc.bias"] = tensors[f"{logits}biases"][1:]
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file(
        {n: np.ascontiguousarray(v) for n, v in state.items()}, path
    )
    wanted = import_weights("torchvision", path)
    found = import_weights("slim", checkpoint, variant="torchvision")
    assert found.architecture == wanted.architecture
    theirs = named_weights(wanted.network)
    for name, value in named_weights(found.network).items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.mark.slow
def test_the_archive_it_comes_in(checkpoint, tensors, tmp_path):
    path = tmp_path / "inception_v1_2016_08_28.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for file in sorted(checkpoint.parent.iterdir()):
            archive.add(file, file.name)
    found = read(path).tensors
    assert found.keys() == {
        n for n in tensors if n.startswith("Inception") and not n.endswith("RMSProp")
    }


def test_a_checkpoint_of_one_file_is_read_as_one_with_an_index(tensors, tmp_path):
    small = {name: tensors[name] for name in list(tensors)[:9]}
    folders = [tmp_path / "one", tmp_path / "several"]
    for folder in folders:
        folder.mkdir()
    one, several = (
        read(slim_checkpoint(folder, small, version)).tensors
        for version, folder in enumerate(folders, start=1)
    )
    assert one.keys() == several.keys()
    assert any(name.endswith("/weights") for name in one)
    for name, value in several.items():
        np.testing.assert_array_equal(one[name], value)


@pytest.mark.parametrize("data", [b"", b"nothing of the kind", bytes(500)])
@pytest.mark.parametrize("name", ["a.tar.gz", "a.ckpt"])
def test_no_checkpoint(tmp_path, data, name):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UserError, match="no valid"):
        read(path)


def test_an_archive_that_unpacks_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(from_slim, "MAX_FILE_BYTES", 10_000)
    (tmp_path / "a.ckpt").write_bytes(bytes(20_000))
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "a.ckpt", "a.ckpt")
    assert path.stat().st_size < 1000
    with pytest.raises(UserError, match="more than 10000 bytes"):
        read(path)


def test_an_archive_that_is_packed_twice_is_refused(tmp_path):
    (tmp_path / "a.ckpt").write_bytes(bytes(20_000))
    inner, path = tmp_path / "inner.tar.xz", tmp_path / "a.tar.gz"
    with tarfile.open(inner, "w:xz") as archive:
        archive.add(tmp_path / "a.ckpt", "a.ckpt")
    path.write_bytes(gzip.compress(inner.read_bytes()))
    with pytest.raises(UserError, match=r"no valid \.tar\.gz"):
        read(path)


def test_a_sparse_file_is_not_unpacked(tmp_path):
    """A file of a terabyte of zeros is some bytes in a tar archive."""
    member = tarfile.TarInfo("inception_v1.ckpt")
    member.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": str(2**40),
        "GNU.sparse.map": f"{2**40},0",
    }
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member)
    with tarfile.open(path) as archive:
        assert archive.getmembers()[0].issparse()
    with pytest.raises(UserError, match=r"no \.ckpt file in it"):
        read(path)


def test_an_archive_without_a_checkpoint(tmp_path):
    (tmp_path / "readme").write_text("nothing")
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "readme", "readme")
    with pytest.raises(UserError, match=r"no \.ckpt file in it"):
        read(path)
