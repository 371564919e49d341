"""The normal samples that are most like a sample, in the detector's own metric.

The Mahalanobis distance measures how far a sample lies from the mean. With the same precision matrix P it
also measures how far two samples lie apart, d(x, y)² = (x - y)' P (x - y), and for "sum" the distances of the
levels add up as they do for the detector. In coordinates divided by the spread along each axis (*whitened*
ones) it is the Euclidean distance, so the nearest samples are plain nearest neighbours there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.utils.validation import check_is_fitted, validate_data

from gad_core.detector import GaussianDetector
from gad_core.errors import InputError
from gad_core.gaussian import Gaussian


class Neighbours(NamedTuple):
    """The nearest normal samples of some samples, nearest first."""

    indices: NDArray[np.intp]
    """(m, k) rows of the normal samples."""
    distances: NDArray[np.float64]
    """(m, k), in the unit of the detector's distance M."""


def nearest_normal(detector: GaussianDetector, normal: ArrayLike, X: ArrayLike, count: int = 3) -> Neighbours:
    """Find the normal samples that are most like each sample, in the metric of a detector.

    Parameters
    ----------
    detector : GaussianDetector
        Fitted.
    normal : (n, p) array
        Features of normal samples, usually those that the detector was fitted to.
    X : (m, p) array
        Features of the samples to look at. A sample that is also in `normal` finds itself, at distance 0.
    count : int
        Number of neighbours of each, k.

    Returns
    -------
    Neighbours
        Equally near ones in the order of `normal`.

    Raises
    ------
    InputError
        If there are fewer than `count` normal samples, or `count` is not at least 1.
    ValueError
        If the width of a matrix is not the detector's, or it holds NaN or infinity.

    Examples
    --------
    >>> normal = np.random.default_rng(0).normal(size=(50, 3))
    >>> detector = GaussianDetector(threshold="chi2").fit(normal)
    >>> found = nearest_normal(detector, normal, normal[[7]], count=2)
    >>> int(found.indices[0, 0]), float(found.distances[0, 0])
    (7, 0.0)
    """
    distances = pairwise_mahalanobis(detector, X, normal)
    if not 1 <= count <= distances.shape[1]:
        raise InputError(
            f"{count} neighbours were asked for among {distances.shape[1]} normal samples: ask for 1 to "
            f"{distances.shape[1]}"
        )
    indices = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return Neighbours(indices, np.take_along_axis(distances, indices, axis=1))


def pairwise_mahalanobis(detector: GaussianDetector, X: ArrayLike, Y: ArrayLike) -> NDArray[np.float64]:
    """Mahalanobis distance between each two samples.

    Parameters
    ----------
    detector : GaussianDetector
        Fitted.
    X, Y : (m, p), (n, p) arrays
        Features.

    Returns
    -------
    (m, n) array
        For "sum" the sum over the levels. The distance of a sample to the mean is the detector's own M.
    """
    check_is_fitted(detector, "gaussians_")
    first, second = (validate_data(detector, each, reset=False, dtype=np.float64) for each in (X, Y))
    columns = detector.columns_
    distances = np.zeros((len(first), len(second)))
    for level, gaussian in detector.gaussians_.items():
        x, y = (whitened(gaussian, each[:, columns[level]]) for each in (first, second))
        distances += cdist(x, y)
    return distances


def whitened(gaussian: Gaussian, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinates in which the Euclidean distance is the Mahalanobis distance.

    Parameters
    ----------
    gaussian : Gaussian
        With axes and variances.
    X : (m, p) array
        Samples.

    Returns
    -------
    (m, k + p) array
        What lies along the k axes, divided by the spread along them, then what lies outside of them. The
        squared norm of a row is its squared distance to the mean; ignored directions are 0.
    """
    centred = X - gaussian.location
    along = centred @ gaussian.components.T
    outside = centred - along @ gaussian.components
    return np.hstack([along / np.sqrt(gaussian.variances), outside / np.sqrt(gaussian.residual_variance)])
