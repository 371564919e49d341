"""Choices that the paper does not compare: shrinkage, float32, normalisation, one joint Gaussian.

Each variant changes one thing of the first, which is that of the other experiments: Ledoit-Wolf shrinkage in
float64 on the features as they are. All are computed for the deepest level, the sum over levels and one joint
Gaussian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core.components import principal_components
from gad_core.covariance import Covariance
from gad_core.evaluation import Setting, evaluate_distances, evaluation_row, settings_grid, training_folds
from gad_core.experiments.tables import FOLDS, predictor_name
from gad_core.feature_file import CategoryFeatures
from gad_core.gaussian import squared_distance
from gad_core.levels import Combine, gaussian_columns, level_columns

SHRINKAGES: dict[str, Covariance] = {"Ledoit-Wolf": "ledoit_wolf", "OAS": "oas"}
"""Names of the variants that the library offers as a covariance estimate."""

NORMALISED = "l2-normalised"
"""Every level's features divided by their Euclidean length, image by image."""


def ablation_rows(
    features: CategoryFeatures, *, folds: Sequence[int] = (0, FOLDS), seed: int = 0
) -> list[dict[str, Any]]:
    """Accuracy of every variant and predictor.

    Parameters
    ----------
    features : CategoryFeatures
        Of one category and network, with normal and anomalous test images.
    folds : sequence of int
        As in `gad_core.evaluation.training_folds`, one after the other.
    seed : int
        Of the bootstrap; the same resamples for every row.

    Returns
    -------
    list of dict
        ``category, backbone, variant, predictor, folds`` and what `gad_core.evaluation.evaluation_row` gives.
    """
    return [
        row
        for number in folds
        for variant, combine, distances in _variants(features, number)
        for row in [ablation_row(features, variant, combine, number, distances, seed)]
    ]


def ablation_row(
    features: CategoryFeatures,
    variant: str,
    combine: Combine,
    folds: int,
    distances: NDArray[np.float64],
    seed: int,
) -> dict[str, Any]:
    """One row of the table, from distances (fits, m) of the test images."""
    return {
        "category": features.category,
        "backbone": features.backbone,
        "variant": variant,
        "predictor": predictor_name(combine),
        "folds": folds,
        **evaluation_row(features.labels, distances, np.random.default_rng(seed)),
    }


def predictors(features: CategoryFeatures) -> tuple[Combine, ...]:
    """Give the ways to combine levels that are compared: the deepest alone, the sum, the joint Gaussian."""
    return max(features.level_widths), "sum", "joint"


def _variants(features: CategoryFeatures, folds: int) -> Iterator[tuple[str, Combine, NDArray[np.float64]]]:
    widths, train, test = features.level_widths, features.train, features.test
    settings = settings_grid(predictors(features), [None], SHRINKAGES.values())
    names = {covariance: name for name, covariance in SHRINKAGES.items()}
    for setting, distances in evaluate_distances(train, test, widths, settings, folds):
        yield names[setting.covariance], setting.combine, distances
    unit_train, unit_test = normalised(train, widths), normalised(test, widths)
    plain = [Setting(combine) for combine in predictors(features)]
    for setting, distances in evaluate_distances(unit_train, unit_test, widths, plain, folds):
        yield NORMALISED, setting.combine, distances
    for variant, measure in (
        ("empirical, pseudo-inverse", span_distances),
        ("float32, pseudo-inverse", float32_distances),
    ):
        for combine, distances in _measured(features, folds, measure):
            yield variant, combine, distances


def _measured(
    features: CategoryFeatures, folds: int, measure: Callable[[NDArray, NDArray], NDArray[np.float64]]
) -> Iterator[tuple[Combine, NDArray[np.float64]]]:
    """Distances of each predictor, summed over its Gaussians, by a function of training and test features."""
    subsets, width = training_folds(len(features.train), folds), features.train.shape[1]
    levels = level_columns(features.level_widths)
    by_columns = {
        (where.start, where.stop): np.stack(
            [measure(features.train[subset, where], features.test[:, where]) for subset in subsets]
        )
        for where in (*levels.values(), slice(0, width))
    }
    for combine in predictors(features):
        used = gaussian_columns(features.level_widths, combine, width).values()
        yield combine, np.sum([by_columns[where.start, where.stop] for where in used], axis=0)


def normalised(X: NDArray, levels: dict[int, int]) -> NDArray[np.float64]:
    """Divide each level of every row by its Euclidean length.

    Parameters
    ----------
    X : (n, p) array
        Features.
    levels : dict of int to int
        Width of each level, in the order of the columns.

    Returns
    -------
    (n, p) array
        A level whose features are all zero stays so.
    """
    unit = np.array(X, dtype=np.float64)
    for where in level_columns(levels).values():
        length = np.linalg.norm(unit[:, where], axis=1, keepdims=True)
        unit[:, where] /= np.where(length > 0, length, 1.0)
    return unit


def span_distances(train: NDArray, test: NDArray) -> NDArray[np.float64]:
    """Distance M by the pseudo-inverse of the 1/n covariance.

    With no more samples than features, what lies outside of their span is not seen.

    Parameters
    ----------
    train, test : (n, p) and (m, p) arrays
        Features.

    Returns
    -------
    (m,) array
        M, in float64.
    """
    fitted = principal_components(train)
    coordinates, squared_norms = fitted.project(test)
    return np.sqrt(squared_distance(coordinates, squared_norms, fitted.variances, 0.0))


def float32_distances(train: NDArray, test: NDArray) -> NDArray[np.float64]:
    """Distance M by scikit-learn's Ledoit-Wolf estimate and pseudo-inverse, all in float32.

    The pseudo-inverse sets the inverse of variances below float32's resolution to zero, those of the
    directions that discriminate best; the authors' code did this (method: Protocol).

    Parameters
    ----------
    train, test : (n, p) and (m, p) arrays
        Features.

    Returns
    -------
    (m,) array
        M; squares that rounding makes negative count as zero.
    """
    from sklearn.covariance import LedoitWolf

    fitted = LedoitWolf().fit(np.asarray(train, dtype=np.float32))
    squared = fitted.mahalanobis(np.asarray(test, dtype=np.float32))
    return np.sqrt(np.maximum(squared, 0)).astype(np.float64)
