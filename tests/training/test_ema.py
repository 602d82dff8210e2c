import keras
import numpy as np
import pytest

from googlenet_keras.training.optimizer import AverageWeights


def line_model(**compile_options):
    """y = w x + b with w = b = 0, trained by plain SGD."""
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse", **compile_options)
    return model


X = np.ones((8, 1), "float32")


class Record(keras.callbacks.Callback):
    """Writes down the kernel after each step and whenever validation begins."""

    def __init__(self):
        super().__init__()
        self.steps, self.validated, self.epochs = [], [], []

    def kernel(self):
        return float(self.model.layers[0].kernel[0, 0])

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.kernel())

    def on_test_begin(self, logs=None):
        self.validated.append(self.kernel())

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(self.kernel())


def test_averages_are_validated_and_training_goes_on_without_them():
    record, model = Record(), line_model()
    averaging = AverageWeights(horizon_steps=100)
    model.fit(X, X, batch_size=4, epochs=3, verbose=0, validation_data=(X, X),
              callbacks=[averaging, record])  # fmt: skip
    plain = line_model()
    plain_record = Record()
    plain.fit(X, X, batch_size=4, epochs=3, verbose=0, callbacks=[plain_record])
    np.testing.assert_array_equal(record.steps, plain_record.steps)
    average, expected = 0.0, []
    for step, value in enumerate(record.steps, start=1):
        average += (value - average) / min(100, (10 + step) / 9)
        expected.append(average)
    np.testing.assert_allclose(record.validated, expected[1::2], rtol=1e-5)
    assert record.epochs[1] == record.steps[1]
    assert record.kernel() == pytest.approx(expected[-1], rel=1e-5)


def test_statistics_of_batch_norm_are_averaged_too():
    from googlenet_keras.network.layers import FusedBatchNormalization

    model = keras.Sequential([keras.Input((2, 2, 1)), FusedBatchNormalization()])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    images = np.full((4, 2, 2, 1), 5, "float32")
    model.fit(images, images, batch_size=4, epochs=2, verbose=0,
              callbacks=[AverageWeights(2.0)])  # fmt: skip
    # live means 0.5, 0.95; rates 9 / 11 and 9 / 12 (both above 1 / 2)
    average = 0.5 * 9 / 11
    average += (0.95 - average) * 9 / 12
    assert float(model.layers[0].moving_mean[0]) == pytest.approx(average, rel=1e-5)
