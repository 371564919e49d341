"""Sphinx extension: links to the repository, Colab and Binder where the repository's address is known.

The address is that of `GAD_REPOSITORY`, or else of the git remote `origin` if it is on GitHub (the only host
that the Colab and Binder buttons know). Without one, a book gets no such buttons.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

_GITHUB = re.compile(r"(?:https://|ssh://git@|git@)github\.com[/:](?P<name>[\w.-]+/[\w.-]+?)(?:\.git)?/?$")


def github_address(remote: str) -> str | None:
    """Web address of a GitHub repository, from any form of its remote's address.

    Parameters
    ----------
    remote : str
        As printed by `git remote get-url origin`.

    Returns
    -------
    str or None
        `https://github.com/owner/name`, None for another host.

    Examples
    --------
    >>> github_address("git@github.com:owner/name.git")
    'https://github.com/owner/name'
    """
    match = _GITHUB.fullmatch(remote.strip())
    return f"https://github.com/{match['name']}" if match else None


def repository_address(root: Path) -> str | None:
    """Find the repository's web address: `GAD_REPOSITORY`, else the remote `origin`."""
    named = os.environ.get("GAD_REPOSITORY")
    if named:
        address = github_address(named)
        if address is None:
            raise ValueError(f"GAD_REPOSITORY={named} is not the address of a GitHub repository.")
        return address
    try:
        git = ["git", "-C", str(root), "remote", "get-url", "origin"]
        answer = subprocess.run(git, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return github_address(answer.stdout) if answer.returncode == 0 else None


def add_links(app: Sphinx, config: Config) -> None:
    """Give the theme the repository's address and the launch buttons."""
    address = repository_address(Path(app.srcdir))
    if address is None:
        return
    config.html_theme_options |= {
        "repository_url": address,
        "repository_branch": os.environ.get("GAD_BRANCH", "main"),
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
