"""Files of weights as others publish them, with the real names and shapes."""

import struct
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import tensorflow as tf
from onnx import numpy_helper

LIGHT = Path(onnx.backend.test.__file__).parent / "data/light/light_inception_v1.onnx"


def random_like(shapes: dict[str, tuple[int, ...]], seed=0) -> dict[str, np.ndarray]:
    """Weights that keep the size of activations, so that each one matters."""
    random = np.random.default_rng(seed)
    made = {}
    for name, shape in shapes.items():
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 100
        made[name] = random.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32)
    return made


def caffe_shapes() -> dict[str, tuple[int, ...]]:
    """Those of the ONNX zoo's Inception v1, by its names, in its axes."""
    graph = onnx.load(LIGHT).graph
    known = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    shapes = {name: value.shape for name, value in known.items()}
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            shapes[node.output[0]] = tuple(map(int, known[node.input[0]]))
    wanted = ("_w_0", "_b_0")
    found = {n: s for n, s in shapes.items() if n.endswith(wanted)}
    return found | {"loss3/classifier_w_0": (1000, 1024)}


def onnx_zoo(path: Path, weights: dict[str, np.ndarray], ceil=False) -> Path:
    """The zoo's own graph with these weights; ceil: with pools as Caffe has them."""
    model = onnx.load(LIGHT)
    graph = model.graph
    made = {n.output[0] for n in graph.node if n.op_type == "ConstantOfShape"}
    nodes = [n for n in graph.node if n.op_type != "ConstantOfShape"]
    kept = [t for t in graph.initializer if t.name not in weights]
    assert weights.keys() <= made | {t.name for t in graph.initializer}
    for node in nodes if ceil else ():
        given = {a.name: a for a in node.attribute}
        if node.op_type == "MaxPool" and list(given["strides"].ints) == [2, 2]:
            given["pads"].ints[:] = [0, 0, 2, 2]
        if node.op_type == "AveragePool":
            given["pads"].ints[:] = [0, 0, 0, 0]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in weights.items()
    )
    onnx.save(model, path)
    return path


def caffemodel(path: Path, weights: dict[str, np.ndarray], old=False) -> Path:
    """A NetParameter written byte by byte; old: as Caffe wrote before 2014."""
    layers = dict.fromkeys(name[:-4] for name in weights)
    message = b""
    for name in layers:
        blobs = [weights[name + "_w_0"], weights[name + "_b_0"]]
        fields = [_bytes(4 if old else 1, name.encode())]
        fields += [_bytes(6 if old else 7, _blob(blob, old)) for blob in blobs]
        message += _bytes(2 if old else 100, b"".join(fields))
    path.write_bytes(_bytes(1, b"GoogleNet") + message)
    return path


def slim_checkpoint(folder: Path, tensors: dict[str, np.ndarray], version: int) -> Path:
    """A checkpoint of `tensors` as TensorFlow 1's Saver writes it."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = {n: tf.compat.v1.Variable(v, name=f"v{i}", use_resource=False)
                     for i, (n, v) in enumerate(tensors.items())}  # fmt: skip
        session.run([v.initializer for v in variables.values()])
        saver = tf.compat.v1.train.Saver(variables, write_version=version)
        path = saver.save(session, str(folder / "inception_v1.ckpt"),
                          write_meta_graph=False, write_state=False)  # fmt: skip
    return Path(path)


def _blob(value: np.ndarray, old: bool) -> bytes:
    data = _bytes(5, value.astype("<f4").tobytes())
    if old:
        shape = (1,) * (4 - value.ndim) + value.shape
        return b"".join(_number(i + 1, side) for i, side in enumerate(shape)) + data
    return _bytes(7, _bytes(1, b"".join(map(_varint, value.shape)))) + data


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    parts = b""
    while value > 127:
        parts += struct.pack("B", value & 127 | 128)
        value >>= 7
    return parts + struct.pack("B", value)
