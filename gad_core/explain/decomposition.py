"""What a distance is made of: M squared, divided among channels, levels and principal components.

With w, the gradient of the distance M with respect to the features, M is the sum of w_j (f_j - m_j) over the
channels j. Times M, that is a division of M squared which adds up exactly, for the "sum" over levels too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gad_core.detector import GaussianDetector
from gad_core.explain.maps import detector_mean, distance_gradient
from gad_core.gaussian import Gaussian
from gad_core.levels import level_columns


class ComponentParts(NamedTuple):
    """Parts of M squared along the axes of one Gaussian, most variance first, and outside of them."""

    along: NDArray[np.float64]
    """(m, k); for the diagonal covariance, whose axes are the features, (m, p)."""
    outside: NDArray[np.float64]
    """(m,): what lies in directions in which the training samples do not vary."""


def channel_parts(detector: GaussianDetector, X: ArrayLike) -> NDArray[np.float64]:
    """Divide M squared among the features.

    Parameters
    ----------
    detector : GaussianDetector
        Fitted.
    X : (m, p) array
        Features.

    Returns
    -------
    (m, p) array
        M w_j (f_j - m_j): each row adds up to M squared. A part is negative where a feature, given the
        others, makes the sample more normal.
    """
    X = np.asarray(X)
    distances = detector.mahalanobis(X)[:, None]
    return distances * distance_gradient(detector, X) * (X - detector_mean(detector))


def level_parts(detector: GaussianDetector, X: ArrayLike) -> NDArray[np.float64]:
    """Divide M squared among the levels.

    Parameters
    ----------
    detector : GaussianDetector
        Fitted.
    X : (m, p) array
        Features.

    Returns
    -------
    (m, L) array
        One column for each of the detector's ``levels`` (one in all without levels); each row adds up to M
        squared. For "sum" a level's part is M times its own distance.
    """
    parts = channel_parts(detector, X)
    columns = level_columns(detector.levels or {1: detector.n_features_in_}).values()
    return np.stack([parts[:, where].sum(axis=1) for where in columns], axis=1)


def component_parts(detector: GaussianDetector, X: ArrayLike) -> dict[int | str, ComponentParts]:
    """Divide M squared among the principal components of each Gaussian.

    Parameters
    ----------
    detector : GaussianDetector
        Fitted.
    X : (m, p) array
        Features.

    Returns
    -------
    dict of int or str to ComponentParts
        By the keys of ``gaussians_``; all together add up to M squared. For "sum", a level's squared distance
        is scaled by M over its distance.
    """
    X = np.asarray(X)
    levels, total = detector.level_distances(X), detector.mahalanobis(X)
    scales = np.divide(total[:, None], levels, out=np.zeros_like(levels), where=levels > 0)
    columns = detector.columns_
    found = {}
    for (level, gaussian), scale in zip(detector.gaussians_.items(), scales.T, strict=True):
        along, outside = _parts(gaussian, X[:, columns[level]])
        found[level] = ComponentParts(along * scale[:, None], outside * scale)
    return found


def _parts(gaussian: Gaussian, Y: NDArray) -> ComponentParts:
    """Terms of one Gaussian's squared distance."""
    if isinstance(gaussian.residual_variance, np.ndarray):
        return ComponentParts((Y - gaussian.location) ** 2 / gaussian.residual_variance, np.zeros(len(Y)))
    along = ((Y - gaussian.location) @ gaussian.components.T) ** 2 / gaussian.variances
    return ComponentParts(along, gaussian.squared_mahalanobis(Y) - along.sum(axis=1))
