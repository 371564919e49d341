"""Files that are written whole or not at all, their checksums, and archives of arrays."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gad_core.errors import InputError

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}(\.\w+)?")
"""Names of `replacing`'s temporary files."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to `path` if the block ends without an error.

    A reader sees the old file or the new one, never half of it; on an error, an interrupt included, the
    temporary file is removed. Parent folders are made.

    Parameters
    ----------
    path : path-like
        The file to write or replace.

    Raises
    ------
    InputError
        If `path` is a folder, a device or a pipe.

    Yields
    ------
    pathlib.Path
        Where to write. It has the suffix of `path`, because some writers choose the format by it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "note.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "note.txt").read_text()
    'whole'
    """
    path = Path(path).resolve()  # a symbolic link stays, and what it points to is replaced
    if path.exists() and not path.is_file():
        raise InputError(f"cannot write {path}: it is no regular file; give the name of a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files that `replacing` left in a folder when its process was killed.

    Parameters
    ----------
    folder : path-like
        It need not exist. No other process may be writing to it.
    """
    for path in Path(folder).glob(".*"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits.

    Parameters
    ----------
    path : path-like
        The file to read; it is read in pieces, so its size does not matter.

    Returns
    -------
    str
        The digest.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, NDArray]) -> None:
    """Write arrays to a compressed ``.npz``, for ``numpy.load``; the same arrays give the same bytes.

    Parameters
    ----------
    path : path-like
        The file to write.
    arrays : mapping of str to array
        The arrays by name; none may hold Python objects.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, unlike what numpy.savez may write
            member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, 3
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
