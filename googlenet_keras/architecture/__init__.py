"""Describes GoogLeNet as data: rows, variants and costs. Standard library only."""
