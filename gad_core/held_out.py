"""Normal samples held out from a fit, in folds or as a share, and their distances to what was fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, train_test_split

from gad_core.components import components_from_moments, require_two_samples
from gad_core.covariance import Covariance
from gad_core.errors import InputError
from gad_core.gaussian import Gaussian, fit_gaussian, gaussian_from_components
from gad_core.moments import fold_moments
from gad_core.subspaces import Reduce

Split = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows to fit on, and rows held out."""


def checked_share(share: float) -> float:
    """Return the share of samples to set aside, or raise InputError if it is none."""
    if not 0 < share < 1:
        raise InputError(f"calibration is a share between 0 and 1, not {share!r}")
    return share


def share_split(count: int, share: float, random_state: int | np.random.RandomState | None) -> Split:
    """Set a share of `count` samples aside, for a conformal threshold.

    Raises
    ------
    InputError
        If the share is not between 0 and 1, or there are fewer than two samples.
    """
    test_size = checked_share(share)
    require_two_samples(count)
    proper, held_out = train_test_split(np.arange(count), test_size=test_size, random_state=random_state)
    return proper, held_out


def fold_splitter(count: int, folds: int, random_state: int | np.random.RandomState | None) -> KFold:
    """Make the splitter of `count` samples into folds, no more than there are samples.

    Raises
    ------
    InputError
        If there are fewer than four samples.
    """
    require_two_samples(count)
    if count < 4:
        # Fewer leave two samples for a fold's fit, from which Ledoit-Wolf cannot estimate a shrinkage.
        raise InputError(
            f"a cross-validated threshold needs at least 4 normal samples, there are {count}: give more"
        )
    return KFold(min(folds, count), shuffle=True, random_state=random_state)


def fold_splits(count: int, folds: int, random_state: int | np.random.RandomState | None) -> list[Split]:
    """Training and held-out rows of each fold of a cross-validated threshold; see `fold_splitter`."""
    return list(fold_splitter(count, folds, random_state).split(np.empty((count, 0))))


def fold_gaussians(
    X: NDArray, splits: list[Split], covariance: Covariance, reduce: Reduce
) -> Iterator[Gaussian]:
    """Gaussians of the training part of each split of the same rows.

    With more samples than features each row is summed once and a fold is taken out of the total; with fewer,
    each fold is fitted by the thin path.

    Parameters
    ----------
    X : (n, p) array
        All samples.
    splits : list of (train, held out) index arrays
        The held-out parts together are all rows, each once.
    covariance, reduce
        As in `gad_core.gaussian.fit_gaussian`.

    Yields
    ------
    Gaussian
        The fit of each split's training rows.
    """
    if min(len(train) for train, _ in splits) <= X.shape[1] or covariance in ("diagonal", "spherical"):
        for train, _ in splits:
            yield fit_gaussian(X[train], covariance, reduce)
        return
    moments = fold_moments(X, [held_out for _, held_out in splits])
    for (train, _), part in zip(splits, moments, strict=True):
        yield gaussian_from_components(components_from_moments(part, rows=X[train]), covariance, reduce)


def held_out_distances(
    X: NDArray,
    columns: Mapping[int | str, slice],
    splits: list[Split],
    covariance: Covariance,
    reduce: Reduce,
) -> NDArray[np.float64]:
    """Distance of each sample to the Gaussians of the split that holds it out.

    Parameters
    ----------
    X : (n, p) array
        All samples.
    columns : mapping of level to slice
        Each Gaussian's columns; its distances are added up.
    splits, covariance, reduce
        As in `fold_gaussians`.

    Returns
    -------
    (n,) array
        Distances M.
    """
    distances = np.zeros(len(X))
    for where in columns.values():
        fits = fold_gaussians(X[:, where], splits, covariance, reduce)
        for (_, held_out), gaussian in zip(splits, fits, strict=True):
            distances[held_out] += gaussian.mahalanobis(X[held_out, where])
    return distances
