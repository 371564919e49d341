"""Sphinx extension: links to the repository, Colab and Binder, once the repository's address is known.

`make repository URL=...` makes it known. Until then a book gets no such links, which would lead nowhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

from tools.repository import BRANCH, repository_address


def add_links(app: Sphinx, config: Config) -> None:
    """Give the theme the repository's address and the launch buttons, which it puts on pages with code."""
    address = repository_address(Path(app.srcdir))
    if address is None:
        return
    config.html_theme_options |= {
        "repository_url": address,
        "repository_branch": BRANCH,
        "path_to_docs": "",
        "use_repository_button": True,
        "use_issues_button": True,
        "launch_buttons": {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        },
    }


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("config-inited", add_links)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
