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

Without its top, the network gives features:

>>> features = build(include_top=False, pooling="avg")
>>> features.output_shape
(None, 1024)
"""

from collections.abc import Mapping
from dataclasses import replace

import keras

from googlenet_keras.architecture.ablations import ablate
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
    module: str | None = None,
    head: str | None = None,
    width: float = 1.0,
    widths: Mapping[str, int] | None = None,
    initialization: str = "he",
    joint: bool = False,
    portable: bool = False,
) -> keras.Model:
    """GoogLeNet as a functional keras.Model, ready for compile and fit.

    Takes RGB images [batch, height, width, 3] in 0..255, uint8 or float32. Gives
    {"main": logits, "aux1": logits, "aux2": logits}, each [batch, classes] float32, or
    {"main": logits} without `auxiliary`.

    variant: bn, paper, torchvision, slim or an Architecture; None for that of the
    weights, or bn. weights: what Classifier.from_pretrained takes, such as torchvision,
    caffe, onnx-zoo, slim, a run, a saved classifier or a file. classes: None for those
    of the weights, or 1000. With another number the classification layers are
    initialized, as are heads that the weights lack or have in another form or for
    another image size. image_size: one number or (height, width), from 32; None for
    that of the weights, or 224. include_top: False for the trunk alone; then `pooling`
    None gives the last feature map [batch, rows, columns, 1024], "avg" and "max" a
    vector [batch, 1024].
    module, head: "naive" and "dense" build what the paper argues against; see ablate.
    width, widths, initialization, joint, portable: see build_network. Raises UserError
    for unknown names, sizes out of range, contradictions and weights that do not fit.
    """
    _check_top(include_top, classes, pooling)
    if weights is not None and (width != 1 or widths or module or head):
        raise UserError(
            "weights come with their network; leave out width, widths, module and head."
        )
    start, arch, known, size = _load(weights, variant)
    classes = known if classes is None else classes
    arch = ablate(arch, module=module, head=head)
    if not include_top:
        arch = replace(arch, dense_units=None)  # the top's; the pool gives the last map
    network = build_network(
        arch,
        classes=classes,
        image_size=size if image_size is None else image_size,
        auxiliary=auxiliary and include_top,
        width=width,
        widths=widths,
        initialization=initialization,
        joint=joint,
        portable=portable,
    )
    if start:  # copied without its classifiers if class counts differ
        labels = start.labels if classes == known else [""] * classes
        copy_weights(network, start, labels)
    return network if include_top else _trunk(network, pooling)


def _check_top(include_top: bool, classes: int | None, pooling: str | None) -> None:
    if not include_top and classes is not None:
        raise UserError(f"include_top=False excludes classes={classes}; drop one.")
    if include_top and pooling is not None:
        raise UserError(
            f"pooling={pooling!r} needs include_top=False; give it, or drop pooling."
        )
    if pooling not in (None, *POOLINGS):
        raise unknown_choice_error("pooling", str(pooling), POOLINGS)


def _load(
    weights: Source | None, variant: str | Architecture | None
) -> tuple[Classifier | None, str | Architecture, int, int | tuple[int, int]]:
    """Returns the Classifier, if any, its architecture, classes and image size."""
    if weights is None:
        return None, variant or BATCH_NORM, IMAGENET_CLASSES, PAPER_IMAGE_SIZE
    if isinstance(variant, Architecture):
        name = variant.name if variant.name in VARIANTS else None
        start = Classifier.from_pretrained(weights, variant=name)
    else:
        start = Classifier.from_pretrained(weights, variant=variant)
        variant = start.architecture
    return start, variant, len(start.labels), start.preprocessing.size


def _trunk(network: keras.Model, pooling: str | None) -> keras.Model:
    pool = network.get_layer("average_pool")
    output = pool.output if pooling == "avg" else pool.input
    if pooling == "max":
        output = keras.layers.GlobalMaxPooling2D(name="max_pool")(output)
    return keras.Model(network.input, output, name=network.name)
