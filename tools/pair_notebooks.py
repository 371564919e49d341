"""Write the `.ipynb` beside each chapter of the book, for Colab and Binder.

    python tools/pair_notebooks.py           write what is missing or differs
    python tools/pair_notebooks.py --check   write nothing; status 1 and the names if something differs

The `.md` is the source. `jupytext --sync` would decide by file times, which a git checkout does not keep, and
draws new random cell ids; here the notebook is a pure function of the chapter's text and the repository's
address. Its first code cell installs the library on Colab (tools/colab.py) and is in no chapter; where
JupyterLab saved it into one, it is taken out again.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections import Counter
from pathlib import Path

import jupytext
from nbformat.v4 import new_code_cell

from gad_core.files import replacing
from tools import colab
from tools.repository import repository_address

_COLAB_CELL = re.compile(
    rf"^```\{{code-cell\}}.*\n:tags: \[{', '.join(colab.TAGS)}\]\n(?:.*\n)*?```\n\n?", re.MULTILINE
)
BOOK = Path(__file__).resolve().parents[1] / "book"


def chapters(book: Path) -> list[Path]:
    """MyST chapters with cells: those with a jupytext header."""
    return sorted(path for path in book.rglob("*.md") if path.read_text("utf-8").startswith("---\njupytext:"))


def without_colab_cell(chapter: str) -> str:
    """Take out of a chapter the cell that JupyterLab saved into it from its notebook."""
    return _COLAB_CELL.sub("", chapter)


def notebook_text(chapter: str, address: str | None) -> str:
    """Turn a MyST chapter into the text of its notebook.

    Parameters
    ----------
    chapter : str
        The chapter with its jupytext header.
    address : str or None
        Web address of the repository, from which the notebook installs the library on Colab.

    Returns
    -------
    str
        JSON of the notebook, without outputs. A cell's id is a hash of its content (and its number among
        equal cells), so that an edit changes the ids of the edited cells only.
    """
    notebook = jupytext.reads(chapter, fmt="md:myst")
    first = next((i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"), None)
    if first is not None:
        install = new_code_cell(colab.install_source(address), metadata={"tags": colab.TAGS})
        notebook.cells.insert(first, install)
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        cell["id"] = f"{digest}-{seen[digest]}" if seen[digest] else digest
        seen[digest] += 1
    return jupytext.writes(notebook, fmt="ipynb").rstrip("\n") + "\n"


def unpaired(book: Path, address: str | None) -> dict[Path, str]:
    """Notebooks that are missing or differ from their chapter, and chapters with a notebook's cell.

    Parameters
    ----------
    book : pathlib.Path
        The folder of the chapters.
    address : str or None
        Web address of the repository.

    Returns
    -------
    dict
        The text that each of these files should have.
    """
    wanted = {}
    for path in chapters(book):
        wanted[path] = without_colab_cell(path.read_text("utf-8"))
        wanted[path.with_suffix(".ipynb")] = notebook_text(wanted[path], address)
    return {
        path: text for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text
    }


def orphans(book: Path) -> list[Path]:
    """Notebooks without a chapter."""
    paired = {path.with_suffix(".ipynb") for path in chapters(book)}
    return sorted(
        path
        for path in book.rglob("*.ipynb")
        if path not in paired and ".ipynb_checkpoints" not in path.parts
    )


def main() -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only report what differs")
    check = parser.parse_args().check
    differing = unpaired(BOOK, repository_address(BOOK.parent))
    alone = orphans(BOOK)
    for path in alone:
        print(
            f"{path}: no chapter {path.with_suffix('.md').name} beside it; remove it or write the chapter.",
            file=sys.stderr,
        )
    for path, text in differing.items():
        if check:
            print(f"{path}: chapter and notebook differ; run 'make notebooks'.", file=sys.stderr)
            continue
        with replacing(path) as temporary:
            temporary.write_text(text, "utf-8")
        print(f"wrote {path}")
    return 1 if alone or (check and differing) else 0


if __name__ == "__main__":
    sys.exit(main())
