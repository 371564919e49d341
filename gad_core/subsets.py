"""Ledoit-Wolf Gaussians of many subsets of the same rows, without refitting each from the features.

Experiments that add, drop or hold out samples fit hundreds of Gaussians to overlapping rows. Two forms are
exact and quick. With more samples than features the sums of a subset are those of all rows minus those of the
rows taken out (`Moments`). With fewer, the dual form needs the rows' inner products only: they are found once
for all rows, and a subset's shrinkage and distances follow from its part of that matrix, whatever the number
of features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.lapack import dpotrf, dtrtri, dtrtrs

from gad_core.components import require_two_samples
from gad_core.errors import InputError
from gad_core.moments import Moments, column_means, ledoit_wolf_shrinkage

Rows = NDArray[np.intp]
"""Numbers of rows of a matrix, each once."""


class RowGaussians:
    """A matrix whose rows Gaussians are fitted to, any subset of them, and that distances are asked of.

    Parameters
    ----------
    X : (N, p) array
        Features.

    Examples
    --------
    >>> rows = RowGaussians(np.random.default_rng(0).normal(size=(40, 100)))
    >>> gaussian = rows.fit(np.arange(30))
    >>> gaussian.squared_mahalanobis(np.arange(30, 40)).shape
    (10,)
    >>> gaussian.without(np.arange(6)).rows.size
    24
    """

    def __init__(self, X: ArrayLike) -> None:
        X = np.asarray(X)
        # About the mean of all rows: distances do not see it, and less is lost to rounding.
        self.centered: NDArray[np.float64] = X - column_means(X)

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """Inner products (N, N) of the rows, about the mean of all."""
        return self.centered @ self.centered.T

    def moments(self, rows: Rows) -> Moments:
        """Sum over a subset."""
        return Moments.from_data(self.centered[rows], np.zeros(self.centered.shape[1]))

    def fit(self, rows: Rows) -> SubsetGaussian:
        """Fit a Gaussian with Ledoit-Wolf shrinkage to a subset.

        Parameters
        ----------
        rows : (n,) array
            Numbers of the rows, n >= 2.

        Returns
        -------
        SubsetGaussian
            The distances of `gad_core.gaussian.fit_gaussian` on these rows.

        Raises
        ------
        InputError
            If there are fewer than two rows, or their covariance is singular and its shrinkage 0.
        """
        rows = np.asarray(rows, dtype=np.intp)
        require_two_samples(len(rows))
        if len(rows) <= self.centered.shape[1]:
            return _DualGaussian(self, rows)
        return _PrimalGaussian(self, rows, self.moments(rows))


class SubsetGaussian(ABC):
    """Ledoit-Wolf Gaussian of some rows of a matrix, made by `RowGaussians.fit`.

    With the centred rows Z (n, p) its covariance is ``w Zᵀ Z + a I``. All that follows from a Cholesky factor
    of that matrix, or of its dual ``w Z Zᵀ + a I``.

    Parameters
    ----------
    source : RowGaussians
        The matrix.
    rows : (n,) array
        Numbers of the rows that it is fitted to.
    scatter : (k, k) array
        ``Zᵀ Z`` or ``Z Zᵀ``; it is overwritten.
    fourth : float
        Sum of the fourth power of the rows' distances to their mean.

    Attributes
    ----------
    shrinkage : float
        The Ledoit-Wolf shrinkage s.
    weight, ridge : float
        ``w = (1 - s) / n`` and ``a``, s times the mean variance.
    """

    def __init__(self, source: RowGaussians, rows: Rows, scatter: NDArray[np.float64], fourth: float) -> None:
        n, p = len(rows), source.centered.shape[1]
        trace, squared_norm = float(np.trace(scatter)) / n, float(np.vdot(scatter, scatter)) / n**2
        self.source, self.rows = source, rows
        self.shrinkage = ledoit_wolf_shrinkage(n, p, trace, squared_norm, fourth)
        self.weight, self.ridge = (1 - self.shrinkage) / n, self.shrinkage * trace / p
        scatter *= self.weight
        scatter.flat[:: len(scatter) + 1] += self.ridge
        # LAPACK itself: for small matrices scipy's checks take longer than the work.
        self._factor, failed = dpotrf(scatter.T, lower=1, overwrite_a=1)
        if failed or (n <= p and not self.ridge):  # rounding can hide it
            raise InputError(
                f"the covariance of {n} samples with {p} features is singular (shrinkage "
                f"{self.shrinkage:g}): give more samples, or samples that differ"
            )

    @abstractmethod
    def squared_mahalanobis(self, rows: Rows) -> NDArray[np.float64]:
        """Squared Mahalanobis distance (m,) of rows of the matrix, in the subset or not."""

    def without(self, rows: Rows) -> SubsetGaussian:
        """Gaussian of the subset's other rows, by a down-date.

        Parameters
        ----------
        rows : (k,) array
            Numbers of rows of the subset.

        Returns
        -------
        SubsetGaussian
            As if fitted to the other rows.

        Raises
        ------
        InputError
            If a row is not in the subset, or fewer than two are left.
        """
        rest = self._rest(rows)
        return self.source.fit(rest) if len(rows) else self

    def _rest(self, rows: Rows) -> Rows:
        stays = np.ones(len(self.source.centered), dtype=bool)
        stays[rows] = False
        rest = self.rows[stays[self.rows]]
        if len(rest) + len(rows) != len(self.rows):
            raise InputError("only rows of the subset, each once, can be taken out of it")
        return rest

    @cached_property
    def own_squared(self) -> NDArray[np.float64]:
        """Squared Mahalanobis distance (n,) of the subset's rows, in their order."""
        return self.squared_mahalanobis(self.rows)

    def left_out_squared(self) -> NDArray[np.float64]:
        """Squared distance (n,) of each of the subset's rows to the Gaussian of the others.

        A Gaussian lies closer to a sample that it was fitted to than to an equal one that it was not, the
        more so the fewer the samples. These distances can be compared with those of other rows. They come
        from a rank-one down-date; the shrinkage, and the n of 1/n, stay those of the whole subset.
        """
        n, inside = len(self.rows), self.own_squared
        # The mean moves by z / (n - 1), and the scatter loses n / (n - 1) z zᵀ.
        change = n / (n - 1)
        return change**2 * inside / (1 - self.weight * change * inside)

    def _solved(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        return dtrtrs(self._factor, right, lower=1)[0]


class _PrimalGaussian(SubsetGaussian):
    """The form for more samples than features: sums, and a factor of the p x p covariance."""

    def __init__(self, source: RowGaussians, rows: Rows, moments: Moments) -> None:
        self.moments, self.location = moments, moments.location
        super().__init__(source, rows, moments.covariance * moments.count, moments.centered_fourth)

    def squared_mahalanobis(self, rows: Rows) -> NDArray[np.float64]:
        return _squared_norms(self._solved((self.source.centered[rows] - self.location).T))

    def without(self, rows: Rows) -> SubsetGaussian:
        rest = self._rest(rows)
        if not len(rows) or len(rest) <= len(self.location):
            return super().without(rows)
        return _PrimalGaussian(self.source, rest, self.moments - self.source.moments(rows))


class _DualGaussian(SubsetGaussian):
    """The form for no more samples than features: inner products, and a factor of an n x n matrix."""

    def __init__(self, source: RowGaussians, rows: Rows) -> None:
        scatter = source.gram[np.ix_(rows, rows)]
        self._means = scatter.mean(axis=0)  # inner products with the mean
        self._squared_mean = float(self._means.mean())
        scatter -= self._means
        scatter -= (self._means - self._squared_mean)[:, None]
        own = scatter.diagonal()
        super().__init__(source, rows, scatter, float(own @ own))

    def squared_mahalanobis(self, rows: Rows) -> NDArray[np.float64]:
        products = self.source.gram[np.ix_(self.rows, rows)]
        means = products.mean(axis=0)
        products -= means
        products -= (self._means - self._squared_mean)[:, None]
        squared_norms = self.source.gram[rows, rows] - 2 * means + self._squared_mean
        # Woodbury: (w Zᵀ Z + a I)⁻¹ = (I - w Zᵀ (w Z Zᵀ + a I)⁻¹ Z) / a
        inside = self.weight * _squared_norms(self._solved(products))
        return np.maximum(squared_norms - inside, 0.0) / self.ridge

    @cached_property
    def own_squared(self) -> NDArray[np.float64]:
        # With D the factored matrix, Z (w Zᵀ Z + a I)⁻¹ Zᵀ = (I - a D⁻¹) / w.
        if not self.weight:
            return super().own_squared
        inverse_factor, _ = dtrtri(self._factor, lower=1)
        return (1 - self.ridge * _squared_norms(inverse_factor)) / self.weight


def _squared_norms(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.einsum("ij,ij->j", columns, columns)


@dataclass(frozen=True, eq=False)
class SummedGaussians:
    """Gaussians of the same rows of several matrices, such as one for each level, and the sum of their M.

    Parameters
    ----------
    parts : tuple of SubsetGaussian
        One or more, fitted to the same rows.
    """

    parts: tuple[SubsetGaussian, ...]

    @property
    def rows(self) -> Rows:
        """Numbers of the rows that it is fitted to, (n,)."""
        return self.parts[0].rows

    def mahalanobis(self, rows: Rows) -> NDArray[np.float64]:
        """Sum of the distances M (m,) of rows of the matrices."""
        return _sum_of_roots(part.squared_mahalanobis(rows) for part in self.parts)

    def left_out(self) -> NDArray[np.float64]:
        """Sum of the distances M (n,) of each of its own rows to the Gaussians of the others."""
        return _sum_of_roots(part.left_out_squared() for part in self.parts)

    def without(self, rows: Rows) -> SummedGaussians:
        """Gaussians of the other rows; see `SubsetGaussian.without`."""
        return SummedGaussians(tuple(part.without(rows) for part in self.parts))


def _sum_of_roots(squares: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.sum([np.sqrt(squared) for squared in squares], axis=0)
