"""What every large write shares: free space, one-line errors and a bar that counts bytes."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tqdm import tqdm

from gad_core.errors import InputError

# A quota that is used up is a full disk to its owner; Windows has no such error number.
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def readable(size: int) -> str:
    """Write a number of bytes for people, in decimal units as disks are sold.

    Parameters
    ----------
    size : int
        Bytes.

    Returns
    -------
    str
        The number with its unit.

    Examples
    --------
    >>> readable(5_264_982_680), readable(12)
    ('5.3 GB', '12 B')
    """
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.95 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def require_space(folder: str | os.PathLike[str], needed: int, purpose: str) -> None:
    """Raise InputError unless a folder's disk has room for `needed` bytes.

    Parameters
    ----------
    folder : path-like
        An existing folder.
    needed : int
        Bytes to be written.
    purpose : str
        What for; the message begins with it.

    Raises
    ------
    InputError
        If there is too little room; the message says how much is needed and how much is free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{purpose}: not enough disk space in {folder}, {readable(needed)} needed and {readable(free)} "
            "free; free some space or choose another folder"
        )


@contextlib.contextmanager
def write_errors(path: Path, purpose: str, missing: Callable[[], int | None], after: str) -> Iterator[None]:
    """Turn the operating system's errors of a block that writes into one InputError.

    Parameters
    ----------
    path : Path
        What is written; its folder need not exist yet.
    purpose : str
        What for; the message begins with it.
    missing : callable
        Gives how many bytes were still to be written when the disk was full, None if that is not known.
    after : str
        What becomes of that which is written already, the end of the message about a full disk.

    Raises
    ------
    InputError
        Instead of any OSError of the block.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            reason = error.strerror or str(error)
            raise InputError(
                f"{purpose}: cannot write {path} ({reason}); choose a folder in which you may write"
            ) from error
        rest = missing()
        needed = "an unknown amount" if rest is None else readable(rest)
        there = next(folder for folder in path.absolute().parents if folder.exists())
        free = readable(shutil.disk_usage(there).free)
        raise InputError(
            f"{purpose}: the disk is full while writing {path}, {needed} still needed and {free} "
            f"free; free some space and run again, {after}"
        ) from error


def byte_bar(description: str, total: int | None, progress: bool | None) -> tqdm:
    """Make a progress bar on stderr that counts bytes.

    Parameters
    ----------
    description : str
        Text before the bar.
    total : int or None
        Bytes at the end, None if not known.
    progress : bool or None
        True shows the bar, False hides it, None shows it if stderr is a terminal.

    Returns
    -------
    tqdm
        The bar; use it in a ``with`` statement.
    """
    hidden = None if progress is None else not progress
    return tqdm(desc=description, total=total, unit="B", unit_scale=True, disable=hidden)
