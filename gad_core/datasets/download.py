"""The official MVTec AD archive: fetched, verified and extracted by category."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from gad_core.datasets.archive import extract_folders
from gad_core.datasets.transfer import TransferError, fetch
from gad_core.errors import InputError

__all__ = [
    "ARCHIVE_NAME",
    "CATEGORIES",
    "LICENCE_NOTICE",
    "OFFICIAL_PAGE",
    "OFFICIAL_SHA256",
    "OFFICIAL_URL",
    "TransferError",
    "download_mvtec",
    "fetch",
]

CATEGORIES = (
    "bottle",
    "cable",
    "capsule",
    "carpet",
    "grid",
    "hazelnut",
    "leather",
    "metal_nut",
    "pill",
    "screw",
    "tile",
    "toothbrush",
    "transistor",
    "wood",
    "zipper",
)
"""The fifteen categories of MVTec AD (Bergmann et al., CVPR 2019, table 1)."""

OFFICIAL_PAGE = "https://www.mvtec.com/company/research/datasets/mvtec-ad"

# MVTec's own share, which has moved more than once while the content stayed the same: the address will age,
# the checksum will not. The checksum is anomalib's (src/anomalib/data/datamodules/image/mvtecad.py), the same
# at each of its addresses. The address is the one in use since those before it answer 404 (anomalib issue
# 3608, mended by its pull request 3673).
OFFICIAL_URL = (
    "https://www.mydrive.ch/shares/150996/b52ecdcbf521176e9db9c731f2304b27/"
    "download/420938113-1629960298/mvtec_anomaly_detection.tar.xz"
)
OFFICIAL_SHA256 = "cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d"
ARCHIVE_NAME = "mvtec_anomaly_detection.tar.xz"

LICENCE_NOTICE = f"""\
MVTec AD is (c) MVTec Software GmbH and licensed under CC BY-NC-SA 4.0: non-commercial use only.
  Licence: https://creativecommons.org/licenses/by-nc-sa/4.0/
  Page:    {OFFICIAL_PAGE}
  Cite:    P. Bergmann, M. Fauser, D. Sattlegger, C. Steger: MVTec AD - A Comprehensive Real-World Dataset for
           Unsupervised Anomaly Detection. CVPR 2019."""


def download_mvtec(
    root: str | os.PathLike[str],
    categories: Iterable[str] | str | None = None,
    *,
    url: str = OFFICIAL_URL,
    sha256: str | None = OFFICIAL_SHA256,
    accept_license: bool = True,
    keep_archive: bool = False,
    progress: bool | None = None,
) -> Path:
    """Download MVTec AD and extract categories to ``root/<category>``.

    The data set comes as one archive of 5.3 GB, whichever categories are asked for. An interrupted download
    goes on where it stopped, an interrupted extraction leaves whole categories only. Categories that are
    there already are kept; if none is missing, nothing is downloaded. The licence is printed on stderr before
    the transfer.

    Parameters
    ----------
    root : path-like
        Folder of the data set; it is made.
    categories : iterable of str, optional
        Names out of `CATEGORIES`; all fifteen by default.
    url : str, optional
        Address of the archive, if it has moved or there is a mirror.
    sha256 : str or None, optional
        Its SHA-256, or leading digits of it; None takes what comes.
    accept_license : bool, optional
        The call accepts the licence, CC BY-NC-SA 4.0, for the user; False refuses to download.
    keep_archive : bool, optional
        Leave the downloaded archive in `root`. One that was there before the call is used and always kept.
    progress : bool, optional
        True shows bars on stderr, False none, None (default) shows them if stderr is a terminal.

    Returns
    -------
    pathlib.Path
        `root`, ready for `gad_core.MVTecDataset`.

    Raises
    ------
    InputError
        If a category is unknown or there but incomplete, the licence is not accepted, the archive is unsafe
        or damaged, or the disk is full or cannot be written to.
    TransferError
        If the server is out of reach, answers with an error, or has another file. A subclass of InputError.
    """
    root, names = Path(root), _checked_names(categories)
    missing = [name for name in names if not _is_there(root / name)]
    if not missing:
        return root
    _say(LICENCE_NOTICE)
    if not accept_license:
        raise InputError(
            f"the licence of MVTec AD was not accepted, nothing was downloaded; see {OFFICIAL_PAGE}"
        )
    archive = root / ARCHIVE_NAME
    was_there = archive.exists()
    _fetch_archive(url, archive, sha256, progress)
    extract_folders(archive, root, missing, progress=progress)
    if keep_archive or was_there:
        _say(f"{archive} is kept; delete it if no further category is wanted")
    else:
        archive.unlink()
    return root


def _checked_names(categories: Iterable[str] | str | None) -> list[str]:
    asked = (
        [categories]
        if isinstance(categories, str)
        else CATEGORIES
        if categories is None
        else list(categories)
    )
    known = ", ".join(CATEGORIES)
    if not asked:
        raise InputError(f"no category asked for; choose from: {known}")
    for name in asked:
        if name not in CATEGORIES:
            raise InputError(f"MVTec AD has no category {name!r}; choose from: {known}")
    return list(dict.fromkeys(asked))


def _is_there(folder: Path) -> bool:
    """Whether a category is there, which is said; a folder that does not look like a whole one is refused."""
    if not folder.exists():
        return False
    train, test = (sum(1 for _ in (folder / split).glob("*/*.png")) for split in ("train", "test"))
    if not (train and test):
        raise InputError(f"{folder} is there but is not a whole category; move it away and run again")
    _say(f"{folder} is kept: {train} training and {test} test images are there already")
    return True


def _fetch_archive(url: str, archive: Path, sha256: str | None, progress: bool | None) -> None:
    try:
        fetch(url, archive, sha256, description="MVTec AD", progress=progress)
    except TransferError as error:
        raise TransferError(
            f"{error}; if the archive has moved, its address is on {OFFICIAL_PAGE}"
        ) from error


def _say(text: str) -> None:
    print(text, file=sys.stderr)
