"""The page's sources; they need npm, but no browser."""

import shutil
import subprocess

import pytest

from googlenet_keras.webpage.builder import NODE_REQUIREMENT, can_build, node_version


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("npm") and can_build(node_version())),
    reason=f"the types of the page's sources need npm and {NODE_REQUIREMENT}",
)
def test_the_sources_have_the_types_they_say(tools):
    done = subprocess.run(["npm", "run", "check"], cwd=tools, capture_output=True)
    assert done.returncode == 0, done.stdout.decode()
