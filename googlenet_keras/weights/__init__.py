"""Imports published weights as Classifiers."""
