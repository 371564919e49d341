"""Covariance estimates along principal axes: a subspace, and the variances regularised in it."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from gad_core.components import PrincipalComponents
from gad_core.errors import InputError
from gad_core.moments import ledoit_wolf_shrinkage, oas_shrinkage
from gad_core.subspaces import Reduce, selected_components

Covariance = Literal["ledoit_wolf", "oas", "empirical", "diagonal", "spherical"]
_SHRUNK = ("ledoit_wolf", "oas")


class Regularized(NamedTuple):
    """What a covariance estimate is along principal axes; the fields of `Gaussian`, and the axes kept."""

    kept: slice
    variances: NDArray[np.float64]
    residual_variance: float
    degrees_of_freedom: int
    shrinkage: float


def regularize(fitted: PrincipalComponents, covariance: Covariance, reduce: Reduce) -> Regularized:
    """Choose a subspace and regularise the variances in it.

    Along its own principal axes a covariance is diagonal, and shrinkage towards the identity keeps the axes,
    so every fit on the same data is only a choice of these numbers.

    Centred data of n <= p samples vary in n - 1 directions only, while a PCA of min(n, p) components has one
    more, of zero variance, whose direction the data do not determine. NPCA keeps it. Its squared coordinate
    is taken as the mean over all directions outside of the axes, so that the result does not hang on
    rounding noise. Without shrinkage (a variance of zero) such components are ignored.

    Parameters
    ----------
    fitted : PrincipalComponents
        Of the training data.
    covariance : {"ledoit_wolf", "oas", "empirical", "diagonal", "spherical"}
        As in `fit_gaussian`.
    reduce : None, ("pca", t) or ("npca", t)
        The subspace.

    Returns
    -------
    Regularized
        Axes kept and the variances along and outside of them.
    """
    checked_covariance(covariance)
    kept = selected_components(fitted.variances, reduce)
    variances, rank, p = fitted.variances[kept], len(fitted.variances), fitted.n_features
    undetermined = _undetermined(fitted, covariance, reduce)
    dimension = len(variances) + undetermined
    if covariance == "spherical":
        return Regularized(kept, np.ones_like(variances), np.inf, dimension, 0.0)
    shrinkage = 0.0
    if covariance in _SHRUNK:
        shrinkage = _found_shrinkage(fitted, covariance, reduce, kept, dimension)
    target = shrinkage * float(variances.sum()) / dimension
    if undetermined and not target:
        remedy = "" if covariance in _SHRUNK else 'use covariance="ledoit_wolf", a subspace (reduce), or '
        raise InputError(
            f"the {covariance} covariance of {fitted.count} samples with {dimension} features is singular "
            f"(rank {len(variances)}, shrinkage {shrinkage:g}): {remedy}give more samples"
        )
    variances = (1 - shrinkage) * variances + target
    if not undetermined:
        return Regularized(kept, variances, np.inf, dimension, shrinkage)
    # What lies outside is only known if the axes that the subspace leaves out are held too, as ignored ones.
    variances = np.concatenate([np.full(kept.start, np.inf), variances])
    residual = target * (p - rank) / undetermined
    return Regularized(slice(0, rank), variances, residual, dimension, shrinkage)


def _undetermined(fitted: PrincipalComponents, covariance: Covariance, reduce: Reduce) -> int:
    """Count the zero-variance components that the subspace keeps besides the axes."""
    rank, p = len(fitted.variances), fitted.n_features
    if reduce is None:
        return p - rank
    if reduce[0] == "npca" and covariance in _SHRUNK:
        return min(fitted.count, p) - rank
    return 0


def _found_shrinkage(
    fitted: PrincipalComponents, covariance: Covariance, reduce: Reduce, kept: slice, dimension: int
) -> float:
    variances = fitted.variances[kept]
    trace, squared_norm = float(variances.sum()), float(variances @ variances)
    if covariance == "oas":
        return oas_shrinkage(fitted.count, dimension, trace, squared_norm)
    fourth = fitted.fourth if reduce is None else fitted.fourth_within(kept)
    return ledoit_wolf_shrinkage(fitted.count, dimension, trace, squared_norm, fourth)


def checked_covariance(covariance: str) -> None:
    """Raise InputError unless this is the name of a covariance estimate."""
    if covariance not in get_args(Covariance):
        raise InputError(f"covariance must be one of {', '.join(get_args(Covariance))}, not {covariance!r}")
