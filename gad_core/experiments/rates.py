"""What a chosen false-positive rate becomes on the test images, for each way to set the threshold (Table IV).

Everything is fitted on all normal training images, and the rates are counted on the test images. With few
test images a rate is known badly, so each has its exact (Clopper-Pearson) interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from gad_core.covariance import Covariance
from gad_core.detector import GaussianDetector, Threshold
from gad_core.errors import InputError
from gad_core.experiments.tables import predictor_name
from gad_core.feature_file import CategoryFeatures
from gad_core.gaussian import fit_gaussian
from gad_core.levels import Combine, gaussian_columns
from gad_core.thresholds import (
    chi2_threshold,
    conformal_threshold,
    hotelling_threshold,
    quantile_threshold,
    samples_needed,
)

SIGMAS = (1, 2, 3, 4, 5)
"""The paper's working points, in standard deviations of a two-sided normal law."""

RATES = (0.1, 0.05, 0.01, 0.001)
"""Working points beside the paper's."""

SUM_NOTE = "sum of the levels' thresholds: exact only if a sample is equally extreme at all levels"


def sigma_rate(sigma: ArrayLike) -> NDArray[np.float64]:
    """Probability that a normal variable lies more than `sigma` standard deviations from its mean.

    Examples
    --------
    >>> [float(f"{100 * sigma_rate(k):.2g}") for k in SIGMAS]  # percent, as in Table IV
    [32.0, 4.6, 0.27, 0.0063, 5.7e-05]
    """
    return 2 * stats.norm.sf(np.asarray(sigma, dtype=np.float64))


def clopper_pearson(count: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a probability from the number of successes among independent trials.

    Parameters
    ----------
    count, trials : int
        Successes, and trials of which there is at least one.
    level : float
        Coverage of the interval, at least.

    Returns
    -------
    low, high : float
        The interval.

    References
    ----------
    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26, 1934.

    Examples
    --------
    >>> low, high = clopper_pearson(0, 20)
    >>> low, round(high, 3)
    (0.0, 0.168)
    """
    tail = (1 - level) / 2
    low = float(stats.beta.ppf(tail, count, trials - count + 1)) if count else 0.0
    high = float(stats.beta.isf(tail, count + 1, trials - count)) if count < trials else 1.0
    return low, high


def exceedance(labels: NDArray[np.int64], distances: NDArray, threshold: float) -> dict[str, Any]:
    """Count the test samples above a threshold.

    Parameters
    ----------
    labels : (m,) array
        1 for anomalies, 0 for normal samples; both must be there.
    distances : (m,) array
        Distances M.
    threshold : float
        On M; a distance strictly above it is a detection.

    Returns
    -------
    dict
        ``false_alarms`` among ``normal`` with ``fpr, fpr_low, fpr_high``, and ``detected`` among
        ``anomalous`` with ``tpr, tpr_low, tpr_high``; rates are fractions, intervals cover 95 %.
    """
    found: dict[str, Any] = {}
    for label, trials_name, count_name, rate in (
        (0, "normal", "false_alarms", "fpr"),
        (1, "anomalous", "detected", "tpr"),
    ):
        above = distances[labels == label] > threshold
        count, trials = int(above.sum()), len(above)
        low, high = clopper_pearson(count, trials)
        found |= {trials_name: trials, count_name: count}
        found |= {rate: count / trials, f"{rate}_low": low, f"{rate}_high": high}
    return found


@dataclass(frozen=True)
class Rule:
    """A way to set the threshold on the distance of one predictor.

    Parameters
    ----------
    method : str
        ``"chi-square"``, ``"Hotelling"``, ``"cross-validated"`` or ``"conformal"``.
    covariance : str
        Of the fit.
    distances : (m,) array or None
        Of the test samples; None where the method does not apply.
    threshold : callable
        From a rate to a threshold.
    note : str
        What must be known of the rule.
    samples : int or None
        Number of held-out distances that the threshold is chosen from.
    """

    method: str
    covariance: Covariance
    distances: NDArray[np.float64] | None
    threshold: Callable[[float], float]
    note: str = ""
    samples: int | None = None

    def at(self, rate: float) -> tuple[float | None, str]:
        """Give the threshold at a chosen rate, None where there is none, and a note."""
        if self.distances is None:
            return None, self.note
        if self.samples is None or self.samples >= samples_needed(rate):
            return float(self.threshold(rate)), self.note
        short = f"needs {samples_needed(rate)} held-out samples, there are {self.samples}"
        if self.method == "conformal":
            return None, f"not applicable: {short}"
        # What the detector does, which warns; here the note does.
        return float(self.threshold(1 / (self.samples + 1))), f"the largest held-out distance: {short}"


def rates_rows(features: CategoryFeatures) -> list[dict[str, Any]]:
    """Give the obtained false-positive and true-positive rates of each level, the sum and the joint Gaussian.

    Parameters
    ----------
    features : CategoryFeatures
        Of one category and network, with normal and anomalous test images.

    Returns
    -------
    list of dict
        ``category, backbone, predictor, method, covariance, n, p, chosen``, the ``threshold`` on M, what
        `exceedance` gives, and a ``note``. n is the number of training images (for conformal thresholds those
        held out included), p the number of features. Where a method does not apply the values are None.
    """
    rates = [*sigma_rate(SIGMAS).tolist(), *RATES]
    predictors: tuple[Combine, ...] = (*features.level_widths, "sum", "joint")
    rows = []
    for combine in predictors:
        for rule in threshold_rules(features, combine):
            rows += [_row(features, combine, rule, rate) for rate in rates]
    return rows


def threshold_rules(features: CategoryFeatures, combine: Combine) -> Iterator[Rule]:
    """Fit every way to set the threshold of a predictor.

    Parameters
    ----------
    features : CategoryFeatures
        Of one category and network.
    combine : "sum", "joint" or int
        The predictor.

    Yields
    ------
    Rule
        The chi-square law with the shrunk covariance; the chi-square law and Hotelling's with the unshrunk
        one, whose distances are None where there is none; then the cross-validated and the conformal
        threshold.
    """
    yield from _laws(features, combine)
    kinds: tuple[tuple[str, Threshold, Callable], ...] = (
        ("cross-validated", "cross_validated", quantile_threshold),
        ("conformal", "conformal", conformal_threshold),
    )
    for method, threshold, order_statistic in kinds:
        # The rate of the constructor is of no account here, but must be one that few samples resolve.
        detector = GaussianDetector(features.level_widths, combine, threshold=threshold, fpr=0.5)
        detector.fit(features.train)
        held_out = detector.calibration_distances_
        yield Rule(
            method,
            "ledoit_wolf",
            detector.mahalanobis(features.test),
            partial(order_statistic, held_out),
            samples=len(held_out),
        )


def _laws(features: CategoryFeatures, combine: Combine) -> Iterator[Rule]:
    """Thresholds from a law, for the shrunk covariance and, where there is one, for the unshrunk one."""
    columns = gaussian_columns(features.level_widths, combine, features.train.shape[1]).values()
    n, dofs = len(features.train), [where.stop - where.start for where in columns]
    note = SUM_NOTE if len(dofs) > 1 else ""

    def distances(covariance: Covariance) -> NDArray[np.float64]:
        parts = [
            fit_gaussian(features.train[:, where], covariance).mahalanobis(features.test[:, where])
            for where in columns
        ]
        return np.sum(parts, axis=0)

    def chi2(rate: float) -> float:
        return float(chi2_threshold(rate, dofs))

    def hotelling(rate: float) -> float:
        return float(hotelling_threshold(rate, n, dofs))

    yield Rule("chi-square", "ledoit_wolf", distances("ledoit_wolf"), chi2, note)
    unshrunk = None
    if n <= max(dofs):
        note = "not applicable: n <= p"
    else:
        try:
            unshrunk = distances("empirical")
        except InputError:  # a feature that is constant, or follows from others
            note = "not applicable: the unshrunk covariance is singular"
    yield Rule("chi-square", "empirical", unshrunk, chi2, note)
    yield Rule("Hotelling", "empirical", unshrunk, hotelling, note)


def _row(features: CategoryFeatures, combine: Combine, rule: Rule, rate: float) -> dict[str, Any]:
    threshold, note = rule.at(rate)
    if threshold is None or rule.distances is None:
        counts = dict.fromkeys(exceedance(features.labels, np.zeros(len(features.test)), 0.0))
    else:
        counts = exceedance(features.labels, rule.distances, threshold)
    columns = gaussian_columns(features.level_widths, combine, features.train.shape[1]).values()
    return {
        "category": features.category,
        "backbone": features.backbone,
        "predictor": predictor_name(combine),
        "method": rule.method,
        "covariance": rule.covariance,
        "n": len(features.train),
        "p": sum(where.stop - where.start for where in columns),
        "chosen": rate,
        "threshold": threshold,
        **counts,
        "note": note,
    }
