"""Class activation maps (arXiv 1512.04150): where in an image a network sees a class.

GoogLeNet ends in average pooling and one dense layer, so that the maps are exact: the
mean of a class's map is its logit.
"""

import keras

ACTIVATION_MAP = "activation_map"  # name of the layer and of the output


def add_activation_map(network: keras.Model) -> keras.Model:
    """A copy of `network`, with the same layers, that also outputs "activation_map".

    [batch, rows, columns, classes] float32: what each place adds to the class's logit,
    times the number of places. Its weights are a copy of the main classifier's.
    """
    pooling, main = network.get_layer("average_pool"), network.get_layer("main")
    kernel, bias = main.get_weights()
    conv = keras.layers.Conv2D(main.units, 1, name=ACTIVATION_MAP, dtype="float32")
    maps = conv(pooling.input)
    conv.set_weights([kernel[None, None], bias])
    return keras.Model(network.input, {**network.output, ACTIVATION_MAP: maps})
