"""Copies the repository's files that a page links to into the site.

The pages link to files outside docs/, such as ../examples/classify.py, which leads to
the file on every host of the repository. The site has no such folder: there the file
is repository/examples/classify.py.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
FOLDER = "repository"
LINK_OUT = re.compile(r"\]\(\.\./([^)#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files outside docs/ that the pages link to."""
    pages = files.documentation_pages()
    names = {x for page in pages for x in LINK_OUT.findall(page.content_string)}
    for name in sorted(names):
        path = str(ROOT / name)
        files.append(File.generated(config, f"{FOLDER}/{name}", abs_src_path=path))
    return files


def on_page_markdown(markdown: str, **context: object) -> str:
    """Leads the links out of docs/ to the copies."""
    return LINK_OUT.sub(rf"]({FOLDER}/\1", markdown)
