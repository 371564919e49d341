"""A category's features as one file: everything that happens after the network starts from it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core.datasets.layout import NORMAL
from gad_core.errors import InputError
from gad_core.files import replacing, write_npz
from gad_core.validation import require_finite

FORMAT = "gad-core features 1"
_MATRICES = ("train", "test")
_TEXTS = ("train_paths", "test_paths", "defects")


@dataclass(frozen=True, eq=False)
class CategoryFeatures:
    """Features of a category's training and test images, and where they come from.

    Parameters
    ----------
    category : str
        Name of the category.
    backbone : str
        The network, a name in `gad_core.backbones.BACKBONES`.
    level_widths : dict of int to int
        Width of each level, in the order of the columns.
    train : (n, p) float32 array
        Features of the normal training images.
    test : (m, p) float32 array
        Features of the test images; m may be 0.
    train_paths, test_paths : tuple of str
        Path of each image below the category's folder, with forward slashes.
    defects : tuple of str
        Defect type of each test image; "good" for normal ones.
    provenance : dict
        How the features were computed, as JSON can write it.

    Raises
    ------
    InputError
        If the parts do not fit together, or a feature is not finite.

    Examples
    --------
    >>> features = CategoryFeatures(
    ...     "nut", "resnet18", {1: 2}, np.zeros((1, 2), np.float32), np.ones((2, 2), np.float32),
    ...     ("train/good/0.png",), ("test/good/0.png", "test/scratch/0.png"), ("good", "scratch"), {})
    >>> features.labels
    array([0, 1])
    """

    category: str
    backbone: str
    level_widths: dict[int, int]
    train: NDArray[np.float32]
    test: NDArray[np.float32]
    train_paths: tuple[str, ...]
    test_paths: tuple[str, ...]
    defects: tuple[str, ...]
    provenance: dict[str, Any]

    def __post_init__(self) -> None:
        width = sum(self.level_widths.values())
        for name, matrix, paths in (
            ("train", self.train, self.train_paths),
            ("test", self.test, self.test_paths),
        ):
            if matrix.dtype != np.float32 or matrix.shape != (len(paths), width):
                raise InputError(
                    f"the {name} features of {self.category} must be {(len(paths), width)} of float32 (a row "
                    f"an image, a column a feature), not {matrix.shape} of {matrix.dtype}"
                )
            require_finite(matrix, name)
        if len(self.defects) != len(self.test):
            raise InputError(
                f"{self.category} has {len(self.test)} test images and {len(self.defects)} defect types: "
                "give one for each image"
            )

    @property
    def labels(self) -> NDArray[np.int64]:
        """1 for anomalous test images, 0 for normal ones, (m,)."""
        return np.array([defect != NORMAL for defect in self.defects], dtype=np.int64)

    def __repr__(self) -> str:
        sizes = f"{len(self.train)} train, {len(self.test)} test, {self.train.shape[1]} features"
        return f"CategoryFeatures({self.category!r}, {self.backbone!r}): {sizes}"


def save_features(path: str | os.PathLike[str], features: CategoryFeatures) -> None:
    """Write a category's features to one compressed ``.npz``; the same content gives the same bytes.

    The matrices are stored as planes of bytes, (4, p, n) uint8, which compress a fifth better: signs and
    exponents of one feature lie side by side. Without gad-core they are read by
    ``np.ascontiguousarray(planes.T).view("<f4")[:, :, 0]``; the other members are texts.

    Parameters
    ----------
    path : path-like
        The file to write; it is written whole or not at all.
    features : CategoryFeatures
        What to write.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    about = {
        "format": FORMAT,
        "category": features.category,
        "backbone": features.backbone,
        "level_widths": {str(level): width for level, width in features.level_widths.items()},
        "provenance": features.provenance,
    }
    arrays = {
        "about": np.array(json.dumps(about, allow_nan=False)),
        **{name: _to_planes(getattr(features, name)) for name in _MATRICES},
        **{name: np.array(getattr(features, name), dtype=np.str_) for name in _TEXTS},
    }
    try:
        with replacing(path) as temporary:
            write_npz(temporary, arrays)
    except OSError as error:
        raise InputError(f"cannot write the features {path}: {error.strerror or error}") from error


def load_features(path: str | os.PathLike[str]) -> CategoryFeatures:
    """Read a category's features from a file of `save_features`.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    CategoryFeatures
        The content.

    Raises
    ------
    InputError
        If there is no such file, or it is damaged or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file of features: {path}; make one with gad features export")
    try:
        # numpy reads each member to its end, where zipfile compares the stored checksum.
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            parts: dict[str, Any] = {name: _from_planes(file[name]) for name in _MATRICES}
            parts |= {name: tuple(map(str, file[name])) for name in _TEXTS}
        found, widths = about["format"], {int(k): int(v) for k, v in about["level_widths"].items()}
        parts |= {name: about[name] for name in ("category", "backbone", "provenance")}
    except Exception as error:  # damaged archives raise any of a dozen types
        raise InputError(
            f"{path} is damaged or no file of features; write it again with gad features export"
        ) from error
    if found != FORMAT:
        raise InputError(f"the features {path} have format {found!r}; this version reads {FORMAT!r}")
    return CategoryFeatures(level_widths=widths, **parts)


def _to_planes(X: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.ascontiguousarray(X, "<f4")[..., None].view(np.uint8).T)


def _from_planes(planes: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.ascontiguousarray(planes.T).view("<f4")[..., 0], np.float32)
