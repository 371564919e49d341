"""Mergeable sufficient statistics of a Gaussian, and the exact Ledoit-Wolf shrinkage from them.

Five sums about a fixed shift are enough for the mean, the covariance and the Ledoit-Wolf shrinkage. Sums can
be added and subtracted, so fits can be streamed, merged across machines, and taken apart again: the sums of
four folds are those of all data minus those of the fifth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gad_core.errors import InputError

BLOCK_BYTES = 32 * 2**20
"""Size of the float64 working copy of a block of rows; bounds memory whatever the number of rows."""


def row_blocks(X: NDArray, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Walk over the rows of a matrix in float64 blocks of bounded size.

    Parameters
    ----------
    X : (n, p) array
        Any real type.
    block_bytes : int
        Largest size of a block in bytes; a block has at least one row.

    Yields
    ------
    (slice, (b, p) float64 array)
        Where the block stands in `X`, and the block.
    """
    rows = max(1, block_bytes // (8 * max(1, X.shape[1])))
    for start in range(0, len(X), rows):
        where = slice(start, min(start + rows, len(X)))
        yield where, np.asarray(X[where], dtype=np.float64)


def column_means(X: NDArray) -> NDArray[np.float64]:
    """Mean (p,) of each column in float64."""
    return np.asarray(np.mean(X, axis=0, dtype=np.float64))


def mean_and_variance(X: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (p,) and variance with 1/n (p,) of each column in float64, without a float64 copy of `X`."""
    mean = column_means(X)
    squares = sum(np.einsum("ij,ij->j", block - mean, block - mean) for _, block in row_blocks(X))
    return mean, np.asarray(squares / len(X))


def ledoit_wolf_shrinkage(
    count: int, n_features: int, trace: float, squared_norm: float, fourth: float
) -> float:
    """Ledoit-Wolf shrinkage of a covariance towards the scaled identity, from four numbers.

    Parameters
    ----------
    count, n_features : int
        n and p.
    trace : float
        Trace of the 1/n covariance S.
    squared_norm : float
        Squared Frobenius norm of S.
    fourth : float
        Sum over samples of the fourth power of the distance to the mean, ``sum ||x - m||**4``.

    Returns
    -------
    float
        The shrinkage s in [0, 1]; the estimate is ``(1 - s) S + s (trace / p) I``.

    References
    ----------
    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004.
    """
    if n_features == 1:
        return 0.0  # S is already a multiple of the identity
    spread = (squared_norm - trace**2 / n_features) / n_features
    noise = (fourth / count - squared_norm) / (n_features * count)
    noise = min(noise, spread)
    return float(max(0.0, noise / spread)) if noise > 0 else 0.0


def oas_shrinkage(count: int, n_features: int, trace: float, squared_norm: float) -> float:
    """Oracle approximating shrinkage of a covariance towards the scaled identity.

    The best constant shrinkage if the samples are Gaussian. As in scikit-learn, the terms in 2/p of the
    article's equation 23 are left out; they vanish for many features.

    Parameters
    ----------
    count, n_features, trace, squared_norm
        As in `ledoit_wolf_shrinkage`.

    Returns
    -------
    float
        The shrinkage s in [0, 1].

    References
    ----------
    Chen, Wiesel, Eldar and Hero, "Shrinkage algorithms for MMSE covariance estimation", 2010.
    """
    if n_features == 1:
        return 0.0  # S is already a multiple of the identity
    spread = (count + 1) * (squared_norm - trace**2 / n_features)
    noise = squared_norm + trace**2
    return float(min(1.0, noise / spread)) if spread > 0 else 1.0


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over samples x, with y = x - shift: enough for mean, covariance and Ledoit-Wolf shrinkage.

    Parameters
    ----------
    count : int
        n, the number of samples.
    shift : (p,) array
        The fixed point the sums are taken about; near the mean it keeps them accurate.
    first : (p,) array
        Sum of y.
    second : (p, p) array
        Sum of y yᵀ.
    third : (p,) array
        Sum of ||y||² y.
    fourth : float
        Sum of ||y||⁴.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> whole = Moments.from_data(X[:30]) + Moments.from_data(X[30:])
    >>> bool(np.allclose(whole.location, X.mean(axis=0)))
    True
    >>> (whole - Moments.from_data(X[30:])).count
    30
    """

    count: int
    shift: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    third: NDArray[np.float64]
    fourth: float

    @classmethod
    def from_data(cls, X: ArrayLike, shift: ArrayLike | None = None) -> Moments:
        """Sum over the rows of a data matrix, in blocks of bounded size.

        Parameters
        ----------
        X : (n, p) array
            One sample a row.
        shift : (p,) array, optional
            The fixed point; by default the mean of `X`.

        Returns
        -------
        Moments
            The sums, in float64.
        """
        X = np.asarray(X)
        if X.ndim != 2 or not len(X):
            raise InputError(f"moments need an (n, p) matrix with at least one row, not shape {X.shape}")
        shift = column_means(X) if shift is None else np.asarray(shift, np.float64)
        p = X.shape[1]
        first, second, third, fourth = np.zeros(p), np.zeros((p, p)), np.zeros(p), 0.0
        for _, block in row_blocks(X):
            y = block - shift
            squared = np.einsum("ij,ij->i", y, y)
            first += y.sum(axis=0)
            second += y.T @ y
            third += squared @ y
            fourth += float(squared @ squared)
        return cls(len(X), shift, first, second, third, fourth)

    def shifted(self, shift: NDArray[np.float64]) -> Moments:
        """Give the same statistics about another fixed point, exactly, without the data."""
        e = shift - self.shift
        if not e.any():
            return self
        n, s1, s2, s3 = self.count, self.first, self.second, self.third
        ee, trace, along, s2e = e @ e, np.trace(s2), s1 @ e, s2 @ e
        second = s2 - np.outer(s1, e) - np.outer(e, s1) + n * np.outer(e, e)
        third = s3 - 2 * s2e + ee * s1 - e * (trace - 2 * along + n * ee)
        return Moments(n, shift, s1 - n * e, second, third, self._shifted_fourth(e))

    def _shifted_fourth(self, e: NDArray[np.float64]) -> float:
        ee, along = e @ e, self.first @ e
        quadratic = 4 * e @ self.second @ e + self.count * ee**2 + 2 * ee * np.trace(self.second)
        return float(self.fourth + quadratic - 4 * e @ self.third - 4 * ee * along)

    def _combined(self, other: Moments, sign: int) -> Moments:
        if other.n_features != self.n_features:
            raise InputError(
                f"moments of {self.n_features} and of {other.n_features} features cannot be combined"
            )
        other = other.shifted(self.shift)
        return Moments(
            self.count + sign * other.count,
            self.shift,
            self.first + sign * other.first,
            self.second + sign * other.second,
            self.third + sign * other.third,
            self.fourth + sign * other.fourth,
        )

    def __add__(self, other: Moments) -> Moments:
        return self._combined(other, +1)

    def __sub__(self, other: Moments) -> Moments:
        if other.count >= self.count:
            raise InputError(f"cannot take {other.count} samples out of the moments of {self.count}")
        return self._combined(other, -1)

    def __sizeof__(self) -> int:
        """Bytes that it takes, by which Dask decides what its workers can hold."""
        return object.__sizeof__(self) + self.second.nbytes + 3 * self.first.nbytes

    @property
    def n_features(self) -> int:
        """The number of features, p."""
        return len(self.shift)

    @property
    def location(self) -> NDArray[np.float64]:
        """Sample mean, (p,)."""
        return self.shift + self.first / self.count

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance with 1/n, before shrinkage, (p, p)."""
        d = self.first / self.count
        return self.second / self.count - np.outer(d, d)

    @property
    def centered_fourth(self) -> float:
        """Sum over samples of ||x - mean||⁴."""
        return self._shifted_fourth(self.first / self.count)

    def ledoit_wolf(self) -> tuple[NDArray[np.float64], float]:
        """Ledoit-Wolf covariance (p, p) and its shrinkage."""
        S = self.covariance
        p, trace = self.n_features, float(np.trace(S))
        shrinkage = ledoit_wolf_shrinkage(self.count, p, trace, float(np.sum(S**2)), self.centered_fourth)
        shrunk = (1 - shrinkage) * S
        shrunk.flat[:: p + 1] += shrinkage * trace / p
        return shrunk, shrinkage


def fold_moments(X: NDArray, folds: list[NDArray[np.intp]]) -> Iterator[Moments]:
    """Moments of all rows but one fold's, for each fold; every row is summed once.

    Parameters
    ----------
    X : (n, p) array
        All samples.
    folds : list of index arrays
        The rows that each fold leaves out; together they are all rows.

    Yields
    ------
    Moments
        Those of the rows outside the fold, found by taking the fold out of the total.
    """
    shift = column_means(X)
    parts = [Moments.from_data(X[fold], shift) for fold in folds]
    total = sum(parts[1:], parts[0])
    for part in parts:
        yield total - part
