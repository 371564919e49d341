"""Percentile bootstrap intervals over test images: of an AUROC, of the change of one, of means."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gad_core.validation import checked_labels


def bootstrap_auroc(
    labels: ArrayLike,
    distances: ArrayLike,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 2000,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the AUROC over test images, each kind resampled by itself.

    Parameters
    ----------
    labels : (m,) array
        1 for anomalies, 0 for normal samples.
    distances : (m,) or (folds, m) array
        Distances; those of several folds score the same images and their AUROCs are averaged.
    rng : numpy.random.Generator
        Source of the resamples.
    level : float
        Coverage of the interval.
    resamples : int
        Number of resamples.

    Returns
    -------
    low, high : float
        The interval, as fractions.
    """
    return _bootstrap(_wins(labels, distances), rng, level, resamples)


def bootstrap_auroc_change(
    labels: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 2000,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the difference of two AUROCs on the same test images.

    The images are resampled once for both, because what makes an image easy makes it easy twice.

    Parameters
    ----------
    labels : (m,) array
        1 for anomalies, 0 for normal samples.
    before, after : (m,) or (folds, m) arrays
        Distances of the same images by two ways.
    rng, level, resamples
        As in `bootstrap_auroc`.

    Returns
    -------
    low, high : float
        The interval of the AUROC of `after` minus that of `before`, as fractions.
    """
    return _bootstrap(_wins(labels, after) - _wins(labels, before), rng, level, resamples)


def bootstrap_mean(
    values: ArrayLike, rng: np.random.Generator, *, level: float = 0.95, resamples: int = 2000
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile bootstrap interval of a mean over images.

    Parameters
    ----------
    values : (n, ...) array
        One or more numbers of each image; the images are resampled once for all of them.
    rng, level, resamples
        As in `bootstrap_auroc`.

    Returns
    -------
    low, high : (...) arrays
        The interval of each mean.
    """
    values = np.asarray(values, dtype=np.float64)
    means = np.tensordot(_multiplicities(len(values), resamples, rng), values, 1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _wins(labels: ArrayLike, distances: ArrayLike) -> NDArray[np.float64]:
    """1 where an anomaly (row) lies further out than a normal one (column), 0.5 for ties; folds averaged."""
    labels, distances = checked_labels(labels), np.atleast_2d(distances)
    normal, anomalous = distances[:, labels == 0], distances[:, labels == 1]
    return np.mean([np.greater.outer(a, n) + 0.5 * np.equal.outer(a, n)
                    for a, n in zip(anomalous, normal, strict=True)], axis=0)  # fmt: skip


def _bootstrap(
    wins: NDArray[np.float64], rng: np.random.Generator, level: float, resamples: int
) -> tuple[float, float]:
    # A resample is a vector of multiplicities; the AUROC is bilinear in those of the two kinds.
    of_anomalous = _multiplicities(wins.shape[0], resamples, rng)
    of_normal = _multiplicities(wins.shape[1], resamples, rng)
    values = np.einsum("bn,bn->b", of_anomalous @ wins, of_normal)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _multiplicities(count: int, resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples) / count
