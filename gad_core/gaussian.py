"""One multivariate Gaussian and its Mahalanobis distance.

The covariance is held as principal axes with their variances, plus one variance for every direction outside
of them. That one form serves few samples (n < p, where shrinkage gives all the unseen directions the same
variance), many samples (the axes span everything), and subspaces (directions outside are ignored).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gad_core.components import PrincipalComponents, principal_components, project, require_two_samples
from gad_core.covariance import Covariance, regularize
from gad_core.errors import InputError
from gad_core.moments import (
    mean_and_variance,
    row_blocks,
)
from gad_core.subspaces import Reduce


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A Gaussian given by its mean and the principal axes of its covariance.

    Parameters
    ----------
    location : (p,) array
        Mean.
    components : (k, p) array
        Orthonormal axes.
    variances : (k,) array
        Variance along each axis, shrinkage included; infinite along an axis that is ignored.
    residual_variance : float or (p,) array
        Variance in every direction outside of the axes; infinite when such directions are ignored. With
        no axes (k = 0) it may be one value for each feature.
    degrees_of_freedom : int
        Dimension of the space that the distance looks at: that of the chi-square law of M squared.
    shrinkage : float
        The shrinkage that was used; 0 without.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> gaussian = fit_gaussian(X, covariance="empirical")
    >>> round(float(np.mean(gaussian.mahalanobis(X) ** 2)), 6)  # p, for the empirical covariance
    4.0
    """

    location: NDArray[np.float64]
    components: NDArray[np.float64]
    variances: NDArray[np.float64]
    residual_variance: float | NDArray[np.float64]
    degrees_of_freedom: int
    shrinkage: float = 0.0

    def __sizeof__(self) -> int:
        """Bytes that it takes, by which Dask decides what its workers can hold."""
        return object.__sizeof__(self) + self.components.nbytes + self.location.nbytes + self.variances.nbytes

    @property
    def n_features(self) -> int:
        """The number of features, p."""
        return len(self.location)

    def squared_mahalanobis(self, Y: ArrayLike) -> NDArray[np.float64]:
        """Squared Mahalanobis distance M² of samples (m, p) to the mean, (m,)."""
        Y = np.asarray(Y)
        if isinstance(self.residual_variance, np.ndarray):
            return _squared_z_scores(Y, self.location, self.residual_variance)
        squared, residual_precision = np.empty(len(Y)), 1 / self.residual_variance
        for where, block in row_blocks(Y):  # of a million samples no other array has a million rows
            found = project(self.location, self.components, block)
            squared[where] = squared_distance(*found, self.variances, residual_precision)
        return squared

    def mahalanobis(self, Y: ArrayLike) -> NDArray[np.float64]:
        """Mahalanobis distance M of samples (m, p) to the mean, (m,)."""
        return np.sqrt(self.squared_mahalanobis(Y))

    def gradient(self, Y: ArrayLike) -> NDArray[np.float64]:
        """Gradient of M with respect to the samples.

        Parameters
        ----------
        Y : (m, p) array
            Samples.

        Returns
        -------
        (m, p) array
            P (y - m) / M with the precision P; its inner product with y - m is M again. Zero where M = 0.
        """
        Y = np.asarray(Y)
        distances = self.mahalanobis(Y)[:, None]
        return np.divide(self._whitened(Y - self.location), distances, where=distances > 0,
                         out=np.zeros(Y.shape))  # fmt: skip

    def _whitened(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Precision times each centred sample, without the p x p matrix."""
        if isinstance(self.residual_variance, np.ndarray):
            return Z / self.residual_variance
        coordinates = Z @ self.components.T
        outside = Z - coordinates @ self.components
        return (coordinates / self.variances) @ self.components + outside / self.residual_variance

    @property
    def precision(self) -> NDArray[np.float64]:
        """Inverse covariance (p, p); zero along ignored directions."""
        weights = 1 / self.variances
        residual = 1 / np.broadcast_to(self.residual_variance, self.n_features)
        inside = (self.components.T * weights) @ self.components
        outside = np.eye(self.n_features) - self.components.T @ self.components
        return inside + outside * residual


def squared_distance(
    coordinates: NDArray[np.float64],
    squared_norms: NDArray[np.float64],
    variances: NDArray[np.float64],
    residual_precision: float,
) -> NDArray[np.float64]:
    """Squared Mahalanobis distance from coordinates on the principal axes.

    Parameters
    ----------
    coordinates : (m, k) array
        Signed distance from the mean along each axis.
    squared_norms : (m,) array
        Squared Euclidean distance to the mean.
    variances : (k,) array
        Variance along each axis.
    residual_precision : float
        One over the variance outside of the axes; 0 ignores it.

    Returns
    -------
    (m,) array
        M squared.
    """
    squared = coordinates**2
    distance = squared @ (1 / variances)
    if residual_precision:
        outside = np.maximum(squared_norms - squared.sum(axis=1), 0.0)
        distance += outside * residual_precision
    return distance


def _squared_z_scores(
    Y: NDArray, location: NDArray[np.float64], variances: NDArray[np.float64]
) -> NDArray[np.float64]:
    squared = np.empty(len(Y))
    for where, block in row_blocks(Y):
        squared[where] = (block - location) ** 2 @ (1 / variances)
    return squared


def fit_gaussian(X: ArrayLike, covariance: Covariance = "ledoit_wolf", reduce: Reduce = None) -> Gaussian:
    """Fit a Gaussian to the rows of a data matrix in float64.

    Parameters
    ----------
    X : (n, p) array
        Normal samples, n >= 2.
    covariance : {"ledoit_wolf", "oas", "empirical", "diagonal", "spherical"}
        Ledoit-Wolf shrinkage of the 1/n covariance (the paper's choice), oracle approximating shrinkage of
        it, the 1/n covariance itself, its diagonal (distances are those of z-scores, the paper's baseline
        SED), or the identity (distances to the mean, the baseline L2).
    reduce : None, ("pca", t) or ("npca", t)
        Look only at a subspace of principal components; the shrinkage is found again inside it.

    Returns
    -------
    Gaussian
        The fit.

    Raises
    ------
    InputError
        For fewer than two samples, equal samples, or a covariance that is singular: the empirical one with
        no more samples than features, the diagonal one with a constant feature.
    """
    X = np.asarray(X)
    if reduce is None and covariance in ("diagonal", "spherical"):
        require_two_samples(len(X))
        return _uncorrelated(*mean_and_variance(X), covariance)
    return gaussian_from_components(principal_components(X), covariance, reduce)


def gaussian_from_components(
    fitted: PrincipalComponents, covariance: Covariance = "ledoit_wolf", reduce: Reduce = None
) -> Gaussian:
    """Fit a Gaussian from principal components that are already there; see `fit_gaussian`."""
    if reduce is None and covariance in ("diagonal", "spherical"):
        return _uncorrelated(fitted.location, fitted.feature_variances, covariance)
    found = regularize(fitted, covariance, reduce)
    return Gaussian(
        fitted.location,
        fitted.components[found.kept],
        found.variances,
        found.residual_variance,
        found.degrees_of_freedom,
        found.shrinkage,
    )


def _uncorrelated(
    location: NDArray[np.float64], feature_variances: NDArray[np.float64], covariance: str
) -> Gaussian:
    if covariance == "spherical":
        residual: float | NDArray[np.float64] = 1.0
    else:
        noise = (4 * np.finfo(np.float64).eps * np.abs(location)) ** 2
        constant = np.flatnonzero(feature_variances <= noise)
        if len(constant):
            raise InputError(
                f"column {constant[0]} is constant in the training samples ({len(constant)} such columns): "
                'its z-score is undefined; leave it out or use covariance="ledoit_wolf"'
            )
        residual = feature_variances
    p = len(location)
    return Gaussian(location, np.empty((0, p)), np.empty(0), residual, p)
