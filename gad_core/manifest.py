"""The data files that ship with the package: which there are, their checksums and licences.

``data/manifest.json`` has an entry for each file, by its path below ``data``. A file is checked against its
entry before it is used.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gad_core.errors import InputError
from gad_core.files import sha256

DATA = Path(__file__).parent / "data"
"""Folder of the shipped files."""

_REMEDY = "install gad-core again"


def describe(name: str) -> dict[str, Any]:
    """Give the manifest's entry of a shipped file.

    Parameters
    ----------
    name : str
        Path below the data folder, with forward slashes, such as ``features/efficientnet_b4/bottle.npz``.

    Returns
    -------
    dict
        At least ``sha256``, ``bytes``, ``licence`` and ``source``.

    Raises
    ------
    InputError
        If the manifest is damaged or has no such file.
    """
    files = _entries()
    if name not in files:
        raise InputError(f"gad-core ships no file {name}; it ships: {', '.join(files) or 'none'}")
    entry: dict[str, Any] = files[name]
    return entry


def shipped_names(prefix: str = "") -> list[str]:
    """Names of the shipped files that begin with `prefix`, sorted."""
    return sorted(name for name in _entries() if name.startswith(prefix))


def shipped_file(name: str) -> Path:
    """Path of a shipped file, whose content was compared with the manifest's checksum.

    Parameters
    ----------
    name : str
        As in `describe`.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    InputError
        If the manifest has no such file, or the file is missing or damaged.
    """
    entry, path = describe(name), DATA / name
    if not path.is_file():
        raise InputError(f"the shipped file {path} is missing: {_REMEDY}")
    if sha256(path) != entry["sha256"]:
        raise InputError(f"the shipped file {path} is damaged (its sha256 differs): {_REMEDY}")
    return path


def _entries() -> dict[str, Any]:
    path = DATA / "manifest.json"
    try:
        entries: dict[str, Any] = json.loads(path.read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"the list of shipped files {path} is missing or damaged: {_REMEDY}") from error
    return entries
