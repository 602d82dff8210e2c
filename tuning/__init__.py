"""Searches filter widths for a budget: python -m tuning.search."""
