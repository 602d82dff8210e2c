"""Exports a trained GoogLeNet. `python export.py --help` lists the options."""

from functools import partial

from googlenet_keras.commands import export
from googlenet_keras.console import run_script

main = partial(export.main, prog="export.py")

if __name__ == "__main__":
    run_script(main)
