"""How much does ImageNet matter? The same Gaussian on features of networks that learned different things."""

from __future__ import annotations

from typing import Any

import numpy as np

from gad_core.evaluation import Setting, evaluate_distances, evaluation_row
from gad_core.feature_file import CategoryFeatures
from gad_core.levels import Combine


def network_rows(features: CategoryFeatures, network: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    """AUROC of three predictors on the features of one network, fitted on all normal images.

    Parameters
    ----------
    features : CategoryFeatures
        Of one category.
    network : str
        What to call the network, with its weights.
    rng : numpy.random.Generator
        For the bootstrap intervals.

    Returns
    -------
    list of dict
        One row for the predictors ``joint``, ``sum`` and ``deepest level``: ``network``, ``category``,
        ``backbone``, ``predictor``, and as fractions ``auroc`` with its 95 % interval ``auroc_low``,
        ``auroc_high``.
    """
    levels = features.level_widths
    predictors: dict[str, Combine] = {"joint": "joint", "sum": "sum", "deepest level": max(levels)}
    settings = [Setting(combine) for combine in predictors.values()]
    found = evaluate_distances(features.train, features.test, levels, settings)
    rows = []
    for predictor, (_, distances) in zip(predictors, found, strict=True):
        summary = evaluation_row(features.labels, distances, rng)
        intervals = {key: summary[key] for key in ("auroc", "auroc_low", "auroc_high")}
        about = {"network": network, "category": features.category, "backbone": features.backbone}
        rows.append({**about, "predictor": predictor, **intervals})
    return rows
