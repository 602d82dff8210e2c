"""Trains GoogLeNet. `python train.py --help` lists the options."""

from functools import partial

from googlenet_keras.commands import train
from googlenet_keras.console import run_script

main = partial(train.main, prog="train.py")

if __name__ == "__main__":
    run_script(main)
