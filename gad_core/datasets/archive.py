"""Take chosen folders out of a tar archive: safely, and each one whole or not at all."""

from __future__ import annotations

import contextlib
import lzma
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tqdm import tqdm

from gad_core.datasets.storage import byte_bar, require_space, write_errors
from gad_core.errors import InputError


@dataclass
class FolderSize:
    """What a folder at the top of an archive holds.

    Parameters
    ----------
    files : int
        Number of files in it and below.
    size : int
        Bytes of these files.
    """

    files: int = 0
    size: int = 0


def survey(
    archive: str | os.PathLike[str], *, description: str = "", progress: bool | None = None
) -> dict[str, FolderSize]:
    """Read an archive through, check the name and kind of everything in it and add up the top folders.

    Parameters
    ----------
    archive : path-like
        A tar file, plain or compressed.
    description : str, optional
        Text before the progress bar.
    progress : bool, optional
        True shows a bar on stderr, False none, None (default) one if stderr is a terminal.

    Returns
    -------
    dict of str to FolderSize
        By name of the folder. Files beside the folders are left out.

    Raises
    ------
    InputError
        If the archive is damaged, or holds an absolute path, a path with "..", a link or a device.
    """
    sizes: dict[str, FolderSize] = {}
    with _opened(Path(archive), description or "checking", progress) as (_, members):
        for member in members:
            folder = _checked_folder(Path(archive), member)
            if folder and member.isfile():
                entry = sizes.setdefault(folder, FolderSize())
                entry.files += 1
                entry.size += member.size
    return sizes


def extract_folders(
    archive: str | os.PathLike[str],
    root: str | os.PathLike[str],
    folders: Iterable[str],
    *,
    progress: bool | None = None,
) -> None:
    """Extract folders from the top of a tar archive into `root`.

    The archive is read twice: nothing is written before all of it is known to be safe and to fit on the disk.
    Files go to a temporary folder in `root`; a folder gets its name as soon as its last file is there, so an
    interruption leaves whole folders only.

    Parameters
    ----------
    archive : path-like
        A tar file, plain or compressed.
    root : path-like
        Where the folders go; it is made. None of `folders` may be in it.
    folders : iterable of str
        Names of the folders to extract.
    progress : bool, optional
        True shows a bar on stderr, False none, None (default) one if stderr is a terminal.

    Raises
    ------
    InputError
        If the archive is damaged or unsafe or lacks a folder, a folder is in `root` already, Python is too
        old to extract safely, or the disk is full or cannot be written to.
    """
    archive, root, names = Path(archive), Path(root), list(dict.fromkeys(folders))
    if not hasattr(tarfile, "data_filter"):
        raise InputError(
            f"{archive}: this Python cannot extract archives safely; update to Python 3.11.4 or later"
        )
    sizes = survey(archive, description=f"checking {archive.name}", progress=progress)
    for name in names:
        if name not in sizes:
            raise InputError(f"{archive} has no folder {name!r}; there is: {', '.join(sorted(sizes))}")
        if (root / name).exists():
            raise InputError(f"{root / name} is there already; move it away to extract it from {archive}")
    needed = sum(sizes[name].size for name in names)
    with write_errors(root, str(archive), lambda: needed, "nothing half-written stays"):
        root.mkdir(parents=True, exist_ok=True)
        require_space(root, needed, str(archive))
        _extract(archive, root, {name: sizes[name].files for name in names}, progress)


def _extract(archive: Path, root: Path, left: dict[str, int], progress: bool | None) -> None:
    """Extract, where `left` says how many files each folder has."""
    with (
        tempfile.TemporaryDirectory(prefix=".extracting-", dir=root) as temporary,
        _opened(archive, f"extracting {archive.name}", progress) as (tar, members),
    ):
        for member in members:
            folder = _checked_folder(archive, member)
            if folder not in left:
                continue
            tar.extract(member, temporary, filter="data")
            if not member.isfile():
                continue
            left[folder] -= 1
            if not left[folder]:
                (Path(temporary) / folder).rename(root / folder)
                del left[folder]
            if not left:
                return


@contextlib.contextmanager
def _opened(
    archive: Path, description: str, progress: bool | None
) -> Iterator[tuple[tarfile.TarFile, Iterator[tarfile.TarInfo]]]:
    """Open an archive, give it and its members in order, with a bar over the bytes of the file read."""
    try:
        file = archive.open("rb")
    except OSError as error:
        raise InputError(
            f"cannot read {archive} ({error.strerror}); name an archive that you may read"
        ) from error
    try:
        # Not the streaming mode "r|": it takes a compressed file that was cut off for one that has ended.
        with (
            file,
            byte_bar(description, archive.stat().st_size, progress) as bar,
            tarfile.open(fileobj=file, mode="r:*") as tar,
        ):
            yield tar, _counted(tar, file, bar)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError) as error:
        reason = " ".join(str(error).split())  # tarfile lists one line for each format that it tried
        raise InputError(f"{archive} is damaged ({reason}); delete it and get it again") from error


def _counted(tar: tarfile.TarFile, file: BinaryIO, bar: tqdm) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        bar.update(file.tell() - bar.n)
        yield member
    bar.update(file.tell() - bar.n)


def _checked_folder(archive: Path, member: tarfile.TarInfo) -> str | None:
    """Top folder of a member, None at the top itself; refuses what has no business in a set of images."""
    path = PurePosixPath(member.name)
    # Backslashes and colons are plain characters here but lead elsewhere on Windows.
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
        raise InputError(
            f"{archive} is unsafe: {member.name!r} leads out of its folder; get it from another source"
        )
    if not (member.isfile() or member.isdir()):
        raise InputError(
            f"{archive} is unsafe: {member.name!r} is a link or device; get it from another source"
        )
    beside = len(path.parts) < 2 and not member.isdir()
    return None if beside or not path.parts else path.parts[0]
