"""From distances to a decision: thresholds at a chosen false-positive rate, and p-values.

Four ways, from the most assuming to the least:

- **chi-square**: if features were Gaussian with the fitted parameters, M squared of p features would follow
  the chi-square law with p degrees of freedom (paper, Table IV). It fails unless n is much larger than p.
- **Hotelling**: if features are Gaussian, M squared of a new sample to an unshrunk fit of n > p samples
  follows a scaled F law exactly, because the errors of the fit are part of it.
- **cross-validated**: a quantile of distances of normal samples to Gaussians that did not see them.
- **split-conformal**: an order statistic of the distances of a held-out calibration set; for exchangeable
  samples the false-positive rate is at most the chosen one, for any distribution and any sample size.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import expit

from gad_core.errors import InputError

_LOGITS = np.linspace(-690.0, 37.0, 20001)
"""Where the law of a sum of chi variables is tabulated: p-values from 1e-300 to 1 - 1e-16."""


def checked_fpr(fpr: float) -> float:
    """Return a false-positive rate as a float, or raise InputError unless 0 < fpr < 1."""
    if not (isinstance(fpr, (int, float, np.number)) and 0 < float(fpr) < 1):
        raise InputError(f"fpr is a fraction between 0 and 1, such as 0.05 for 5 %; it cannot be {fpr!r}")
    return float(fpr)


def chi2_threshold(fpr: ArrayLike, degrees_of_freedom: ArrayLike) -> NDArray[np.float64]:
    """Distance that a fitted Gaussian says normal samples exceed at a given rate.

    Parameters
    ----------
    fpr : float or array
        False-positive rate, a fraction.
    degrees_of_freedom : int or (L,) ints
        Dimension of each Gaussian; several when distances are summed over levels.

    Returns
    -------
    float or array
        Threshold on M (not squared). For several Gaussians it is the sum of each one's threshold, which is
        exact if a sample's levels are equally extreme (perfect dependence), and for small rates is above the
        quantile under any weaker dependence that is Gaussian.

    Examples
    --------
    >>> round(float(chi2_threshold(0.05, 1)), 2)
    1.96
    """
    rates = np.asarray(fpr, dtype=np.float64)[..., None]
    return np.sqrt(stats.chi2.isf(rates, np.atleast_1d(degrees_of_freedom))).sum(axis=-1)


def hotelling_threshold(fpr: ArrayLike, n_samples: int, degrees_of_freedom: ArrayLike) -> NDArray[np.float64]:
    """Distance that new normal samples exceed at a given rate, the errors of the fitted Gaussian included.

    Parameters
    ----------
    fpr : float or array
        False-positive rate, a fraction.
    n_samples : int
        Number n of samples that the mean and the empirical (1/n, unshrunk) covariance were fitted to.
    degrees_of_freedom : int or (L,) ints
        Dimension p of each Gaussian, p < n; several when distances are summed over levels.

    Returns
    -------
    float or array
        Threshold on M (not squared); for several Gaussians the sum of their thresholds, as in
        `chi2_threshold`.

    Raises
    ------
    InputError
        If a Gaussian has n <= p: its empirical covariance is singular.

    Notes
    -----
    For a new sample y of the same law, y - m is Gaussian with covariance (1 + 1/n) times the true one, and
    independent of the covariance estimate S. With the unbiased estimate n S / (n - 1), Hotelling's
    ``T² = n / (n + 1) (y - m)ᵀ [n S / (n - 1)]⁻¹ (y - m)`` is ``p (n - 1) / (n - p)`` times an F variable
    with p and n - p degrees of freedom. As ``T² = (n - 1) / (n + 1) M²``, M² is ``p (n + 1) / (n - p)`` times
    that variable. For n to infinity this becomes the chi-square law.

    References
    ----------
    Hotelling, "The generalization of Student's ratio", Annals of Mathematical Statistics 2, 1931.

    Examples
    --------
    >>> round(float(hotelling_threshold(0.05, 100, 40)), 2), round(float(chi2_threshold(0.05, 40)), 2)
    (10.36, 7.47)
    """
    rates = np.asarray(fpr, dtype=np.float64)[..., None]
    dofs = np.atleast_1d(degrees_of_freedom)
    if n_samples <= dofs.max():
        raise InputError(
            f"Hotelling's law needs more samples than features, there are {n_samples} samples and "
            f"{dofs.max()} features: give more normal samples, or use a cross-validated threshold"
        )
    scale = _hotelling_scale(n_samples, dofs)
    return np.sqrt(scale * stats.f.isf(rates, dofs, n_samples - dofs)).sum(axis=-1)


def _hotelling_scale(n_samples: int, degrees_of_freedom: NDArray[np.int64]) -> NDArray[np.float64]:
    """M squared of a new sample over the F variable whose law it follows."""
    return degrees_of_freedom * (n_samples + 1) / (n_samples - degrees_of_freedom)


def chi2_rate(fpr: float, n_samples: int, degrees_of_freedom: int) -> float:
    """Rate at which new Gaussian samples exceed the chi-square threshold of an unshrunk fit.

    Parameters
    ----------
    fpr : float
        False-positive rate that the threshold was chosen for.
    n_samples, degrees_of_freedom : int
        Number n of samples that one Gaussian was fitted to, and its dimension p.

    Returns
    -------
    float
        By Hotelling's law, see `hotelling_threshold`; 1 if n <= p, where an unshrunk M has no bound.

    Examples
    --------
    >>> round(chi2_rate(0.05, 100, 40), 2), round(chi2_rate(0.05, 100_000, 40), 2)
    (0.73, 0.05)
    """
    if n_samples <= degrees_of_freedom:
        return 1.0
    squared = stats.chi2.isf(fpr, degrees_of_freedom)
    scaled = squared / _hotelling_scale(n_samples, np.array(degrees_of_freedom))
    return float(stats.f.sf(scaled, degrees_of_freedom, n_samples - degrees_of_freedom))


def chi2_p_values(distances: ArrayLike, degrees_of_freedom: ArrayLike) -> NDArray[np.float64]:
    """Probability that the fitted Gaussian gives a normal sample at least this distance.

    The inverse of `chi2_threshold`, for one Gaussian or a sum over several.

    Parameters
    ----------
    distances : (m,) array
        M, or its sum over the Gaussians.
    degrees_of_freedom : int or (L,) ints
        As in `chi2_threshold`.

    Returns
    -------
    (m,) array
        p-values in [0, 1].
    """
    distances = np.asarray(distances, dtype=np.float64)
    dofs = np.atleast_1d(degrees_of_freedom)
    if len(dofs) == 1:
        return stats.chi2.sf(distances**2, dofs[0])
    thresholds = chi2_threshold(expit(_LOGITS), dofs)
    logits = np.interp(distances, thresholds[::-1], _LOGITS[::-1], left=np.inf, right=-np.inf)
    return expit(logits)


def quantile_threshold(distances: ArrayLike, fpr: float) -> float:
    """Quantile of held-out normal distances: the ceil((n + 1)(1 - fpr))-th smallest, or the largest.

    The same order statistic as in `conformal_threshold`, so that verdicts and p-values agree; but the
    Gaussians of the folds share training samples, so that the rate is approximate.

    Parameters
    ----------
    distances : (n,) array
        Distances of normal samples to a Gaussian that was fitted without them.
    fpr : float
        False-positive rate.

    Returns
    -------
    float
        The threshold.

    Warns
    -----
    UserWarning
        If n distances cannot resolve the rate, ``fpr < 1 / (n + 1)``: the threshold is then the largest of
        them, and the rate on new samples may be well above the chosen one.
    """
    distances = np.asarray(distances, dtype=np.float64)
    if len(distances) < samples_needed(fpr):
        warnings.warn(
            f"{len(distances)} normal samples cannot resolve a false-positive rate of {fpr:g}; "
            f"at least {samples_needed(fpr)} are needed, the rate on new samples may be higher",
            stacklevel=2,
        )
    return float(np.sort(distances)[min(_rank(len(distances), fpr), len(distances)) - 1])


def conformal_threshold(distances: ArrayLike, fpr: float) -> float:
    """Split-conformal threshold: the ceil((n + 1)(1 - fpr))-th smallest calibration distance.

    For samples exchangeable with the calibration set, the probability of a distance above it is at most
    `fpr`, and at least ``fpr - 1 / (n + 1)`` when there are no ties.

    Parameters
    ----------
    distances : (n,) array
        Distances of normal samples that were used neither for the fit nor for any choice.
    fpr : float
        False-positive rate, ``fpr >= 1 / (n + 1)``.

    Returns
    -------
    float
        The threshold; a distance strictly above it is a detection.

    Raises
    ------
    InputError
        If n is too small for the rate.

    References
    ----------
    Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*, 2005.
    """
    distances = np.sort(np.asarray(distances, dtype=np.float64))
    require_calibration_samples(len(distances), fpr)
    return float(distances[_rank(len(distances), fpr) - 1])


def require_calibration_samples(count: int, fpr: float) -> None:
    """Raise InputError if so many calibration samples are too few for a conformal threshold."""
    if count < samples_needed(fpr):
        raise InputError(
            f"a conformal threshold at a false-positive rate of {fpr:g} needs at least {samples_needed(fpr)} "
            f"calibration samples, there are {count}: give more normal samples or a larger rate"
        )


def conformal_rate_interval(count: int, fpr: float, level: float = 0.95) -> tuple[float, float]:
    """Where the false-positive rate of a conformal threshold lies, once its calibration set is drawn.

    The guarantee of `conformal_threshold` is an average over calibration sets. For one of them the rate on
    new samples is a draw from a beta law, whatever the law of the (continuous) distances.

    Parameters
    ----------
    count : int
        Number n of calibration samples, at least ``samples_needed(fpr)``.
    fpr : float
        False-positive rate that the threshold was chosen for.
    level : float
        Coverage of the interval.

    Returns
    -------
    low, high : float
        The rate is below `low` and above `high` with probability ``(1 - level) / 2`` each.

    Raises
    ------
    InputError
        If n is too small for the rate.

    Notes
    -----
    The share of new samples beyond the r-th smallest of n distances is a beta variable with parameters
    ``n + 1 - r`` and ``r``.

    References
    ----------
    Vovk, "Conditional validity of inductive conformal predictors", Machine Learning 92, 2013.

    Examples
    --------
    >>> low, high = conformal_rate_interval(99, 0.05)
    >>> round(low, 3), round(high, 3)
    (0.017, 0.1)
    """
    if count < samples_needed(checked_fpr(fpr)):
        raise InputError(
            f"{count} calibration samples cannot resolve a false-positive rate of {fpr:g}: "
            f"at least {samples_needed(fpr)} are needed"
        )
    rank, tail = _rank(count, fpr), (1 - level) / 2
    low, high = stats.beta.ppf([tail, 1 - tail], count + 1 - rank, rank)
    return float(low), float(high)


def empirical_p_values(distances: ArrayLike, calibration: ArrayLike) -> NDArray[np.float64]:
    """Share of held-out normal distances, the sample itself counted, that are at least as large.

    Parameters
    ----------
    distances : (m,) array
        Distances to judge.
    calibration : (n,) array
        Distances of normal samples that the Gaussian was fitted without.

    Returns
    -------
    (m,) array
        ``(1 + number of calibration distances >= distance) / (n + 1)``; never below 1 / (n + 1). With a split
        calibration set this is the conformal p-value: P(p <= u) <= u for normal samples.
    """
    calibration = np.sort(np.asarray(calibration, dtype=np.float64))
    below = np.searchsorted(calibration, np.asarray(distances, dtype=np.float64), side="left")
    return (1 + len(calibration) - below) / (len(calibration) + 1)


def _rank(count: int, fpr: float) -> int:
    # The small term keeps a product that is whole but for rounding from being rounded up.
    return math.ceil((count + 1) * (1 - fpr) - 1e-9)


def samples_needed(fpr: float) -> int:
    """Fewest held-out samples that can resolve a false-positive rate: smallest n with 1 / (n + 1) <= fpr."""
    return math.ceil(1 / fpr - 1 - 1e-9)
