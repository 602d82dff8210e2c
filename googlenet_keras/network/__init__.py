"""An Architecture becomes a Keras functional model."""
