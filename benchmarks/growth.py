"""How the cost grows: with samples, features, image size and categories; each with its fitted exponent."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.extraction import write_images
from benchmarks.machine import best_seconds
from gad_core import FeatureExtractor, GaussianDetector, fit_gaussian
from gad_core.moments import Moments

SAMPLES = (100, 316, 1000, 3162, 10_000, 31_623, 100_000)
WIDTHS = (48, 136, 272, 728, 1456, 2944, 4192)
SIZES = (96, 192, 380, 760)
CATEGORIES = (1, 2, 4, 8, 15)
WIDTH = 272
"""Features of level 7 of EfficientNet-B4, where the number of samples grows."""

FEW, MANY = 209, 20_000
"""Normal images of bottle, and more samples than there are features."""


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of the logarithm of the cost over the upper half of the sizes, where fixed costs matter least."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(seconds[half:]), 1)[0])


def growth() -> list[dict[str, Any]]:
    """Tidy rows: what grows, what is measured, size, seconds, exponent."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(max(SAMPLES), WIDTH)).astype(np.float32)
    fitted = fit_gaussian(X[:FEW])
    rows = _series("samples", "fit from the samples", SAMPLES, lambda n: lambda: fit_gaussian(X[:n]))
    rows += _series("samples", "sums of the samples", SAMPLES, lambda n: lambda: Moments.from_data(X[:n]))
    rows += _series("samples", "score", SAMPLES, lambda n: lambda: fitted.mahalanobis(X[:n]))
    wide = rng.normal(size=(2 * FEW, max(WIDTHS))).astype(np.float32)
    rows += _series("features", f"fit {FEW} and score as many", WIDTHS, lambda p: lambda: fit_gaussian(
        wide[:FEW, :p]).mahalanobis(wide[FEW:, :p]))  # fmt: skip
    sums = {p: Moments.from_data(wide[:, :p]) for p in WIDTHS}
    rows += _series("features", "fit from sums", WIDTHS, lambda p: lambda: GaussianDetector(
        threshold="chi2").fit_moments({"joint": sums[p]}).threshold_)  # fmt: skip
    return rows + _extraction()


def _extraction() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), 8, 380)

        def at(size: int) -> Callable[[], object]:
            extractor = FeatureExtractor("embedded", size=size, progress=False)
            return lambda: extractor.transform(paths)

        rows = _series("image side in pixels", "features of 8 images", SIZES, at)
        extractor = FeatureExtractor("embedded", progress=False)

        def categories(count: int) -> Callable[[], object]:
            def run() -> None:
                for _ in range(count):
                    X = extractor.transform(paths)
                    GaussianDetector(extractor.level_widths, threshold="chi2").fit(X).mahalanobis(X)

            return run

        return rows + _series("categories", "features, fit and score", CATEGORIES, categories)


def _series(
    grows: str, what: str, sizes: Iterable[int], make: Callable[[int], Callable[[], object]]
) -> list[dict[str, Any]]:
    sizes = list(sizes)
    seconds = [best_seconds(make(size), 3) for size in sizes]
    slope = exponent(sizes, seconds)
    return [
        {"grows": grows, "what": what, "size": size, "seconds": s, "exponent": slope}
        for size, s in zip(sizes, seconds, strict=True)
    ]
