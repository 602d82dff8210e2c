import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.numpy
from making_pytorch import legacy, zipped
from making_weights import caffemodel, slim_checkpoint

COUNT = 1000
SMALL = {
    f"conv{i}{ending}": np.ones(shape, np.float32)
    for i in range(5)
    for ending, shape in {"_w_0": (4, 3, 3, 3), "_b_0": (4,)}.items()
}


def onnx_file(folder):
    nodes = [
        onnx.helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[3, 3],
                              strides=[2, 2], pads=[0, 0, 2, 2]),
        onnx.helper.make_node("LRN", ["b"], ["c"], size=5, alpha=1e-4),
    ]  # fmt: skip
    weights = [onnx.numpy_helper.from_array(v, n) for n, v in SMALL.items()]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], [], weights))
    path = folder / "a.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def safetensors_file(folder):
    safetensors.numpy.save_file(SMALL, folder / "a.safetensors")
    return folder / "a.safetensors"


def slim(version):
    def write(folder):
        tensors = {f"InceptionV1/{name}": value for name, value in SMALL.items()}
        return slim_checkpoint(folder, tensors, version)

    return write


def archive(folder):
    checkpoint = slim_checkpoint(folder, {"InceptionV1/a": np.ones(3, "f4")}, 1)
    path = folder / "a.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as made:
        made.add(checkpoint, checkpoint.name)
    return path


FILES = {
    "zip.pth": ("pytorch", lambda folder: zipped(folder / "a.pth")),
    "legacy.pth": ("pytorch", lambda folder: legacy(folder / "a.pth")),
    "safetensors": ("safetensors", safetensors_file),
    "onnx": ("onnx-zoo", onnx_file),
    "caffemodel": ("caffe", lambda f: caffemodel(f / "a.caffemodel", SMALL)),
    "old caffemodel": (
        "caffe",
        lambda f: caffemodel(f / "a.caffemodel", SMALL, old=True),
    ),
    "one-file checkpoint": ("slim", slim(1)),
    "checkpoint": ("slim", slim(2)),
    "archive": ("slim", archive),
}


OF_TENSORFLOW = ("safetensors", "one-file checkpoint", "checkpoint", "archive")


@pytest.mark.slow
@pytest.mark.parametrize(
    "kinds",  # of which one process imports the readers
    [OF_TENSORFLOW, *((kind,) for kind in FILES if kind not in OF_TENSORFLOW)],
    ids=", ".join,
)
def test_damaged_files_do_no_harm(kinds, tmp_path, torch_names):
    script = Path(__file__).with_name("fuzzing.py")
    command = [sys.executable, script, str(COUNT)]
    for kind in kinds:
        source, write = FILES[kind]
        folder = tmp_path / kind
        folder.mkdir()
        command += [source, write(folder)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count(f"{COUNT} mutations") == len(kinds)
