"""Has the script of the width search: python -m tuning.search."""
