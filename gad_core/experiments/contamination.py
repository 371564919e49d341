"""What unlabeled anomalies among the training images do, and what trimmed and robust estimates do about it.

The paper claims that they do little harm; the protocol here is our own. In each draw half of a category's
anomalous test images are taken out of the test set, the same half for every share, so that all shares are
judged on the same images. From that half come the anomalies that are put into training. A share is that of
the training set after this. Where half of the anomalies is not enough for a share of all normal training
images, only as many of these are used as the share allows, and the row's ``n_clean`` says so. The estimate
"clean" knows the anomalies and leaves them out: what it loses against a share of 0 is not their doing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core.errors import InputError
from gad_core.evaluation import auroc, sem
from gad_core.experiments.injection import Contamination, Draw, Estimated
from gad_core.experiments.tables import predictor_name
from gad_core.feature_file import CategoryFeatures
from gad_core.levels import Combine
from gad_core.thresholds import checked_fpr, quantile_threshold

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
"""Shares of anomalies among the training images."""

_KEYS = ("category", "backbone", "share", "predictor", "estimate")


def contamination_rows(
    features: CategoryFeatures,
    *,
    shares: Sequence[float] = SHARES,
    draws: int = 20,
    seed: int = 0,
    predictors: Sequence[Combine] | None = None,
    fpr: float = 0.05,
    tick: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Accuracy, obtained rates and ranks of the injected anomalies, for each share and draw.

    Parameters
    ----------
    features : CategoryFeatures
        Of one category and network, with normal and at least two anomalous test images.
    shares : sequence of float
        Shares of anomalies in the training set, 0 <= share < 0.5.
    draws : int
        How often the anomalies are drawn.
    seed : int
        Draw i uses the generator seeded with ``[seed, i]``.
    predictors : sequence, optional
        Ways to combine levels; by default the deepest level, "sum" and "joint".
    fpr : float
        Rate of the cross-validated threshold.
    tick : callable
        Called after each predictor and draw.

    Returns
    -------
    list of dict
        ``category, backbone, share, draw, predictor, estimate``; ``n_clean, n_injected``: numbers of training
        images; ``kept, injected_kept``: shares of the training images and of the injected ones that the
        estimate is fitted to; ``auroc``, and the rates ``fpr, tpr`` on the test images above a threshold from
        the held-out distances of all training images, ``fpr_kept, tpr_kept`` above one from those that the
        estimate kept; ``injected_auroc``: probability that an injected image lies further out than a normal
        training image; ``injected_top``: share of the injected ones among as many most distant training
        images, both by held-out distances. What is not defined without injected images is None.

    Raises
    ------
    InputError
        If a share, a rate or a predictor is impossible, or there are too few test images.
    """
    _check(shares, draws, fpr)
    deepest = max(features.level_widths)
    rows = []
    for combine in predictors or (deepest, "sum", "joint"):
        experiment = Contamination(features, combine)
        untouched: dict[str, Estimated] = {}  # without injected images all draws are the same
        for number in range(draws):
            for draw in experiment.draws(shares, np.random.default_rng([seed, number])):
                about = {"category": features.category, "backbone": features.backbone, "share": draw.share}
                about |= {"draw": number, "predictor": predictor_name(combine)}
                injected = draw.injected.any()
                found = untouched if untouched and not injected else experiment.all_estimated(draw)
                untouched = untouched if injected else found
                rows += [
                    {**about, "estimate": name, **judged(draw, each, features.labels, fpr)}
                    for name, each in found.items()
                ]
            tick()
    return rows


def contamination_summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean over draws of every value of `contamination_rows`, and its standard error as ``<value>_sem``.

    Parameters
    ----------
    rows : sequence of dict
        From `contamination_rows`, of one or more categories.

    Returns
    -------
    list of dict
        One row for each category, backbone, share, predictor and estimate, with the number of ``draws``.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in _KEYS), []).append(row)
    summary = []
    for key, members in groups.items():
        row = {**dict(zip(_KEYS, key, strict=True)), "draws": len(members)}
        for name in (name for name in members[0] if name not in {*_KEYS, "draw"}):
            values = [member[name] for member in members]
            known = None not in values
            row[name] = float(np.mean(values)) if known else None
            row[f"{name}_sem"] = sem(values) if known and len(values) > 1 else None
        summary.append(row)
    return summary


def _check(shares: Sequence[float], draws: int, fpr: float) -> None:
    checked_fpr(fpr)
    wrong = [share for share in shares if not 0 <= share < 0.5]
    if wrong or draws < 1:
        raise InputError(
            f"shares of anomalies must be fractions from 0 to below 0.5, and draws at least 1: not "
            f"{wrong[0] if wrong else draws!r}"
        )


def judged(draw: Draw, found: Estimated, labels: NDArray[np.int64], fpr: float) -> dict[str, Any]:
    """Give accuracy, obtained rates and ranks of one estimate, as `contamination_rows` names them.

    Parameters
    ----------
    draw : Draw
        The training images.
    found : Estimated
        What the estimate made of them.
    labels : (m,) array
        Of all test images.
    fpr : float
        Rate of the threshold.

    Returns
    -------
    dict
        ``n_clean, n_injected`` and all that follows them.
    """
    left, injected = labels[draw.tested], draw.injected
    distances, k = found.test[draw.tested], int(draw.injected.sum())
    row: dict[str, Any] = {
        "n_clean": len(injected) - k,
        "n_injected": k,
        "kept": float(found.kept.mean()),
        "injected_kept": float(found.kept[injected].mean()) if k else None,
        "auroc": auroc(left, distances),
    }
    for suffix, calibration in (("", found.held_out), ("_kept", found.held_out[found.kept])):
        alarms = distances > quantile_threshold(calibration, fpr)
        row[f"fpr{suffix}"] = float(alarms[left == 0].mean())
        row[f"tpr{suffix}"] = float(alarms[left == 1].mean())
    furthest = np.argsort(-found.held_out, kind="stable")[:k]
    row["injected_auroc"] = auroc(injected, found.held_out) if k else None
    row["injected_top"] = float(injected[furthest].mean()) if k else None
    return row
