"""Measures a Classifier or an exported file, and reports about it."""
