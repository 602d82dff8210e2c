"""The commands of `python -m googlenet_keras`, one module each."""
