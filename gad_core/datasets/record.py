"""What `synthesize` wrote into a category's folder, told from all else that may lie there.

A record beside the pictures names each file with its checksum, and what the pictures were drawn from. So only
a folder that is as it was written is ever replaced, and one that is whole need not be drawn again.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gad_core.files import sha256

RECORD = ".gad-synthesize.json"
"""Name of the record; it is hidden, so no data set takes it for an image."""

FORMAT = "gad-core synthetic category 1"
_PACKAGES = ("numpy", "scipy", "pillow")
_DRAWN_BY = ("synthetic", "scenes", "objects", "textures", "blemishes", "drawing")


def drawn_from(request: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a request what else decides the pictures: the code that draws and the packages it uses."""
    return {
        **request,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "code": {name: sha256(Path(__file__).with_name(f"{name}.py")) for name in _DRAWN_BY},
    }


def write_record(folder: Path, source: Mapping[str, Any]) -> None:
    """Write the record of all files in `folder`, which were drawn from `source`."""
    files = {name: sha256(folder / name) for name in sorted(_entries(folder)) if (folder / name).is_file()}
    content = {"format": FORMAT, "drawn_from": source, "files": files}
    (folder / RECORD).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def first_of_others(folder: Path) -> Path | None:
    """Find something in a category's folder that `synthesize` did not write, or not as it is now.

    Parameters
    ----------
    folder : pathlib.Path
        An existing folder, a link to one, or any other file.

    Returns
    -------
    pathlib.Path or None
        `folder` itself if it is no folder or has no record; an added or changed file, an added folder or
        link below it; None if `folder` holds nothing else than what was written.
    """
    record = _record(folder)
    if record is None:
        return folder
    files = record["files"]
    folders = {parent.as_posix() for name in files for parent in Path(name).parents}
    for name in _entries(folder):
        path = folder / name
        if path.is_symlink() or not (name in folders if path.is_dir() else name in files):
            return path
        if path.is_file() and sha256(path) != files[name]:
            return path
    return None


def is_whole(folder: Path, source: Mapping[str, Any]) -> bool:
    """Tell whether a folder is exactly what is drawn from `source`: nothing added, changed or missing."""
    record = _record(folder)
    return (
        record is not None
        and record["drawn_from"] == source
        and first_of_others(folder) is None
        and all((folder / name).is_file() for name in record["files"])
    )


def _record(folder: Path) -> dict[str, Any] | None:
    """Read a folder's record; None if there is none that can be used."""
    path = folder / RECORD
    if folder.is_symlink() or path.is_symlink() or not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        known = record["format"] == FORMAT and "drawn_from" in record and isinstance(record["files"], dict)
    except (ValueError, KeyError, TypeError):
        return None
    return record if known else None


def _entries(folder: Path) -> Iterator[str]:
    """Names of all that lies below a folder but its record, with forward slashes."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name != RECORD:
            yield name
