"""Deletion and insertion curves: whether the score depends on what a map calls relevant.

Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from gad_core.errors import InputError

Score = Callable[[list[NDArray[np.uint8]]], NDArray[np.float64]]
"""Gives the distances of images: ``lambda images: detector.mahalanobis(extractor.transform(images))``."""


@dataclass(frozen=True)
class Curve:
    """Scores while pixels are exchanged.

    Parameters
    ----------
    shares : (steps + 1,) array
        Share of the pixels that have been exchanged, 0 to 1.
    scores : (steps + 1,) array
        Score at each.
    """

    shares: NDArray[np.float64]
    scores: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Area under the curve by the trapezoid rule: the mean score on the way, in units of the score."""
        return float(trapezoid(self.scores, self.shares))


def deletion_curve(
    image: NDArray[np.uint8],
    baseline: NDArray[np.uint8],
    relevance: NDArray,
    score: Score,
    steps: int = 20,
) -> Curve:
    """Score an image while its most relevant pixels, then less and less relevant ones, become the baseline's.

    A good map of an anomaly makes the score fall early: the smaller the area, the better.

    Parameters
    ----------
    image, baseline : (H, W, 3) uint8 arrays
        The picture, and one without information, such as the median normal image.
    relevance : (H, W) array
        The map. Pixels of equal relevance are exchanged in reading order.
    score : callable
        From a list of images to their distances.
    steps : int
        Number of equal steps.

    Returns
    -------
    Curve
        From the image's score to that of the baseline.

    Raises
    ------
    InputError
        If the sizes differ, the map holds NaN or infinity, or `steps` is no whole number between 1 and the
        number of pixels.
    """
    return _curve(image, baseline, relevance, score, steps)


def insertion_curve(
    image: NDArray[np.uint8],
    baseline: NDArray[np.uint8],
    relevance: NDArray,
    score: Score,
    steps: int = 20,
) -> Curve:
    """Score the baseline while the image's pixels are put in, the most relevant first.

    Parameters and errors are those of `deletion_curve`. The larger the area, the better the map.
    """
    return _curve(baseline, image, relevance, score, steps)


def _curve(
    start: NDArray[np.uint8], end: NDArray[np.uint8], relevance: NDArray, score: Score, steps: int
) -> Curve:
    relevance = np.asarray(relevance, dtype=np.float64)
    if not start.shape == end.shape == (*relevance.shape, 3):
        raise InputError(
            f"the image is {start.shape}, the baseline {end.shape} and the map {relevance.shape}: all must "
            "have the same height and width"
        )
    if not np.isfinite(relevance).all():
        raise InputError("the relevance map holds NaN or infinity: check what it was computed from")
    if not (isinstance(steps, int | np.integer) and 1 <= steps <= relevance.size):
        raise InputError(
            f"steps must be a whole number from 1 to {relevance.size} (the pixels), not {steps!r}"
        )
    order = np.argsort(-relevance, axis=None, kind="stable")
    exchanged = np.arange(steps + 1) * relevance.size // steps
    images = []
    for count in exchanged:
        mixed = start.reshape(-1, 3).copy()
        mixed[order[:count]] = end.reshape(-1, 3)[order[:count]]
        images.append(mixed.reshape(start.shape))
    return Curve(exchanged / relevance.size, np.asarray(score(images), dtype=np.float64))
