"""How far from a Gaussian the images lie that it was fitted to, and how far those that it was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core.covariance import Covariance
from gad_core.detector import GaussianDetector
from gad_core.errors import InputError
from gad_core.experiments.tables import FOLDS
from gad_core.feature_file import CategoryFeatures
from gad_core.levels import Combine


@dataclass(frozen=True, eq=False)
class SquaredDistances:
    """Squared Mahalanobis distances M² of normal images.

    Parameters
    ----------
    training : (n,) array
        Of the training images to the Gaussian fitted to all of them.
    held_out : (n,) array
        Of the same images, each to a Gaussian of the folds that it is not in; in ascending order.
    test : (m,) array
        Of the normal test images to the Gaussian fitted to all training images.
    """

    training: NDArray[np.float64]
    held_out: NDArray[np.float64]
    test: NDArray[np.float64]


def squared_distances(
    features: CategoryFeatures, combine: Combine, covariance: Covariance = "ledoit_wolf"
) -> SquaredDistances:
    """Compare the distances of images that a Gaussian was fitted to with those of other normal images.

    Parameters
    ----------
    features : CategoryFeatures
        Of one category and network.
    combine : "joint" or int
        The Gaussian.
    covariance : str
        As in `gad_core.gaussian.fit_gaussian`.

    Returns
    -------
    SquaredDistances
        The held-out ones are those that the cross-validated threshold is chosen from.
    """
    # A rate that any number of images resolves; the threshold is not used.
    detector = GaussianDetector(
        features.level_widths, combine, covariance=covariance, fpr=0.5, folds=FOLDS
    ).fit(features.train)
    return SquaredDistances(
        detector.mahalanobis(features.train) ** 2,
        detector.calibration_distances_**2,
        detector.mahalanobis(features.test[features.labels == 0]) ** 2,
    )


def inflation_rows(features: CategoryFeatures) -> list[dict[str, Any]]:
    """Mean squared distance per feature at each level, for training images and for held-out ones.

    Parameters
    ----------
    features : CategoryFeatures
        Of one category and network.

    Returns
    -------
    list of dict
        ``category, predictor, covariance, n, p, training, held_out``: n is the number of images that a fold's
        Gaussian is fitted to, p that of features; the last two are means of M² / p, None where the covariance
        is singular. Unshrunk, ``training`` is 1 by construction; for Gaussian features ``held_out`` is
        `hotelling_inflation` on average.
    """
    rows = []
    covariances: tuple[Covariance, ...] = ("empirical", "ledoit_wolf")
    for level, p in features.level_widths.items():
        for covariance in covariances:
            row: dict[str, Any] = {"category": features.category, "predictor": f"level {level}"}
            row |= {"covariance": covariance, "n": len(features.train) * (FOLDS - 1) / FOLDS, "p": p}
            try:
                found = squared_distances(features, level, covariance)
                row |= {"training": found.training.mean() / p, "held_out": found.held_out.mean() / p}
            except InputError:  # no more samples than features, or features that follow from others
                row |= {"training": None, "held_out": None}
            rows.append(row)
    return rows


def hotelling_inflation(n: float, p: float) -> float:
    """Mean of M² / p of new samples to an unshrunk Gaussian fitted to n samples of p Gaussian features.

    Parameters
    ----------
    n, p : float
        Numbers of samples and features, n > p + 2; with fewer samples the mean is infinite.

    Returns
    -------
    float
        ``(n + 1) / (n - p - 2)``, from Hotelling's law; see `gad_core.thresholds.hotelling_threshold`.

    Examples
    --------
    >>> round(hotelling_inflation(1000, 10), 2), hotelling_inflation(15, 12)
    (1.01, 16.0)
    """
    return (n + 1) / (n - p - 2) if n > p + 2 else float("inf")
