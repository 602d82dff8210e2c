"""Converts a saved classifier to a folder with a model in OpenVINO's format."""

from pathlib import Path

from googlenet_keras.artifacts.artifact import Contents
from googlenet_keras.artifacts.openvino_runtime import OPENVINO_FILE, TEXTS_GROUP
from googlenet_keras.artifacts.tensors import IMAGE_INPUT, PROBABILITIES_OUTPUT
from googlenet_keras.exporting.converters import Source, load_source


def write_openvino(source: Source, path: Path) -> None:
    """Writes openvino_model.xml and .bin, which map `image` to `probabilities`.

    float32, a batch of any size, channels last.
    """
    import openvino

    classifier, network = load_source(source)
    shape = [-1, *network.inputs[0].shape[1:]]
    model = openvino.convert_model(network, input=[(IMAGE_INPUT, shape)])
    for ends, name in (
        (model.inputs, IMAGE_INPUT),
        (model.outputs, PROBABILITIES_OUTPUT),
    ):
        (tensor,) = ends
        tensor.get_tensor().set_names({name})
    for name, text in Contents.of(classifier).to_texts().items():
        model.set_rt_info(text, [TEXTS_GROUP, name])
    path.mkdir()
    openvino.save_model(model, path / OPENVINO_FILE, compress_to_fp16=False)
