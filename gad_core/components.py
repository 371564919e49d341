"""Principal components of normal features: their mean and the axes along which they vary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from gad_core.errors import InputError
from gad_core.moments import Moments, column_means, row_blocks


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Mean and principal axes of training data: all that any of the Gaussians on it is made from.

    Parameters
    ----------
    count : int
        Number of training samples n.
    location : (p,) array
        Their mean.
    components : (k, p) array
        Orthonormal axes of the directions in which the samples vary, most variance first; k is the rank.
    variances : (k,) array
        Variance (1/n) along each axis.
    feature_variances : (p,) array
        Variance (1/n) of each feature.
    fourth : float
        Sum over samples of ||x - location||⁴.
    rows : (n, p) array or None
        The samples; None when the components came from moments alone.
    subspace_fourths : (2, k) array or None
        From `subspace_fourths`; it stands in for the samples where a subspace is fitted.
    """

    count: int
    location: NDArray[np.float64]
    components: NDArray[np.float64]
    variances: NDArray[np.float64]
    feature_variances: NDArray[np.float64]
    fourth: float
    rows: NDArray | None = None
    subspace_fourths: NDArray[np.float64] | None = None

    @property
    def n_features(self) -> int:
        """The number of features, p."""
        return len(self.location)

    def project(self, Y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates of samples on the axes, and their squared distance to the mean.

        Parameters
        ----------
        Y : (m, p) array
            Samples.

        Returns
        -------
        coordinates : (m, k) array
            Signed distance from the mean along each axis.
        squared_norms : (m,) array
            ||y - location||², the part outside of the axes included.
        """
        return project(self.location, self.components, np.asarray(Y))

    @cached_property
    def coordinates(self) -> NDArray[np.float64]:
        """Coordinates (n, k) of the training samples themselves."""
        if self.rows is None:
            raise InputError(
                "a PCA or NPCA subspace needs the training samples, and moments do not hold them: "
                "use fit instead of partial_fit, or reduce=None"
            )
        return self.project(self.rows)[0]

    def fourth_within(self, kept: slice) -> float:
        """Sum over the training samples of the fourth power of their distance to the mean in a subspace.

        Parameters
        ----------
        kept : slice
            Components that span the subspace, from the first or to the last.

        Returns
        -------
        float
            It takes the place of `fourth` there.
        """
        if self.subspace_fourths is not None:
            leading, trailing = self.subspace_fourths
            return float(trailing[kept.start] if kept.start else leading[kept.stop - 1])
        coordinates = self.coordinates[:, kept]
        squared_norms = np.einsum("ij,ij->i", coordinates, coordinates)
        return float(squared_norms @ squared_norms)


def project(
    location: NDArray[np.float64], components: NDArray[np.float64], Y: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates (m, k) on the rows of `components`, and squared distances (m,) to `location`."""
    coordinates, squared_norms = np.empty((len(Y), len(components))), np.empty(len(Y))
    for where, block in row_blocks(Y):
        z = block - location
        np.matmul(z, components.T, out=coordinates[where])
        squared_norms[where] = np.einsum("ij,ij->i", z, z)
    return coordinates, squared_norms


def subspace_fourths(fitted: PrincipalComponents, batches: Iterable[NDArray]) -> NDArray[np.float64]:
    """Sum what the Ledoit-Wolf shrinkage inside any PCA or NPCA subspace needs of the training samples.

    Moments do not hold it, because it depends on the components; with it, samples that were streamed once
    for the moments need only be streamed once more.

    Parameters
    ----------
    fitted : PrincipalComponents
        Of the training samples, with k components.
    batches : iterable of (b, p) arrays
        The same samples; only one batch is looked at at a time.

    Returns
    -------
    (2, k) array
        Sums over samples of the fourth power of the distance to the mean within components 0..i (row 0) and
        within components i to the last (row 1), for each i.
    """
    fourths = np.zeros((2, len(fitted.variances)))
    for batch in batches:
        for _, block in row_blocks(batch):
            squared = project(fitted.location, fitted.components, block)[0] ** 2
            fourths[0] += np.sum(np.cumsum(squared, axis=1) ** 2, axis=0)
            fourths[1] += np.sum(np.cumsum(squared[:, ::-1], axis=1) ** 2, axis=0)[::-1]
    return fourths


def principal_components(X: ArrayLike) -> PrincipalComponents:
    """Principal components of a data matrix in float64.

    With no more samples than features the thin singular value decomposition is used and no p x p matrix is
    formed; otherwise the eigenvectors of the p x p covariance.

    Parameters
    ----------
    X : (n, p) array
        One sample a row, n >= 2.

    Returns
    -------
    PrincipalComponents
        Directions without variance (up to rounding) are left out.

    Raises
    ------
    InputError
        If there are fewer than two samples, or all are equal.
    """
    X = np.asarray(X)
    require_two_samples(len(X))
    if len(X) > X.shape[1]:
        return components_from_moments(Moments.from_data(X), rows=X)
    location = column_means(X)
    Z = X - location
    # Once more: rounding of a large mean would leave a direction in which the samples do not vary at all.
    rest = Z.mean(axis=0)
    Z -= rest
    location = location + rest
    # Not the quicker eigenvectors of Z Zᵀ: squaring would blur the small variances that matter most.
    _, singular, axes = np.linalg.svd(Z, full_matrices=False)
    keep = singular > singular[0] * max(X.shape) * np.finfo(np.float64).eps
    squared = np.einsum("ij,ij->i", Z, Z)
    return _checked(
        PrincipalComponents(
            len(X),
            location,
            axes[keep],
            singular[keep] ** 2 / len(X),
            np.einsum("ij,ij->j", Z, Z) / len(X),
            float(squared @ squared),
            rows=X,
        )
    )


def components_from_moments(moments: Moments, rows: NDArray | None = None) -> PrincipalComponents:
    """Principal components from moments, by the eigenvectors of the p x p covariance.

    Parameters
    ----------
    moments : Moments
        Of at least two samples.
    rows : (n, p) array, optional
        The samples behind the moments; only subspaces need them.

    Returns
    -------
    PrincipalComponents
        Directions without variance (up to rounding) are left out.
    """
    require_two_samples(moments.count)
    S = moments.covariance
    variances, axes = scipy.linalg.eigh(S, driver="evd", check_finite=False)
    variances, axes = variances[::-1], axes.T[::-1]
    keep = variances > variances[0] * len(S) * np.finfo(np.float64).eps
    return _checked(
        PrincipalComponents(
            moments.count,
            moments.location,
            np.ascontiguousarray(axes[keep]),
            variances[keep],
            np.diag(S).copy(),
            moments.centered_fourth,
            rows,
        )
    )


def require_two_samples(count: int) -> None:
    """Raise InputError unless there are at least two samples."""
    if count < 2:
        raise InputError(
            f"a Gaussian cannot be fitted to n_samples = {count}: a spread needs at least 2 normal samples"
        )


def _checked(found: PrincipalComponents) -> PrincipalComponents:
    # Equal rows leave rounding noise of the mean, not an exact zero.
    noise = (np.finfo(np.float64).eps * np.abs(found.location)) ** 2
    if not len(found.variances) or np.all(found.feature_variances <= 4 * noise):
        raise InputError(
            f"all {found.count} training samples are equal: a Gaussian needs samples that differ; "
            "check that the training images are not copies of one image"
        )
    return found
