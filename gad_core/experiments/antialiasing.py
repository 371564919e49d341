"""What antialiasing does: the paper's resize takes no notice of the pixels between those that it samples.

It is only a question where images shrink: an image that has the network's input size is not resized at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gad_core.datasets.layout import MVTecDataset
from gad_core.errors import InputError
from gad_core.evaluation import evaluate_distances, settings_grid
from gad_core.experiments.ablation import ablation_row, predictors
from gad_core.experiments.tables import FOLDS
from gad_core.export import provenance, relative_paths
from gad_core.feature_file import CategoryFeatures
from gad_core.features import FeatureExtractor
from gad_core.images import read_image

ANTIALIASED_RULE = "bilinear with antialiasing (Pillow), uint8"
"""The other resize rule in words, as the provenance of such features states it."""

_CHUNK = 64
"""Images that are in memory at a time."""


def resize_antialiased(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Squash an image to a square, averaging over the pixels that fall on each output pixel.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        The image.
    size : int
        Side of the result in pixels.

    Returns
    -------
    (size, size, 3) uint8 array
        The same as without antialiasing if the image does not shrink, but for rounding.
    """
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


def antialiased_features(data: MVTecDataset, extractor: FeatureExtractor) -> CategoryFeatures:
    """Compute a category's features from images that are resized with antialiasing first.

    The extractor gets images of its input size and so does not resize them again.

    Parameters
    ----------
    data : MVTecDataset
        Images larger than the network's input.
    extractor : FeatureExtractor
        With weights that need no calibration.

    Returns
    -------
    CategoryFeatures
        As of `gad_core.export.extract_category`, with `ANTIALIASED_RULE` in the provenance.
    """
    folder = data.root / data.category
    return CategoryFeatures(
        category=data.category,
        backbone=extractor.backbone,
        level_widths=extractor.level_widths,
        train=_transformed(data.train.paths, extractor),
        test=_transformed(data.test.paths, extractor),
        train_paths=relative_paths(folder, data.train.paths),
        test_paths=relative_paths(folder, data.test.paths),
        defects=data.test.defects,
        provenance={**provenance(data, extractor), "resize": ANTIALIASED_RULE},
    )


def _transformed(paths: Sequence[Path], extractor: FeatureExtractor) -> NDArray[np.float32]:
    parts = [np.empty((0, sum(extractor.level_widths.values())), dtype=np.float32)]
    for start in range(0, len(paths), _CHUNK):
        images = [
            resize_antialiased(read_image(path), extractor.input_size)
            for path in paths[start : start + _CHUNK]
        ]
        parts.append(extractor.transform(images))
    return np.concatenate(parts)


def antialiasing_rows(
    plain: CategoryFeatures,
    antialiased: CategoryFeatures,
    *,
    folds: Sequence[int] = (0, FOLDS),
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Accuracy of features of both resize rules, in the form of `ablation_rows`.

    Parameters
    ----------
    plain : CategoryFeatures
        By the paper's resize.
    antialiased : CategoryFeatures
        Of the same images and network, by `antialiased_features`.
    folds, seed
        As in `gad_core.experiments.ablation.ablation_rows`.

    Returns
    -------
    list of dict
        Variants ``"plain resize"`` and ``"antialiased resize"``.

    Raises
    ------
    InputError
        If the two are not of the same images, network and levels.
    """
    for name in ("category", "backbone", "level_widths", "train_paths", "test_paths"):
        if getattr(plain, name) != getattr(antialiased, name):
            raise InputError(
                f"the features with and without antialiasing differ in {name.replace('_', ' ')}: compute "
                "both from the same images with the same network"
            )
    rows = []
    for number in folds:
        for variant, features in (("plain resize", plain), ("antialiased resize", antialiased)):
            settings = settings_grid(predictors(features), [None], ["ledoit_wolf"])
            found = evaluate_distances(features.train, features.test, features.level_widths, settings, number)
            rows += [ablation_row(features, variant, s.combine, number, d, seed) for s, d in found]
    return rows
