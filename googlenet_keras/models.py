"""One constructor for every variant of GoogLeNet and its pretrained weights.

>>> images, labels = np.zeros((4, 64, 64, 3), "uint8"), np.array([0, 1, 2, 0])
>>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

Without auxiliary heads there is one output, trained on plain labels:

>>> network = build("bn", classes=3, image_size=64, width=0.25, auxiliary=False)
>>> network.compile("adam", loss, metrics=["accuracy"])
>>> _ = network.fit(images, labels, verbose=0)

With them, losses and labels are by head; 0.3 is the paper's loss weight:

>>> network = build("bn", classes=3, image_size=64, width=0.25)
>>> heads = {"main": 1.0, "aux1": 0.3, "aux2": 0.3}
>>> network.compile("adam", dict.fromkeys(heads, loss), loss_weights=heads)
>>> _ = network.fit(images, dict.fromkeys(heads, labels), verbose=0)
"""

from collections.abc import Mapping, Sequence

import keras

from googlenet_keras.architecture.architecture import Architecture
from googlenet_keras.architecture.variants import BATCH_NORM, VARIANTS
from googlenet_keras.classifier import Classifier
from googlenet_keras.errors import UserError, unknown_choice_error
from googlenet_keras.network.build import build_network
from googlenet_keras.training.transfer import copy_weights
from googlenet_keras.weights.pretrained import Source

IMAGENET_CLASSES = 1000
PAPER_IMAGE_SIZE = 224  # pixels
POOLINGS = ("avg", "max")


def build(
    variant: str | Architecture | None = None,
    *,
    weights: Source | None = None,
    classes: int | None = None,
    image_size: int | tuple[int, ...] | None = None,
    auxiliary: bool = True,
    include_top: bool = True,
    pooling: str | None = None,
    width: float = 1.0,
    widths: Mapping[str, int] | None = None,
    initialization: str = "he",
    joint: bool = False,
    portable: bool = False,
) -> keras.Model:
    """GoogLeNet as a functional keras.Model, ready for compile and fit.

    Takes RGB images [batch, height, width, 3] in 0..255, uint8 or float32; pixels are
    scaled inside. Gives {"main": logits, "aux1": logits, "aux2": logits}, each [batch,
    classes] float32, or {"main": logits} without `auxiliary`.

    >>> features = build(include_top=False, pooling="avg")
    >>> features.output_shape
    (None, 1024)

    variant: bn, paper, torchvision, slim or an Architecture; None for that of the
    weights, or bn. weights: what Classifier.from_pretrained takes, such as torchvision,
    caffe, onnx-zoo, slim, a run, a saved classifier or a file. classes: None for those
    of the weights, or 1000. With another number the classification layers start anew,
    as do auxiliary heads that the weights lack or have for another image size.
    image_size: one number or (height, width), from 32; None for that of the weights, or
    224.

    include_top: False for the trunk alone; then `pooling` None gives the last feature
    map [batch, rows, columns, 1024], "avg" and "max" a vector [batch, 1024]. width,
    widths, initialization, joint, portable: see build_network.

    Raises UserError for unknown names, sizes out of range and contradictions, and for
    weights that cannot be loaded or are another network's.
    """
    _check_top(include_top, classes, pooling)
    if weights is not None and (width != 1 or widths):
        raise UserError("weights come with their network; leave out width and widths.")
    classifier = None if weights is None else _load(weights, variant)
    if classifier and not isinstance(variant, Architecture):
        variant = classifier.architecture
    if classes is None:
        classes = len(classifier.labels) if classifier else IMAGENET_CLASSES
    network = build_network(
        variant or BATCH_NORM,
        classes=classes,
        image_size=_image_size(classifier) if image_size is None else image_size,
        auxiliary=auxiliary and include_top,
        width=width,
        widths=widths,
        initialization=initialization,
        joint=joint,
        portable=portable,
    )
    if classifier:
        copy_weights(network, classifier, _labels(classifier, classes))
    return network if include_top else _trunk(network, pooling)


def _check_top(include_top: bool, classes: int | None, pooling: str | None) -> None:
    if not include_top and classes is not None:
        raise UserError(
            "include_top=False leaves out the layers that have classes; received "
            f"classes={classes} too. Leave one of them out."
        )
    if include_top and pooling is not None:
        raise UserError(
            "pooling is what a network without its top ends in; received "
            f"pooling={pooling!r}. Give include_top=False too, or leave it out."
        )
    if pooling not in (None, *POOLINGS):
        raise unknown_choice_error("pooling", str(pooling), POOLINGS)


def _load(weights: Source, variant: str | Architecture | None) -> Classifier:
    name = variant.name if isinstance(variant, Architecture) else variant
    if isinstance(variant, Architecture) and name not in VARIANTS:
        name = None
    return Classifier.from_pretrained(weights, variant=name)


def _image_size(classifier: Classifier | None) -> int | tuple[int, int]:
    if not classifier:
        return PAPER_IMAGE_SIZE
    return classifier.preprocessing.height, classifier.preprocessing.width


def _labels(classifier: Classifier, classes: int) -> Sequence[str]:
    """The classifier's labels, or empty ones for another number of classes."""
    same = classes == len(classifier.labels)
    return classifier.labels if same else [""] * classes


def _trunk(network: keras.Model, pooling: str | None) -> keras.Model:
    pool = network.get_layer("average_pool")
    output = pool.output if pooling == "avg" else pool.input
    if pooling == "max":
        output = keras.layers.GlobalMaxPooling2D(name="max_pool")(output)
    return keras.Model(network.input, output, name=network.name)
