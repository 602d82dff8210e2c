"""The measurements of the `benchmark` command."""
