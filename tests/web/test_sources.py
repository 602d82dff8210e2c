"""The page's sources; they need npm, but no browser."""

import subprocess

import pytest


@pytest.mark.slow
def test_the_sources_have_the_types_they_say(tools):
    done = subprocess.run(["npm", "run", "check"], cwd=tools, capture_output=True)
    assert done.returncode == 0, done.stdout.decode()
