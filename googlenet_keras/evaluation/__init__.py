"""Evaluates a Classifier or an exported file, and writes reports."""
