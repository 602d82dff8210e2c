"""Filter widths for a budget: python -m tuning.search."""
