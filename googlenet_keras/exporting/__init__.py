"""Exports a Classifier to files that phones and other programs run."""
