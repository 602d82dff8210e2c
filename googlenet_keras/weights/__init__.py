"""Somebody else's weights become a Classifier."""
