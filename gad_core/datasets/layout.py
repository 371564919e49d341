"""MVTec-style folders as tables of paths, labels, defects and masks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gad_core.errors import InputError
from gad_core.images import IMAGE_SUFFIXES, list_images

NORMAL = "good"
"""Name of the folders with normal images, and the defect name of a normal image."""


@dataclass(frozen=True)
class Split:
    """Images of one split, sorted by defect folder and file name.

    Parameters
    ----------
    paths : tuple of Path
        Image files.
    defects : tuple of str
        Name of each image's folder; "good" for normal images.
    masks : tuple of Path or None
        Ground-truth mask of each image, None where there is none.
    """

    paths: tuple[Path, ...]
    defects: tuple[str, ...]
    masks: tuple[Path | None, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def labels(self) -> NDArray[np.int64]:
        """1 for anomalies, 0 for normal images, (n,)."""
        return np.array([defect != NORMAL for defect in self.defects], dtype=np.int64)


class MVTecDataset:
    """One category of an MVTec-style data set.

    ``root/category/train/good`` holds normal training images and is all that is required. For an evaluation,
    ``test/good`` holds normal and ``test/<defect>`` anomalous images, and
    ``ground_truth/<defect>/<name>_mask.png`` the masks.

    Parameters
    ----------
    root : path-like
        Folder of the data set.
    category : str
        Name of the folder below it.

    Attributes
    ----------
    train, test : Split
        The images; `test` may be empty.

    Raises
    ------
    InputError
        If a folder is missing or holds no image; the message names it.

    Examples
    --------
    >>> import tempfile
    >>> from gad_core.datasets.synthetic import synthesize
    >>> folder = tempfile.mkdtemp()
    >>> _ = synthesize(folder, categories=["nut"], n_train=2, n_test_good=1, n_test_defect=1, size=64)
    >>> len(MVTecDataset(folder, "nut").train)
    2
    """

    def __init__(self, root: str | os.PathLike[str], category: str) -> None:
        self.root, self.category = Path(root), category
        if not self.root.is_dir():
            raise InputError(f"no such folder: {self.root}; give the folder that holds the categories")
        folder = self.root / category
        if not folder.is_dir() and (self.root / "train" / NORMAL).is_dir():
            raise InputError(
                f"{self.root} is a category itself: give the folder above it, {self.root.parent}"
            )
        if not folder.is_dir():
            there = ", ".join(list_categories(self.root)) or "no folder with train/good"
            raise InputError(f"no category {category!r} in {self.root}; there is: {there}")
        if not (folder / "train" / NORMAL).is_dir():
            raise InputError(f"{folder} has no folder train/{NORMAL}: put the normal training images there")
        self.train = _split(folder, [folder / "train" / NORMAL])

    @cached_property
    def test(self) -> Split:
        """The test images; looked for when first asked for, because a fit does not need them."""
        folder = self.root / self.category
        found = (folder / "test").glob("*")
        return _split(folder, sorted(p for p in found if p.is_dir() and not p.name.startswith(".")))

    def __repr__(self) -> str:
        sizes = f"{len(self.train)} train, {len(self.test)} test"
        return f"MVTecDataset({str(self.root)!r}, {self.category!r}): {sizes}"


def list_categories(root: str | os.PathLike[str]) -> list[str]:
    """Names of the folders below `root` that have a ``train/good``, sorted."""
    found = (p.parent.parent.name for p in Path(root).glob(f"*/train/{NORMAL}") if p.is_dir())
    return sorted(name for name in found if not name.startswith("."))


def _split(folder: Path, sources: list[Path]) -> Split:
    paths = [path for source in sources for path in list_images(source)]
    defects = [path.parent.name for path in paths]
    masks = [_mask(folder, path) for path in paths]
    return Split(tuple(paths), tuple(defects), tuple(masks))


def _mask(folder: Path, path: Path) -> Path | None:
    if path.parent.name == NORMAL:
        return None
    stem = folder / "ground_truth" / path.parent.name / f"{path.stem}_mask"
    return next((p for s in IMAGE_SUFFIXES if (p := stem.with_name(stem.name + s)).is_file()), None)
