"""Builds Keras functional models from Architectures."""
