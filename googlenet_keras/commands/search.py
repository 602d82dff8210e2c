"""`search`: searches filter widths, alone or with several processes or machines."""

from collections.abc import Sequence

from googlenet_keras.tuning import search, workers
from googlenet_keras.tuning.config import read_search_flags


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Searches the filter widths that suit a budget best."""
    role = workers.role()
    if role == "worker":
        workers.connect_to_chief()
        search.work(read_search_flags(arguments, prog))
        return
    config = read_search_flags(arguments, prog)
    if role == "chief":
        workers.check_chief(config.workers)
    search.search(config)
