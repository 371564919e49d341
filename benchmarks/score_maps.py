"""What exact score maps cost beside scoring alone: both from the same image files, without a cache."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import gad_core as gad
from benchmarks.extraction import IMAGES, SHARED_WEIGHTS, write_images
from benchmarks.timing import Comparison, compare

SHARED_IMAGES = SHARED_WEIGHTS.parent / "mvtec" / "bottle" / "test" / "broken_large"
LARGEST_COST = 1.15
"""Time with maps over time without; the target of the ratio, plain over ours, is one over it."""


def score_maps() -> Iterator[Comparison]:
    """Compare for the sum, the joint Gaussian and the deepest level, on two networks.

    EfficientNet-B4, levels 1 to 7, has the given weights, and the images are those of the bottle, if they are
    here; else weights are random and images made up.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted(SHARED_IMAGES.glob("*.png"))[:IMAGES] or write_images(Path(folder), IMAGES, 380)
        for extractor in (_b4(paths), gad.FeatureExtractor("embedded", progress=False)):
            X = extractor.transform(paths)
            for combine in ("sum", "joint", max(extractor.level_widths)):
                yield _case(extractor, X, combine, paths)


def _b4(paths: list[Path]) -> gad.FeatureExtractor:
    given = SHARED_WEIGHTS / "efficientnet_b4_levels1-7.safetensors"
    weights = given if given.is_file() else "random"
    return gad.FeatureExtractor("efficientnet_b4", weights, range(1, 8), progress=False).fit(paths)


def _case(
    extractor: gad.FeatureExtractor, X: np.ndarray, combine: str | int, paths: list[Path]
) -> Comparison:
    detector = gad.GaussianDetector(extractor.level_widths, combine, threshold="chi2").fit(X)

    def score() -> np.ndarray:
        return detector.mahalanobis(extractor.transform(paths))

    def score_and_map() -> np.ndarray:
        return np.array([each.distance for each in gad.score_maps(detector, extractor, paths)])

    np.testing.assert_allclose(score_and_map(), score(), rtol=1e-5)
    name = f"{extractor.backbone} {combine}, {extractor.input_size} px: score and map instead of score"
    return compare(name, score, score_and_map, target=1 / LARGEST_COST, pairs=5)
