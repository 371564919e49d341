"""Estimates from training samples that may hold anomalies which nobody marked.

Both start somewhere, keep the samples that lie near, fit to those, and repeat: the concentration steps of
FAST-MCD, here with a Gaussian whose shrinkage makes them possible with fewer samples than features. A sample
inside the fit would always look nearer than one outside of it, so each is measured against the Gaussian of
the others (`SubsetGaussian.left_out_squared`); without that, the first choice would never change.

References
----------
Rousseeuw and Van Driessen, "A fast algorithm for the minimum covariance determinant estimator", 1999.
Boudt, Rousseeuw, Vanduffel and Verdonck, "The minimum regularized covariance determinant estimator", 2020.
Billor, Hadi and Velleman, "BACON: blocked adaptive computationally efficient outlier nominators", 2000.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation

from gad_core.errors import InputError
from gad_core.subsets import SummedGaussians

LIMIT = 10
"""Most steps; the choice can alternate between subsets that differ in a few samples."""

CUTOFF = 3.5
"""Modified z-score above which a value counts as an outlier (Iglewicz and Hoaglin, 1993)."""


def training_distances(whole: SummedGaussians, fitted: SummedGaussians) -> NDArray[np.float64]:
    """Distance of every training sample to Gaussians that it took no part in.

    Parameters
    ----------
    whole : SummedGaussians
        Of all training samples, n.
    fitted : SummedGaussians
        Of some of them.

    Returns
    -------
    (n,) array
        In the order of ``whole.rows``.
    """
    inside = np.isin(whole.rows, fitted.rows)
    distances = np.empty(len(whole.rows))
    distances[inside] = fitted.left_out()
    distances[~inside] = fitted.mahalanobis(whole.rows[~inside])
    return distances


def concentrate(
    whole: SummedGaussians,
    start: SummedGaussians,
    choose: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
    limit: int = LIMIT,
) -> SummedGaussians:
    """Fit to the samples that lie near, and choose again, until the choice stays or `limit` is reached.

    Parameters
    ----------
    whole, start : SummedGaussians
        Of all training samples, and of those to start from.
    choose : callable
        Marks the samples to keep, from the distances of all.
    limit : int
        Most steps.

    Returns
    -------
    SummedGaussians
        Of the samples kept.
    """
    fitted = start
    for _ in range(limit):
        keep = choose(training_distances(whole, fitted))
        if np.array_equal(whole.rows[keep], fitted.rows):
            break
        fitted = whole.without(whole.rows[~keep])
    return fitted


def trimmed(whole: SummedGaussians, share: float = 0.2, limit: int = LIMIT) -> SummedGaussians:
    """Drop the most distant share of the training samples, fit again, and repeat.

    Parameters
    ----------
    whole : SummedGaussians
        Of all training samples, where it starts.
    share : float
        The share dropped, 0 <= share < 1; always that much, whether there are anomalies or not.
    limit : int
        Most steps.

    Returns
    -------
    SummedGaussians
        Of the samples kept.
    """
    if not 0 <= share < 1:
        raise InputError(f"the trimmed share is a fraction from 0 to below 1, such as 0.2; not {share!r}")
    dropped = round(share * len(whole.rows))
    return concentrate(whole, whole, lambda distances: _nearest(distances, len(distances) - dropped), limit)


def robust(
    whole: SummedGaussians, centrality: NDArray[np.float64], cutoff: float = CUTOFF, limit: int = LIMIT
) -> SummedGaussians:
    """Start from the half of the samples nearest to the middle, then take in all that fit with it.

    A sample is kept if its distance exceeds the median of all by no more than `cutoff` robust standard
    deviations (median absolute deviation). At least half of the samples are, and without outliers nearly all.

    Parameters
    ----------
    whole : SummedGaussians
        Of all training samples, n.
    centrality : (n,) array
        A distance to the middle that anomalies cannot pull, such as `median_distances`.
    cutoff : float
        In robust standard deviations.
    limit : int
        Most steps.

    Returns
    -------
    SummedGaussians
        Of the samples kept.
    """
    half = _nearest(centrality, (len(centrality) + 1) // 2)
    start = whole.without(whole.rows[~half])
    return concentrate(whole, start, lambda distances: _inliers(distances, cutoff), limit)


def median_distances(X: NDArray, columns: list[slice]) -> NDArray[np.float64]:
    """Sum over groups of columns of the length of the z-scores about median and median absolute deviation.

    Parameters
    ----------
    X : (n, p) array
        Samples.
    columns : list of slice
        The groups, such as one for each level.

    Returns
    -------
    (n,) array
        Features that are the same in half of the samples have no such z-score and are left out.
    """
    Z = np.array(X.T, dtype=np.float64, order="C")
    Z -= np.median(Z, axis=1, keepdims=True)
    spread = np.median(np.abs(Z), axis=1)
    Z *= np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)[:, None]
    return np.sum([np.linalg.norm(Z[where], axis=0) for where in columns], axis=0)


def _nearest(distances: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    keep = np.zeros(len(distances), dtype=bool)
    keep[np.argsort(distances, kind="stable")[:count]] = True
    return keep


def _inliers(distances: NDArray[np.float64], cutoff: float) -> NDArray[np.bool_]:
    spread = float(median_abs_deviation(distances, scale="normal"))
    return distances <= np.median(distances) + cutoff * spread
