"""Converts a saved classifier to a Core ML package, an ML Program."""

import logging
from pathlib import Path
from typing import Any

from googlenet_keras.artifacts.artifact import Contents
from googlenet_keras.artifacts.tensors import IMAGE_INPUT, PROBABILITIES_OUTPUT
from googlenet_keras.exporting.converters import Source, load_source

LABEL_OUTPUT = "classLabel"  # Core ML's own name
CONVERTER_OUTPUT = f"{LABEL_OUTPUT}_probs"  # of the probabilities, in coremltools 9
SYMMETRIC = "linear_symmetric"  # of 8-bit weights: zero is 0


def write_coreml(source: Source, path: Path, *, weight_bits: int = 16) -> None:
    """Writes a package that maps the image `image` to `probabilities`, a dictionary.

    It computes in float16; weight_bits: 16 for float16 weights, 8 for integers with a
    scale for each filter. It runs from iOS 16 and macOS 13 on.
    """
    logging.getLogger("coremltools").setLevel(logging.ERROR)  # untested with this TF
    import coremltools as ct

    classifier, network = load_source(source)
    shape = (1, *network.inputs[0].shape[1:])
    image = ct.ImageType(IMAGE_INPUT, shape, color_layout=ct.colorlayout.RGB)
    model = ct.convert(
        network,
        source="tensorflow",
        convert_to="mlprogram",
        inputs=[image],
        classifier_config=ct.ClassifierConfig([*classifier.labels], LABEL_OUTPUT),
        compute_precision=ct.precision.FLOAT16,
        minimum_deployment_target=ct.target.iOS16,  # the first with 8-bit weights
        skip_model_load=True,  # only macOS could
    )
    if weight_bits == 8:
        model = _quantize_weights(model)
    spec = model.get_spec()
    ct.utils.rename_feature(spec, CONVERTER_OUTPUT, PROBABILITIES_OUTPUT)
    spec.description.metadata.userDefined.update(Contents.of(classifier).to_texts())
    spec.description.metadata.license = source.license or ""
    ct.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True).save(
        str(path)
    )


def _quantize_weights(model: Any) -> Any:
    """The Core ML model with int8 weights, a scale for each filter."""
    from coremltools.optimize import coreml as optimize

    options = optimize.OpLinearQuantizerConfig(mode=SYMMETRIC)
    return optimize.linear_quantize_weights(
        model, optimize.OptimizationConfig(global_config=options)
    )
