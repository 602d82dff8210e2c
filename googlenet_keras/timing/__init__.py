"""What `benchmark` runs: speed measured, with its spread and its circumstances."""
