import argparse
from pathlib import Path

import keras
import numpy as np
import pytest
import safetensors.numpy
from making_pytorch import zipped

from googlenet_keras.errors import UserError
from googlenet_keras.weights.catalog import PublishedWeights
from googlenet_keras.weights.from_torchvision import read
from googlenet_keras.weights.pretrained import import_weights
from googlenet_keras.weights.weight_file import zero_pad_kernel

NAMES = Path(__file__).parent / "torchvision_names.txt"  # torchvision 0.29.1's own


def real_shapes():
    """torchvision's 364 names and shapes, each on a line."""
    lines = [line.split() for line in NAMES.read_text().splitlines()]
    return {name: tuple(map(int, sides)) for name, *sides in lines}


@pytest.fixture(scope="module")
def state():
    random = np.random.default_rng(0)
    made = {}
    for name, shape in real_shapes().items():
        if name.endswith("num_batches_tracked"):
            made[name] = np.array(3)
        elif name.endswith((".running_var", ".bn.weight")):
            made[name] = random.uniform(0.5, 2, shape).astype("f4")
        else:
            scale = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.1
            made[name] = random.normal(0, scale, shape).astype("f4")
    return made


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("torchvision") / "googlenet.safetensors"
    safetensors.numpy.save_file(state, path)
    return path


@pytest.fixture(scope="module", params=["torchvision", "bn"])
def made(request, file):
    return import_weights("torchvision", file, variant=request.param)


@pytest.fixture(scope="module")
def images():
    blotches = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3))
    return blotches.repeat(28, 1).repeat(28, 2).astype("f4")


def weight(classifier, name):
    layer, name = name.split("/")
    return np.asarray(getattr(classifier.network.get_layer(layer), name))


@pytest.mark.slow
def test_each_kind_of_layer_turned_as_it_needs(made, state):
    for ours, theirs in (
        ("conv1_7x7_s2", "conv1"),
        ("conv2_3x3_reduce", "conv2"),
        ("inception_3a_1x1", "inception3a.branch1"),
        ("inception_4d_3x3_reduce", "inception4d.branch2.0"),
        ("inception_5b_3x3", "inception5b.branch2.1"),
        ("inception_4c_pool_proj", "inception4c.branch4.1"),
        ("aux2_conv", "aux2.conv"),
    ):
        kernel = weight(made, f"{ours}/kernel")
        assert kernel[0, -1, 2, 1] == state[f"{theirs}.conv.weight"][1, 2, 0, -1]
        assert kernel.shape[2:] == state[f"{theirs}.conv.weight"].shape[1::-1]
        for name, their in (("gamma", "weight"), ("beta", "bias"),
                            ("moving_mean", "running_mean"),
                            ("moving_variance", "running_var")):  # fmt: skip
            found = weight(made, f"{ours}_bn/{name}")
            np.testing.assert_array_equal(found, state[f"{theirs}.bn.{their}"])
    np.testing.assert_array_equal(weight(made, "main/kernel"), state["fc.weight"].T)
    hidden = weight(made, "aux1_fc/kernel")  # [2048, 1024]; y 1, x 2, channel 5
    assert hidden[(1 * 4 + 2) * 128 + 5, 9] == state["aux1.fc1.weight"][9, 5 * 16 + 6]


def test_a_3x3_kernel_in_the_middle_of_a_5x5_one():
    kernel = zero_pad_kernel(np.arange(9.0).reshape(3, 3, 1, 1), 5)[..., 0, 0]
    assert kernel[1:4, 1:4].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert kernel.sum() == 36


@pytest.mark.slow
def test_true_5x5_branches_answer_as_the_3x3_ones(file, images):
    narrow = import_weights("torchvision", file)
    wide = import_weights("torchvision", file, variant="bn")
    assert weight(wide, "inception_3a_5x5/kernel").shape[:2] == (5, 5)
    assert not any("3x3 kernels" in d for d in wide.architecture.differences)
    wanted, found = narrow.logits(images), wide.logits(images)
    assert set(wanted) == {"main", "aux1", "aux2"}
    for head, logits in wanted.items():
        spread = np.ptp(logits, axis=0).max()
        np.testing.assert_allclose(found[head], logits, atol=1e-4 * spread)


@pytest.mark.slow
def test_heads_that_were_never_trained_are_left_out(file, monkeypatch, capsys):
    monkeypatch.setattr(PublishedWeights, "matches", lambda published, path: True)
    assert import_weights("torchvision", file).heads == ("main",)
    assert "auxiliary heads were never trained" in capsys.readouterr().out


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.model."]
)
def test_what_all_names_begin_with_is_taken_off_and_said(
    state, tmp_path, capsys, prefix
):
    path = tmp_path / "a.safetensors"
    made = {prefix + name: value for name, value in state.items()}
    safetensors.numpy.save_file(made | {"n_averaged": np.array(3)}, path)
    tensors = read(path).tensors
    counters = {name for name in state if name.endswith("num_batches_tracked")}
    assert tensors.keys() == state.keys() - counters
    assert f"names all begin with {prefix!r}" in capsys.readouterr().out


def test_names_without_a_prefix_stay_without_a_word(file, state, capsys):
    assert read(file).tensors.keys() <= state.keys()
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_a_checkpoint_of_the_reference_script_is_imported(
    torch_names, state, tmp_path, capsys
):
    def wrap(model):
        args = argparse.Namespace(model="googlenet", lr=0.1, output_dir=tmp_path)
        return {"model": model, "optimizer": {"state": {}}, "epoch": 3, "args": args}

    tensors = {f"module.{name}": value for name, value in state.items()}
    path = zipped(tmp_path / "checkpoint.pth", tensors, wrap=wrap)
    made = import_weights("torchvision", path)
    np.testing.assert_array_equal(weight(made, "main/bias"), state["fc.bias"])
    out = capsys.readouterr().out
    assert f"the tensors are those under 'model' in {path}" in out
    assert "the network is taken to have transform_input" in out


def test_many_missing_names_are_one_sentence(state, tmp_path):
    path = tmp_path / "a.safetensors"
    trunk = [n for n in state if not n.startswith("aux") and "num_batches" not in n]
    safetensors.numpy.save_file(
        {f"layer{i}": state[n] for i, n in enumerate(trunk)}, path
    )
    with pytest.raises(UserError) as caught:
        import_weights("torchvision", path)
    text = str(caught.value)
    assert len(trunk) == 287
    assert "287 missing: conv1.bn.bias, conv1.bn.running_mean, " in text
    assert text.count("and 284 more") == 2
    assert len(text) < 300


@pytest.mark.slow
def test_without_transform_input_pixels_are_normalized_as_imagenets(
    file, state, images
):
    made = import_weights("torchvision", file, transform_input=False)
    conv1 = keras.Model(
        made.network.input, made.network.get_layer("conv1_7x7_s2").output
    )
    found = conv1.predict_on_batch(images)
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # torchvision's
    inputs = np.pad((images / 255 - mean) / deviation, ((0, 0), (3, 3), (3, 3), (0, 0)))
    kernel = state["conv1.conv.weight"].transpose(2, 3, 1, 0)
    for row, column in ((0, 0), (5, 60), (111, 111)):
        window = inputs[:, 2 * row : 2 * row + 7, 2 * column : 2 * column + 7]
        expected = np.einsum("nhwc,hwco->no", window, kernel)
        np.testing.assert_allclose(found[:, row, column], expected, atol=1e-4)
    assert "ImageNet's mean" in made.architecture.differences[-1]


def test_transform_input_is_torchvisions(file):
    with pytest.raises(UserError, match="transform_input is torchvision's; caffe has"):
        import_weights("caffe", file, transform_input=False)
