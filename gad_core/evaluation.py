"""How well distances separate anomalies from normal samples, and the paper's evaluation protocol."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_curve
from sklearn.model_selection import KFold

from gad_core.bootstrap import bootstrap_auroc
from gad_core.components import PrincipalComponents, principal_components
from gad_core.covariance import Covariance, regularize
from gad_core.errors import InputError
from gad_core.gaussian import fit_gaussian, squared_distance
from gad_core.levels import Combine, checked_combine, gaussian_columns
from gad_core.subspaces import Reduce
from gad_core.validation import checked_labels, require_finite


def auroc(labels: ArrayLike, distances: ArrayLike) -> float:
    """Area under the ROC curve: probability that an anomaly lies further out than a normal sample.

    Parameters
    ----------
    labels : (m,) array
        1 for anomalies, 0 for normal samples.
    distances : (m,) array
        Higher is more anomalous.

    Returns
    -------
    float
        A fraction; ties count one half.

    Raises
    ------
    InputError
        If there is only one kind of sample, or a distance is not a number.
    """
    labels, distances = checked_labels(labels), np.asarray(distances, dtype=np.float64)
    if np.isnan(distances).any():
        raise InputError("an AUROC cannot rank distances that are not numbers (NaN): check the features")
    # The Mann-Whitney statistic. scikit-learn's function takes milliseconds for its checks alone.
    ranks, anomalous = rankdata(distances)[labels == 1], int(np.sum(labels == 1))
    wins = ranks.sum() - anomalous * (anomalous + 1) / 2
    return float(wins / (anomalous * (len(labels) - anomalous)))


def aupr(labels: ArrayLike, distances: ArrayLike) -> float:
    """Area under the precision-recall curve (average precision) with anomalies as the positives.

    Parameters and errors are those of `auroc`.
    """
    return float(average_precision_score(checked_labels(labels), distances))


def tpr_at_fpr(labels: ArrayLike, distances: ArrayLike, fpr: float) -> float:
    """Share of anomalies detected by the lowest threshold whose false-positive rate is at most `fpr`.

    Parameters
    ----------
    labels, distances : (m,) arrays
        As in `auroc`.
    fpr : float
        False-positive rate, a fraction.

    Returns
    -------
    float
        The true-positive rate, a fraction.
    """
    rates, detected, _ = roc_curve(checked_labels(labels), distances, drop_intermediate=False)
    return float(detected[rates <= fpr].max())


def sem(values: ArrayLike) -> float:
    """Give the standard error of the mean (ddof 1, as in the paper's tables); NaN for a single value."""
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return float("nan")
    return float(values.std(ddof=1) / np.sqrt(len(values)))


@dataclass(frozen=True)
class Setting:
    """One cell of an evaluation: how levels are combined, the subspace and the covariance estimate."""

    combine: Combine
    reduce: Reduce = None
    covariance: Covariance = "ledoit_wolf"


def settings_grid(
    combine: Iterable[Combine], reduce: Iterable[Reduce], covariance: Iterable[Covariance]
) -> list[Setting]:
    """Every combination of the three lists, in order."""
    return [Setting(*cell) for cell in itertools.product(combine, reduce, covariance)]


def training_folds(count: int, folds: int) -> list[NDArray[np.intp]]:
    """Rows to fit on: all of them for 0 folds, else the training parts of KFold(folds, shuffle, seed 0).

    Parameters
    ----------
    count : int
        Number of normal training samples.
    folds : int
        0, or at least 2 (the paper uses 5) and no more than `count`.

    Returns
    -------
    list of index arrays
        One fit each.
    """
    if folds == 0:
        return [np.arange(count)]
    if not 2 <= folds <= count:
        raise InputError(f"folds must be 0 (fit on all) or 2 to {count} (the training images), not {folds}")
    return [train for train, _ in KFold(folds, shuffle=True, random_state=0).split(np.arange(count))]


def evaluate_distances(
    train: NDArray,
    test: NDArray,
    levels: Mapping[int, int],
    settings: Sequence[Setting],
    folds: int = 0,
) -> Iterator[tuple[Setting, NDArray[np.float64]]]:
    """Distances of the test samples for every setting and fold.

    Principal components are found once for each fold and level; every setting is then a choice of components
    and variances on the same projections, so a grid costs little more than one cell.

    Parameters
    ----------
    train, test : (n, p) and (m, p) arrays
        Features of normal training samples and of test samples.
    levels : mapping of int to int
        Width of each level, in the order of the columns.
    settings : sequence of Setting
        What to compute.
    folds : int
        As in `training_folds`; the test set is always scored whole.

    Yields
    ------
    (Setting, (folds, m) array)
        Distances M; for "sum" the sum over the levels. One row when `folds` is 0.
    """
    if train.shape[1] != test.shape[1] or train.shape[1] != sum(levels.values()):
        raise InputError(
            f"training features have {train.shape[1]} columns, test features {test.shape[1]} and the levels "
            f"{sum(levels.values())}: all three must be from the same extractor"
        )
    require_finite(train, "train")
    require_finite(test, "test")
    subsets = training_folds(len(train), folds)
    needed: dict[tuple[int, int], list[tuple[int, Setting]]] = {}
    for index, setting in enumerate(settings):
        checked_combine(levels, setting.combine)
        for where in gaussian_columns(levels, setting.combine, train.shape[1]).values():
            needed.setdefault((where.start, where.stop), []).append((index, setting))
    distances = np.zeros((len(settings), len(subsets), len(test)))
    for fold, subset in enumerate(subsets):
        rows = train[subset]
        for (start, stop), uses in needed.items():
            found = _setting_distances(
                rows[:, start:stop], test[:, start:stop], {(s.reduce, s.covariance) for _, s in uses}
            )
            for index, setting in uses:
                distances[index, fold] += found[setting.reduce, setting.covariance]
    yield from zip(settings, distances, strict=True)


def _setting_distances(
    train: NDArray, test: NDArray, cells: set[tuple[Reduce, Covariance]]
) -> dict[tuple[Reduce, Covariance], NDArray[np.float64]]:
    distances: dict[tuple[Reduce, Covariance], NDArray[np.float64]] = {}
    fitted: PrincipalComponents | None = None
    for reduce, covariance in cells:
        if reduce is None and covariance in ("diagonal", "spherical"):
            distances[reduce, covariance] = fit_gaussian(train, covariance).mahalanobis(test)
            continue
        if fitted is None:
            fitted = principal_components(train)
            coordinates, squared_norms = fitted.project(test)
        found = regularize(fitted, covariance, reduce)
        squared = squared_distance(
            coordinates[:, found.kept], squared_norms, found.variances, 1 / found.residual_variance
        )
        distances[reduce, covariance] = np.sqrt(squared)
    return distances


def evaluation_row(
    labels: ArrayLike,
    distances: NDArray[np.float64],
    rng: np.random.Generator,
    fprs: Sequence[float] = (0.05,),
) -> dict[str, float]:
    """Summary of one cell: mean over folds of AUROC, AUPR and TPR at FPR, and a bootstrap interval.

    Parameters
    ----------
    labels : (m,) array
        1 for anomalies.
    distances : (folds, m) array
        One row for each fold.
    rng : numpy.random.Generator
        For the interval.
    fprs : sequence of float
        False-positive rates at which the true-positive rate is given.

    Returns
    -------
    dict
        ``auroc``, ``auroc_low``, ``auroc_high``, ``aupr``, ``tpr_at_fpr_<rate>``; all fractions.
    """
    low, high = bootstrap_auroc(labels, distances, rng)
    row = {
        "auroc": float(np.mean([auroc(labels, d) for d in distances])),
        "auroc_low": low,
        "auroc_high": high,
        "aupr": float(np.mean([aupr(labels, d) for d in distances])),
    }
    for fpr in fprs:
        row[f"tpr_at_fpr_{fpr:g}"] = float(np.mean([tpr_at_fpr(labels, d, fpr) for d in distances]))
    return row
