"""Runs the command line of `googlenet_keras.cli`."""

from googlenet_keras.cli import console

if __name__ == "__main__":
    console()
