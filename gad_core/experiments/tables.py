"""Tables I, II, III and VII of the paper: AUROC of each level and of the sum over levels, by five folds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core.covariance import Covariance
from gad_core.errors import InputError
from gad_core.evaluation import Setting, auroc, evaluate_distances, training_folds
from gad_core.feature_file import CategoryFeatures
from gad_core.levels import Combine, level_columns
from gad_core.subspaces import Reduce, format_reduce

FOLDS = 5
"""Folds of the paper's protocol."""

METHODS: Mapping[str, Covariance] = {
    "L2": "spherical",
    "SED": "diagonal",
    "Mahalanobis": "ledoit_wolf",
}
"""The paper's names of the distances, and the covariance that each is the Mahalanobis distance of."""

SVM = "one-class SVM"

SUBSPACES: tuple[Reduce, ...] = (
    ("pca", 0.95),
    ("pca", 0.99),
    ("npca", 0.99),
    ("npca", 0.999),
    ("npca", 0.9999),
)
"""Those of Table III."""


def predictor_name(combine: Combine) -> str:
    """Name a predictor as the paper's tables do.

    Examples
    --------
    >>> predictor_name(7), predictor_name("sum")
    ('level 7', 'sum')
    """
    return f"level {combine}" if isinstance(combine, int) else combine


def table1_rows(features: CategoryFeatures, folds: int = FOLDS) -> list[dict[str, Any]]:
    """Table I: the baselines L2, SED and one-class SVM, and the Mahalanobis distance.

    Parameters
    ----------
    features : CategoryFeatures
        Of one category and network.
    folds : int
        As in `gad_core.evaluation.training_folds`.

    Returns
    -------
    list of dict
        ``category, backbone, method, reduce, predictor, folds, auroc, note``: the AUROC is the mean over
        folds, a fraction; where the method does not apply it is None, and the note says why. The
        one-class SVM has no row "sum": its decision values are no distances.
    """
    return _distance_rows(features, METHODS, (None,), folds) + _svm_rows(features, folds)


def mahalanobis_rows(features: CategoryFeatures, folds: int = FOLDS) -> list[dict[str, Any]]:
    """Tables II and VII: the Mahalanobis distance alone; arguments and rows are those of `table1_rows`."""
    return _distance_rows(features, ("Mahalanobis",), (None,), folds)


def table3_rows(features: CategoryFeatures, folds: int = FOLDS) -> list[dict[str, Any]]:
    """Table III: the Mahalanobis distance in PCA and NPCA subspaces; see `table1_rows`."""
    return _distance_rows(features, ("Mahalanobis",), SUBSPACES, folds)


def _distance_rows(
    features: CategoryFeatures, methods: Iterable[str], subspaces: Sequence[Reduce], folds: int
) -> list[dict[str, Any]]:
    predictors: tuple[Combine, ...] = (*features.level_widths, "sum")
    cells = {
        Setting(combine, reduce, METHODS[method]): method
        for method in methods
        for reduce in subspaces
        for combine in predictors
    }
    # z-scores are undefined where a feature is constant, which is no reason to give up the other cells.
    alone = [[setting] for setting in cells if setting.covariance == "diagonal"]
    together = [setting for setting in cells if setting.covariance != "diagonal"]
    rows: dict[Setting, dict[str, Any]] = {}
    for settings in (together, *alone):
        try:
            found = evaluate_distances(features.train, features.test, features.level_widths, settings, folds)
            rows |= {s: _row(features, cells[s], s, folds, distances) for s, distances in found}
        except InputError as error:
            if settings is together:
                raise
            rows[settings[0]] = _row(features, cells[settings[0]], settings[0], folds, None, str(error))
    return [rows[setting] for setting in cells]


def _svm_rows(features: CategoryFeatures, folds: int) -> list[dict[str, Any]]:
    subsets, rows = training_folds(len(features.train), folds), []
    for level, where in level_columns(features.level_widths).items():
        train, test = features.train[:, where], features.test[:, where]
        scores = np.array([_svm_scores(train[subset], test) for subset in subsets])
        rows.append(_row(features, SVM, Setting(level), folds, scores))
    return rows


def _svm_scores(train: NDArray, test: NDArray) -> NDArray[np.float64]:
    from sklearn.svm import OneClassSVM

    fitted = OneClassSVM(kernel="rbf", gamma="scale").fit(train.astype(np.float64))
    return -fitted.score_samples(test.astype(np.float64))


def _row(
    features: CategoryFeatures,
    method: str,
    setting: Setting,
    folds: int,
    distances: NDArray[np.float64] | None,
    note: str = "",
) -> dict[str, Any]:
    return {
        "category": features.category,
        "backbone": features.backbone,
        "method": method,
        "reduce": format_reduce(setting.reduce),
        "predictor": predictor_name(setting.combine),
        "folds": folds,
        "auroc": None if distances is None else mean_auroc(features.labels, distances),
        "note": note,
    }


def mean_auroc(labels: NDArray[np.int64], distances: NDArray[np.float64]) -> float:
    """Mean over folds of the AUROC, for distances (folds, m) of test samples with labels (m,)."""
    return float(np.mean([auroc(labels, each) for each in distances]))
