"""What experiments are computed from, and where that comes from: the package, or images and a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gad_core.augmented_moments import AugmentedMoments
from gad_core.datasets.embedded import (
    embedded_augmented,
    embedded_features,
    list_embedded,
    list_embedded_augmented,
)
from gad_core.datasets.layout import MVTecDataset
from gad_core.errors import InputError
from gad_core.feature_file import CategoryFeatures
from gad_core.features import FeatureExtractor


@dataclass(frozen=True)
class Source:
    """Features of one category and network, loaded or computed when they are asked for.

    Parameters
    ----------
    category, backbone : str
        What they are of.
    load : callable
        Gives the features.
    load_augmented : callable or None
        Gives the moments of augmented training images; None if there are none.
    asked : bool
        Whether the network was asked for by name.
    """

    category: str
    backbone: str
    load: Callable[[], CategoryFeatures]
    load_augmented: Callable[[], AugmentedMoments] | None = None
    asked: bool = True


@dataclass(frozen=True, eq=False)
class Material:
    """What there is of one category and network.

    Parameters
    ----------
    features : CategoryFeatures
        The features.
    augmented : AugmentedMoments or None
        Moments of augmented training images, where they are needed.
    """

    features: CategoryFeatures
    augmented: AugmentedMoments | None = None

    @cached_property
    def features_sha256(self) -> str:
        """Hash of the features, their levels and the images' names and defects; 64 hexadecimal digits."""
        it = self.features
        names = (it.category, it.backbone, sorted(it.level_widths.items()))
        digest = hashlib.sha256(json.dumps((names, it.train_paths, it.test_paths, it.defects)).encode())
        for matrix in (it.train, it.test):
            digest.update(np.ascontiguousarray(matrix, dtype="<f4").data)
        return digest.hexdigest()

    @cached_property
    def augmented_sha256(self) -> str | None:
        """Hash of the moments of augmented images; 64 hexadecimal digits, or None without them."""
        if self.augmented is None:
            return None
        digest = hashlib.sha256(str(self.augmented.passes).encode())
        for level, it in self.augmented.moments.items():
            parts = (it.count, it.shift, it.first, it.second, it.third, it.fourth)
            for part in (*parts, self.augmented.subspace_fourths[level]):
                digest.update(np.ascontiguousarray(part, dtype="<f8").data)
        return digest.hexdigest()

    def description(self, augmented: bool) -> dict[str, Any]:
        """Say what this is and where it comes from, as JSON can write it; on demand the augmentation too."""
        about = {
            "category": self.features.category,
            "backbone": self.features.backbone,
            "levels": list(self.features.level_widths),
            "train": len(self.features.train),
            "test": len(self.features.test),
            "features_sha256": self.features_sha256,
            "provenance": self.features.provenance,
        }
        if augmented and self.augmented is not None:
            about["augmented"] = {
                "passes": self.augmented.passes,
                "sha256": self.augmented_sha256,
                "provenance": self.augmented.provenance,
            }
        return about


def embedded_sources(
    categories: Sequence[str] | None = None, backbones: Sequence[str] | None = None
) -> list[Source]:
    """List the features that ship with the package.

    Parameters
    ----------
    categories, backbones : sequence of str, optional
        Only these; None for all.

    Returns
    -------
    list of Source
        Network by network.

    Raises
    ------
    InputError
        If one of those that were asked for does not ship.
    """
    there = list_embedded()
    for asked, shipped, what in (
        (categories, {category for category, _ in there}, "category"),
        (backbones, {backbone for _, backbone in there}, "network"),
    ):
        for name in asked or ():
            if name not in shipped:
                raise InputError(
                    f"no features of the {what} {name} ship with gad-core, but of "
                    f"{', '.join(sorted(shipped))}; for others give --data ROOT with the images"
                )
    chosen = [
        (category, backbone)
        for category, backbone in there
        if category in (categories or (category,)) and backbone in (backbones or (backbone,))
    ]
    return [_embedded(*each, asked=backbones is not None) for each in chosen]


def _embedded(category: str, backbone: str, asked: bool) -> Source:
    return Source(
        category,
        backbone,
        lambda: embedded_features(category, backbone),
        (lambda: embedded_augmented(category, backbone))
        if (category, backbone) in list_embedded_augmented()
        else None,
        asked,
    )


def local_sources(
    datasets: Sequence[MVTecDataset], extractors: Iterable[FeatureExtractor], passes: int | None = None
) -> list[Source]:
    """List what images on disk and networks give; the extractors' cache saves computing it twice.

    Parameters
    ----------
    datasets : sequence of MVTecDataset
        One for each category, with normal and anomalous test images.
    extractors : iterable of FeatureExtractor
        One for each network.
    passes : int or None
        How often training images are augmented; None: there are no augmented ones.

    Returns
    -------
    list of Source
        Network by network.

    Raises
    ------
    InputError
        If test images are missing.
    """
    for data in datasets:
        if len(set(data.test.labels)) < 2:
            raise InputError(
                f"{data.root / data.category} must have normal and anomalous test images, in test/good and "
                "test/<defect>"
            )
    return [_local(data, extractor, passes) for extractor in extractors for data in datasets]


def _local(data: MVTecDataset, extractor: FeatureExtractor, passes: int | None) -> Source:
    def load() -> CategoryFeatures:
        from gad_core.export import extract_category

        return extract_category(data, extractor)

    def load_augmented() -> AugmentedMoments:
        from gad_core.experiments.augmented import augmented_moments

        return augmented_moments(data, extractor, passes or 1)

    return Source(data.category, extractor.backbone, load, load_augmented if passes else None)
