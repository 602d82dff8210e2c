"""Metadata inside a TFLite file, where MediaPipe Tasks and ML Kit read it."""

from dataclasses import asdict, dataclass
from typing import Self

from googlenet_keras.artifacts.artifact import LABELS_FILE
from googlenet_keras.artifacts.tensors import IMAGE_INPUT
from googlenet_keras.artifacts.tflite_schema import pack, unpack
from googlenet_keras.classifier import Classifier
from googlenet_keras.installation import install_command, is_installed

MEDIAPIPE_MISSING_MESSAGE = (
    "no TFLITE_METADATA, which MediaPipe Tasks and ML Kit need: "
    f"{install_command('mobile')}, and export again"
)
MIN_PARSER_VERSION = "1.0.0"  # the first that reads labels and normalization


@dataclass(frozen=True)
class ModelCard:
    """Name, description, version and license of a network, for an app to show."""

    name: str
    description: str
    version: str
    license: str

    @classmethod
    def of(cls, classifier: Classifier, license: str | None) -> Self:
        """The card of a Classifier; `license` replaces the one in its provenance."""
        origin = classifier.provenance
        data = origin.get("trained_on", "data that it does not name")
        return cls(
            f"GoogLeNet ({classifier.architecture.name})",
            f"{len(classifier.labels)} classes, trained on {data}.",
            str(origin.get("commit") or "unknown"),
            license or str(origin.get("license", origin.get("licence", "not stated"))),
        )


def add_metadata(data: bytes, card: ModelCard, threshold: float | None) -> bytes:
    """Adds metadata to the TFLite file `data` if MediaPipe is installed.

    threshold: MediaPipe leaves out labels with a smaller probability.
    """
    if not is_installed("mediapipe"):  # which brings the metadata's schema
        return data
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(data)
    model.buffers.append(schema.BufferT(data=list(_metadata(card, threshold))))
    entry = schema.MetadataT(name=b"TFLITE_METADATA", buffer=len(model.buffers) - 1)
    model.metadata = [*(model.metadata or []), entry]
    return pack(model)


def _metadata(card: ModelCard, threshold: float | None) -> bytes:
    # mediapipe 1.2's own writer imports a module that its wheel does not have
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    image = schema.TensorMetadataT(
        name=IMAGE_INPUT,
        description="RGB pixels, 0 to 255.",
        content=schema.ContentT(
            schema.ContentProperties.ImageProperties,
            schema.ImagePropertiesT(colorSpace=schema.ColorSpaceType.RGB),
        ),
        processUnits=[  # raw pixels: the network scales them
            schema.ProcessUnitT(
                schema.ProcessUnitOptions.NormalizationOptions,
                schema.NormalizationOptionsT(mean=[0.0], std=[1.0]),
            )
        ],
        stats=schema.StatsT(min=[0.0], max=[255.0]),
    )
    labels = schema.AssociatedFileT(
        name=LABELS_FILE,
        description="A class on each line, in output order.",
        type=schema.AssociatedFileType.TENSOR_AXIS_LABELS,
    )
    probability = schema.TensorMetadataT(
        name="probability",
        description="The probability of each class.",
        content=schema.ContentT(
            schema.ContentProperties.FeatureProperties, schema.FeaturePropertiesT()
        ),
        associatedFiles=[labels],
        stats=schema.StatsT(min=[0.0], max=[1.0]),
    )
    if threshold is not None:
        unit = schema.ProcessUnitT(
            schema.ProcessUnitOptions.ScoreThresholdingOptions,
            schema.ScoreThresholdingOptionsT(globalScoreThreshold=threshold),
        )
        probability.processUnits = [unit]
    graph = schema.SubGraphMetadataT(
        inputTensorMetadata=[image], outputTensorMetadata=[probability]
    )
    model = schema.ModelMetadataT(
        **asdict(card), subgraphMetadata=[graph], minParserVersion=MIN_PARSER_VERSION
    )
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"M001")
    return bytes(builder.Output())
