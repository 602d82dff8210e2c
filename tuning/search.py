"""Searches the filter widths that suit a budget best.

`python -m tuning.search --help` lists the options.
"""

from functools import partial

from googlenet_keras.commands import search
from googlenet_keras.console import run_script

main = partial(search.main, prog="python -m tuning.search")

if __name__ == "__main__":
    run_script(main)
