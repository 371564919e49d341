"""The repository's web address: one place holds it, and one command writes it wherever it is needed.

    python tools/repository.py https://github.com/owner/name        (make repository URL=...)

The place is `[project.urls]` in pyproject.toml. CITATION.cff, README.md and the notebooks (written by
tools/pair_notebooks.py) hold copies; the book's launch buttons are made from pyproject.toml. As long as no
address is known, none of them has a link or a button, so none of them is broken.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

from gad_core.files import replacing

ROOT = Path(__file__).resolve().parents[1]
BRANCH = "main"
FIRST_NOTEBOOK = "book/01_method.ipynb"

_GITHUB = re.compile(r"(?:https://|ssh://git@|git@)github\.com[/:](?P<name>[\w.-]+/[\w.-]+?)(?:\.git)?/?")

# For each file the line below which the address stands, and the line that holds it. What such a line begins
# with, up to the first brace, tells whether it is there.
_TESTS = "{address}/actions/workflows/test.yml"
_COLAB = f"https://colab.research.google.com/github/{{name}}/blob/{BRANCH}/{FIRST_NOTEBOOK}"
_BINDER = f"https://mybinder.org/v2/gh/{{name}}/{BRANCH}?urlpath=lab/tree/{FIRST_NOTEBOOK}"
COPIES = {
    "pyproject.toml": ("[project.urls]", 'Repository = "{address}"'),
    "CITATION.cff": ("title: gad-core", 'repository-code: "{address}"'),
    "README.md": (
        "<!-- The next line is written by make repository. -->",
        f"[![Tests]({_TESTS}/badge.svg)]({_TESTS}) Run the chapters with nothing installed: "
        f"[in Colab]({_COLAB}) or [on Binder]({_BINDER}).",
    ),
}


def github_address(text: str) -> str | None:
    """Web address of a GitHub repository, from any form in which git takes it.

    Parameters
    ----------
    text : str
        Such as `git remote get-url origin` prints it.

    Returns
    -------
    str or None
        `https://github.com/owner/name`, None for another host: Colab and Pages know GitHub only.

    Examples
    --------
    >>> github_address("git@github.com:owner/name.git")
    'https://github.com/owner/name'
    """
    match = _GITHUB.fullmatch(text.strip())
    return f"https://github.com/{match['name']}" if match else None


def repository_address(root: Path) -> str | None:
    """Address of the repository as pyproject.toml tells it, None while it is not known."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    address: str | None = project.get("urls", {}).get("Repository")
    return address


def with_address(file: str, text: str, address: str | None) -> str:
    """Put the address into the text of a file, or take it out.

    Parameters
    ----------
    file : str
        One of `COPIES`.
    text : str
        Its content.
    address : str or None
        `https://github.com/owner/name`; None leaves the text without an address.

    Returns
    -------
    str
        The content with this address and no other.

    Raises
    ------
    ValueError
        If the line below which the address stands is not there exactly once.
    """
    anchor, line = COPIES[file]
    beginning = re.escape(line.partition("{")[0])
    new = ""
    if address is not None:
        new = line.format(address=address, name=address.removeprefix("https://github.com/")) + "\n"
    pattern = rf"^({re.escape(anchor)}\n)(?:{beginning}.*\n)?"
    changed, count = re.subn(pattern, lambda match: match[1] + new, text, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{file}: the line {anchor!r} must be there once; it is there {count} times.")
    return changed


def main() -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="such as https://github.com/owner/name")
    url = parser.parse_args().url
    address = github_address(url)
    if address is None:
        print(
            f'"{url}" is not the address of a GitHub repository: make repository URL=https://github.com/owner/name',
            file=sys.stderr,
        )
        return 2
    texts = {name: with_address(name, (ROOT / name).read_text("utf-8"), address) for name in COPIES}
    for name, text in texts.items():
        with replacing(ROOT / name) as temporary:
            temporary.write_text(text, "utf-8")
    print(f"The repository's address is {address} now, in {', '.join(COPIES)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
