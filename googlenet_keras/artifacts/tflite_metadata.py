"""Labels and metadata inside a TFLite file, where MediaPipe and ML Kit want them."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from dataclasses import dataclass

from googlenet_keras.artifacts.artifact import LABELS, texts
from googlenet_keras.classifier import Classifier

WITHOUT_MEDIAPIPE = (
    "no TFLITE_METADATA, which MediaPipe Tasks and ML Kit need: "
    "pip install -r requirements-mobile.txt and export again"
)
PARSER = "1.0.0"  # the first that knows labels and normalisation


@dataclass(frozen=True)
class Card:
    """What an app shows about the network. licence: as its maker states it."""

    name: str
    description: str
    version: str
    licence: str


def card(classifier: Classifier, licence: str | None) -> Card:
    """The Card of a Classifier, from where it came from; licence: the user's word."""
    origin = classifier.provenance
    data = origin.get("trained_on", "data that it does not name")
    return Card(
        f"GoogLeNet ({classifier.architecture.name})",
        f"{len(classifier.labels)} classes, trained on {data}.",
        str(origin.get("commit") or "unknown"),
        licence or str(origin.get("licence", "not stated")),
    )


def has_writer() -> bool:
    """Whether MediaPipe, which brings the metadata's schema, is installed."""
    return importlib.util.find_spec("mediapipe") is not None


def with_metadata(data: bytes, classifier: Classifier, shown: Card) -> bytes:
    """The TFLite file `data` with labels, preprocessing and, if it can, metadata.

    They are a ZIP archive behind the model, as MediaPipe's own writer puts them;
    interpreters read past it.
    """
    if has_writer():
        data = _with_buffer(data, b"TFLITE_METADATA", _metadata(shown))
    return with_texts(data, classifier)


def with_texts(data: bytes, classifier: Classifier) -> bytes:
    """The TFLite file `data` with labels and preprocessing alone."""
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive:
        for name, text in texts(classifier).items():
            archive.writestr(name, text)
    return file.getvalue()


def _metadata(shown: Card) -> bytes:
    # mediapipe 1.2's own writer imports a module that its wheel does not have
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    graph = schema.SubGraphMetadataT()
    graph.inputTensorMetadata = [_input()]
    graph.outputTensorMetadata = [_output()]
    model = schema.ModelMetadataT()
    model.name, model.description = shown.name, shown.description
    model.version, model.license = shown.version, shown.licence
    model.subgraphMetadata = [graph]
    model.minParserVersion = PARSER
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"M001")
    return bytes(builder.Output())


def _input():
    """Raw pixels: every artifact scales them itself, so the mean is 0 and the std 1."""
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    image = schema.ImagePropertiesT()
    image.colorSpace = schema.ColorSpaceType.RGB
    content = schema.ContentT()
    content.contentPropertiesType = schema.ContentProperties.ImageProperties
    content.contentProperties = image
    normalization = schema.NormalizationOptionsT()
    normalization.mean, normalization.std = [0.0], [1.0]
    unit = schema.ProcessUnitT()
    unit.optionsType = schema.ProcessUnitOptions.NormalizationOptions
    unit.options = normalization
    tensor = schema.TensorMetadataT()
    tensor.name, tensor.description = "image", "RGB pixels, 0 to 255."
    tensor.content, tensor.processUnits = content, [unit]
    tensor.stats = _stats(0.0, 255.0)
    return tensor


def _output():
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    content = schema.ContentT()
    content.contentPropertiesType = schema.ContentProperties.FeatureProperties
    content.contentProperties = schema.FeaturePropertiesT()
    labels = schema.AssociatedFileT()
    labels.name, labels.description = LABELS, "A class on each line, in output order."
    labels.type = schema.AssociatedFileType.TENSOR_AXIS_LABELS
    tensor = schema.TensorMetadataT()
    tensor.name, tensor.description = "probability", "The probability of each class."
    tensor.content, tensor.associatedFiles = content, [labels]
    tensor.stats = _stats(0.0, 1.0)
    return tensor


def _stats(low: float, high: float):
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    stats = schema.StatsT()
    stats.min, stats.max = [low], [high]
    return stats


def _with_buffer(data: bytes, name: bytes, content: bytes) -> bytes:
    """The TFLite file with one more metadata buffer of that name."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    buffer = schema.BufferT()
    buffer.data = list(content)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
