"""A seeded data set with the layout of MVTec AD, drawn by the program itself: nothing to download.

Three textures and three objects are rendered as small scenes: relief and colour, a lamp, soft shadows, a
camera whose exposure and white balance drift. A defect is drawn into the same scene, so the mask is exact:
outside of it the picture equals, bit for bit, the picture of the same scene without the defect.
"""

from __future__ import annotations

import os
import shutil
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from gad_core.datasets.record import drawn_from, first_of_others, is_whole, write_record
from gad_core.datasets.scenes import CATEGORIES, Category, category_named, check_size, render
from gad_core.errors import InputError

__all__ = ["CATEGORIES", "Category", "render", "synthesize"]


def synthesize(
    root: str | os.PathLike[str],
    *,
    seed: int = 0,
    categories: Sequence[str] | None = None,
    n_train: int = 60,
    n_test_good: int = 20,
    n_test_defect: int = 10,
    size: int = 256,
    overwrite: bool = False,
    progress: bool | None = None,
) -> Path:
    """Write a synthetic data set in the folder layout of MVTec AD.

    ``<root>/<category>/`` gets ``train/good/000.png``, ``test/good/000.png``, ``test/<defect>/000.png`` and
    ``ground_truth/<defect>/000_mask.png`` (one channel, 0 or 255), and so on. A picture depends on the seed,
    its category, its folder, its number and `size` only, so a larger set extends a smaller one. A category is
    written under a temporary name and renamed when it is whole, with a hidden record of what was written. One
    that is there already, drawn from the same parameters by the same versions, is left as it is: a run that
    was stopped goes on with the next.

    Parameters
    ----------
    root : path-like
        Folder of the data set; made if it is missing.
    seed : int
        Not negative; the same seed gives the same files with the same versions of numpy, scipy and Pillow.
    categories : sequence of str, or str, optional
        Keys of `CATEGORIES`, or a single one; None writes all.
    n_train, n_test_good : int
        Normal pictures to train on and to test on, per category.
    n_test_defect : int
        Pictures per kind of defect.
    size : int
        Edge length in pixels, at least 64.
    overwrite : bool
        Replace category folders that an earlier call wrote, with other parameters. What was not written by
        this function, or was changed since, is never replaced.
    progress : bool, optional
        Show a progress bar on standard error; by default only on a terminal.

    Returns
    -------
    pathlib.Path
        `root`.

    Raises
    ------
    InputError
        For an unknown category, a number that is negative or not whole, a size below 64, or a category folder
        that is not empty and may not be replaced.
    """
    root = Path(root)
    names = list(CATEGORIES) if categories is None else _names(categories)
    counts = {"n_train": n_train, "n_test_good": n_test_good, "n_test_defect": n_test_defect}
    _check_request(root, names, seed, counts, size)
    request = {what: int(number) for what, number in {"seed": seed, "size": size, **counts}.items()}
    sources = {name: drawn_from({"category": name, **request}) for name in names}
    missing = [name for name, source in sources.items() if not is_whole(root / name, source)]
    for name in missing:
        _check_folder(root / name, overwrite)
    plans = {name: _plan(name, n_train, n_test_good, n_test_defect) for name in missing}
    hidden = None if progress is None else not progress
    with tqdm(total=sum(map(len, plans.values())), unit="image", disable=hidden) as bar:
        for name, plan in plans.items():
            bar.set_description(name)
            _write_category(root / name, plan, sources[name], overwrite, bar)
    return root


def _names(categories: Sequence[str]) -> list[str]:
    """List the names; a single one is a name, though it is a sequence of letters too."""
    return [categories] if isinstance(categories, str) else list(categories)


@dataclass(frozen=True)
class _Shot:
    """One picture to write: ``<split>/<kind>/<index>.png``."""

    split: str
    kind: str
    index: int

    @property
    def defect(self) -> str | None:
        return None if self.kind == "good" else self.kind

    def rng(self, seed: int, category: str) -> np.random.Generator:
        """Return a generator that no other picture shares."""
        folder = zlib.crc32(f"{category}/{self.split}/{self.kind}".encode())
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(folder, self.index)))


def _plan(category: str, n_train: int, n_test_good: int, n_test_defect: int) -> list[_Shot]:
    """All pictures of a category."""
    folders = [("train", "good", n_train), ("test", "good", n_test_good)]
    folders += [("test", defect, n_test_defect) for defect in CATEGORIES[category].defects]
    return [_Shot(split, kind, index) for split, kind, count in folders for index in range(count)]


def _write_category(
    folder: Path, plan: Sequence[_Shot], source: Mapping[str, Any], overwrite: bool, bar: tqdm
) -> None:
    """Write the pictures and their record beside `folder`, then rename; what may be replaced is."""
    seed, size = source["seed"], source["size"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}")
    replaced = temporary.with_suffix(".old")
    try:
        for shot in plan:
            _write_shot(temporary, shot, *render(folder.name, shot.rng(seed, folder.name), shot.defect, size))
            bar.update()
        temporary.mkdir(parents=True, exist_ok=True)
        write_record(temporary, source)
        _check_folder(folder, overwrite)  # again: someone may have put something there meanwhile
        if folder.exists():
            folder.rename(replaced)
        temporary.rename(folder)
    finally:
        if replaced.exists() and not folder.exists():
            replaced.rename(folder)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _write_shot(folder: Path, shot: _Shot, image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    """Write a picture, and its mask where there is a defect."""
    path = folder / shot.split / shot.kind / f"{shot.index:03d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, compress_level=3)
    if shot.defect is not None:
        truth = folder / "ground_truth" / shot.kind / f"{shot.index:03d}_mask.png"
        truth.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype(np.uint8) * 255).save(truth)


def _check_request(root: Path, names: Sequence[str], seed: int, counts: Mapping[str, int], size: int) -> None:
    """Refuse what cannot be drawn."""
    check_size(size)
    for what, number in {"seed": seed, **counts}.items():
        if not isinstance(number, int | np.integer) or number < 0:
            raise InputError(f"{what} is {number!r}: give a whole number, 0 or more")
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is a file: name a folder for the data set")
    for name in names:
        category_named(name)


def _check_folder(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that is not empty, unless it holds what was written here and may be replaced."""
    if not (folder.exists() or folder.is_symlink()):
        return
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        return
    other = first_of_others(folder)
    if other is not None:
        changed = "" if other == folder else ", or not as it is"
        raise InputError(
            f"{folder} is there already: choose another folder, or move it away; it is not replaced, because "
            f"gad synthesize did not write {other}{changed}"
        )
    if not overwrite:
        raise InputError(
            f"{folder} is there already: choose another folder, or replace it (overwrite=True, --overwrite)"
        )
