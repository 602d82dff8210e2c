"""An exported file with its runtime, its labels and its preprocessing."""
