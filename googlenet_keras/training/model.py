"""A network with what it is trained by: losses, metrics, optimiser."""

from __future__ import annotations

import keras
import tensorflow as tf

from googlenet_keras.network.build import build
from googlenet_keras.training import losses, optimizer, replicated
from googlenet_keras.training.options import TrainConfig
from googlenet_keras.training.transfer import freeze


def build_and_compile(config: TrainConfig, classes: int, steps: int) -> keras.Model:
    """The network of `config`, its losses and optimiser; steps: in one epoch.

    In the scope of a strategy it is one that its replicas train.
    """
    arch = config.to_architecture()
    network = build(
        arch,
        classes=classes,
        image_size=config.image_size,
        initialization=config.initialization,
        joint=True,
    )
    freeze(network, arch, config.freeze_until)
    updater = optimizer.make_optimizer(config, steps)
    if tf.distribute.has_strategy():
        network = replicated.replicate_model(network)
        updater = replicated.replicate_optimizer(updater)
    loss = {head: losses.SmoothedCrossEntropy(config.label_smoothing)
            for head in network.output}  # fmt: skip
    network.compile(
        optimizer=updater,
        loss=loss,
        loss_weights={h: w for h, w in config.loss_weights().items() if h in loss},
        metrics=losses.head_metrics(network.output, classes),
        jit_compile=config.xla == "on",
    )
    _create_variables(network)
    return network


def _create_variables(network: keras.Model) -> None:
    """Makes what Keras would make in a step's first trace, and then trace it again."""
    if tf.distribute.has_strategy():
        replicated.create_variables(network)
        return
    network.optimizer.build(network.trainable_variables)
    logits = {head: tf.zeros((1, out.shape[1])) for head, out in network.output.items()}
    labels = {head: tf.zeros((1,), tf.int32) for head in logits}
    network.compute_loss(y=labels, y_pred=logits)
    network.compute_metrics(None, labels, logits)
    network.reset_metrics()
