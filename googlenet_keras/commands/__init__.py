"""The commands of `googlenet-keras`, one module each."""
