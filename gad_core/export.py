"""A category's features with all that tells how they were computed."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from gad_core.datasets.layout import MVTecDataset
from gad_core.feature_file import CategoryFeatures
from gad_core.features import FeatureExtractor
from gad_core.files import sha256

PACKAGES = ("torch", "torchvision", "pillow", "numpy")
"""Packages whose versions can change features in their last digits."""


def extract_category(data: MVTecDataset, extractor: FeatureExtractor) -> CategoryFeatures:
    """Compute the features of a category's training and test images.

    Parameters
    ----------
    data : MVTecDataset
        The images; there may be no test images.
    extractor : FeatureExtractor
        Computes the features; random weights are calibrated on the training images first.

    Returns
    -------
    CategoryFeatures
        Features, paths, defect types, and provenance as `provenance` gives it.
    """
    train = extractor.fit(data.train.paths).transform(data.train.paths)
    test = extractor.transform(data.test.paths) if len(data.test) else train[:0]
    folder = data.root / data.category
    return CategoryFeatures(
        category=data.category,
        backbone=extractor.backbone,
        level_widths=extractor.level_widths,
        train=train,
        test=test,
        train_paths=relative_paths(folder, data.train.paths),
        test_paths=relative_paths(folder, data.test.paths),
        defects=data.test.defects,
        provenance=provenance(data, extractor),
    )


def provenance(data: MVTecDataset, extractor: FeatureExtractor) -> dict[str, Any]:
    """Describe how features are computed, without saying where on this machine.

    Parameters
    ----------
    data : MVTecDataset
        The images.
    extractor : FeatureExtractor
        Fitted, if it needs to be.

    Returns
    -------
    dict
        ``FeatureExtractor.fingerprint`` with the name of the weights file alone, ``dataset_sha256`` of the
        training and test images, and ``versions`` of the packages.
    """
    fingerprint = extractor.fingerprint()
    return {
        **fingerprint,
        "weights": Path(fingerprint["weights"]).name,
        "dataset_sha256": dataset_sha256(data.root / data.category, data.train.paths + data.test.paths),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def dataset_sha256(folder: Path, paths: Iterable[Path]) -> str:
    """Hash the names and the content of files.

    Parameters
    ----------
    folder : pathlib.Path
        Names are relative to it.
    paths : iterable of pathlib.Path
        Files below the folder, in any order.

    Returns
    -------
    str
        SHA-256 of the lines that ``sha256sum`` prints for the files, sorted by name.
    """
    paths = list(paths)
    digest = hashlib.sha256()
    for name, path in sorted(zip(relative_paths(folder, paths), paths, strict=True)):
        digest.update(f"{sha256(path)}  {name}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def relative_paths(folder: Path, paths: Iterable[Path]) -> tuple[str, ...]:
    """Paths below a folder, with forward slashes."""
    return tuple(str(PurePosixPath(path.relative_to(folder))) for path in paths)
