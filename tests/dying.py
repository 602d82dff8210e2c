"""Functions that tests call in child processes; they are imported in a moment."""

import os


def die(*_):
    """Stands for a library that crashes."""
    os._exit(3)


def die_once(job, *_):
    """Crashes unless the job's folder has a file of an earlier crash."""
    crashed = job.folder.path / "crashed"
    if not crashed.exists():
        crashed.touch()
        die()
