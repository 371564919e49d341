"""Sphinx extension: execute the chapters again when the library, its data or the lock changed.

The execution cache of jupyter-book knows a chapter by its cells alone, so it keeps stale outputs when the
library changes. Here the cache has one folder for each state of what the chapters depend on.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config


def dependency_key(root: Path) -> str:
    """Name the state of all that decides a chapter's outputs, apart from its cells.

    Parameters
    ----------
    root : pathlib.Path
        The repository.

    Returns
    -------
    str
        16 hexadecimal digits from the content of `gad_core` (code and data), of `requirements.lock`, the
        version of Python and the folder of local images, `GAD_DATA`.
    """
    files = [
        path for path in (root / "gad_core").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    digest = hashlib.sha256(f"{platform.python_version()}\n{os.environ.get('GAD_DATA', '')}\n".encode())
    for path in sorted([*files, root / "requirements.lock"]):
        digest.update(path.relative_to(root).as_posix().encode() + b"\n")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def choose_cache(app: Sphinx, config: Config) -> None:
    """Point the execution cache at this state's folder and remove those of other states."""
    key = dependency_key(Path(app.srcdir))
    caches = Path(app.outdir).parent / ".jupyter_cache"
    for other in caches.glob("*"):
        if other.name != key:
            shutil.rmtree(other) if other.is_dir() else other.unlink()
    config.nb_execution_cache_path = str(caches / key)
    config.gad_dependency_key = key


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    # "env": Sphinx reads every page again when the value differs from that of the last build.
    app.add_config_value("gad_dependency_key", "", "env", str)
    app.connect("config-inited", choose_cache)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
