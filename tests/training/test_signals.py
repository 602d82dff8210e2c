import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from googlenet_keras.errors import InterruptionError
from googlenet_keras.training import signals

ROOT = Path(__file__).parents[2]
TWICE = """
import os, signal, time
from googlenet_keras.training import signals
with signals.graceful_stop() as stop:
    os.kill(os.getpid(), signal.SIGINT)
    assert stop.signal_number == signal.SIGINT
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_is_noticed_and_the_old_handler_comes_back(number, capfd):
    before = signal.getsignal(number)
    with signals.graceful_stop() as stop:
        assert stop.signal_number is None
        os.kill(os.getpid(), number)
        assert stop.signal_number == number
    assert signal.getsignal(number) == before
    assert "writing a checkpoint; again: stop at once" in capfd.readouterr().err


def test_the_second_ends_the_process():
    done = subprocess.run([sys.executable, "-c", TWICE], cwd=ROOT, check=False)
    assert done.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_has_nothing_to_keep_ends_at_once(number):
    before = signal.getsignal(number)
    with (
        pytest.raises(InterruptionError, match="evaluation") as interruption,
        signals.interrupt_on_signal("stopped in the evaluation"),
    ):
        os.kill(os.getpid(), number)
    assert interruption.value.status == 128 + number
    assert signal.getsignal(number) == before


class SignalWhenTraced(keras.layers.Layer):
    armed = False

    def call(self, inputs):
        if self.armed:
            os.kill(os.getpid(), signal.SIGTERM)
        return inputs


def test_a_signal_while_keras_traces_a_layer_is_not_wrapped_in_another_error():
    image, layer = keras.Input((2,)), SignalWhenTraced()
    network = keras.Model(image, layer(image))
    layer.armed = True
    with (
        pytest.raises(InterruptionError, match=r"^stopped in the evaluation$"),
        signals.interrupt_on_signal("stopped in the evaluation"),
    ):
        network.predict_on_batch(np.zeros((1, 2)))
