"""What unlabeled anomalies among the training images do, and what trimmed and robust estimates do about it.

The paper claims that they do little harm; the protocol here is our own. In each draw half of a category's
anomalous test images are taken out of the test set, the same half for every share, so that all shares are
judged on the same images. From that half come the anomalies that are put into training. A share is that of
the training set after this. Where half of the anomalies is not enough for a share of all normal training
images, only as many of these are used as the share allows, and the row's ``n_clean`` says so. The estimate
"clean" knows the anomalies and leaves them out: what it loses against a share of 0 is not their doing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from gad_core.errors import InputError
from gad_core.evaluation import auroc, sem
from gad_core.experiments.tables import predictor_name
from gad_core.feature_file import CategoryFeatures
from gad_core.levels import Combine, checked_combine, gaussian_columns
from gad_core.subsets import RowGaussians, Rows, SummedGaussians
from gad_core.thresholds import checked_fpr, quantile_threshold
from gad_core.trimming import median_distances, robust, trimmed

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
"""Shares of anomalies among the training images."""

ESTIMATES = ("clean", "plain", "trimmed", "robust")
"""Without the injected anomalies; with all training images; see `gad_core.trimming` for the others."""

FOLDS = 5
"""Folds of the cross-validated threshold, as in `GaussianDetector`."""

_KEYS = ("category", "backbone", "share", "predictor", "estimate")


@dataclass(frozen=True, eq=False)
class Injection:
    """A contaminated training set; all are numbers of rows of training images above test images.

    Parameters
    ----------
    clean : (n,) array
        Normal training images, in ascending order.
    injected : (k,) array
        Anomalous test images moved into training.
    """

    clean: Rows
    injected: Rows

    @property
    def rows(self) -> Rows:
        """All training images."""
        return np.concatenate([self.clean, self.injected])


def injections(
    count: int, pool: Rows, shares: Sequence[float], rng: np.random.Generator
) -> Iterator[Injection]:
    """Contaminated training sets of growing share; each share's anomalies are among those of the next.

    Parameters
    ----------
    count : int
        Number of normal training images; their rows are the first.
    pool : array
        Anomalies that may be put in, in this order.
    shares : sequence of float
        Shares of anomalies in the training set.
    rng : numpy.random.Generator
        Draws the normal images to keep when the pool is too small for a share of all.

    Yields
    ------
    Injection
        One for each share.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> [(len(i.clean), len(i.injected)) for i in injections(90, np.arange(100, 120), [0.1, 0.5], rng)]
    [(90, 10), (20, 20)]
    """
    order = rng.permutation(count)
    for share in shares:
        wanted, kept = round(share / (1 - share) * count), count
        if wanted > len(pool):
            wanted, kept = len(pool), round((1 - share) / share * len(pool))
        yield Injection(np.sort(order[:kept]), np.sort(pool[:wanted]))


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
    _check(features, shares, draws, fpr)
    deepest = max(features.level_widths)
    rows = []
    for combine in predictors or (deepest, "sum", "joint"):
        trial = _Trial(features, checked_combine(features.level_widths, combine), fpr)
        for draw in range(draws):
            rng = np.random.default_rng([seed, draw])
            for share, row in trial.rows(shares, rng):
                about = {"category": features.category, "backbone": features.backbone, "share": float(share)}
                rows.append({**about, "draw": draw, "predictor": predictor_name(combine), **row})
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


@dataclass(frozen=True, eq=False)
class _Estimated:
    """What one estimate says: training images kept, their held-out distances, distances of test images."""

    kept: NDArray[np.bool_]
    held_out: NDArray[np.float64]
    test: NDArray[np.float64]


class _Trial:
    """One predictor on one category; what does not change between draws is computed once."""

    def __init__(self, features: CategoryFeatures, combine: Combine, fpr: float) -> None:
        self.labels, self.fpr, self.count = features.labels, fpr, len(features.train)
        everything = np.concatenate([features.train, features.test])
        self.columns = list(gaussian_columns(features.level_widths, combine, everything.shape[1]).values())
        self.everything = everything
        self.sources = [RowGaussians(everything[:, where]) for where in self.columns]
        self._known: dict[bytes, dict[str, _Estimated]] = {}

    def rows(
        self, shares: Sequence[float], rng: np.random.Generator
    ) -> Iterator[tuple[float, dict[str, Any]]]:
        """Draw the anomalies that leave the test set, and judge every estimate at every share."""
        anomalies = rng.permutation(np.flatnonzero(self.labels))
        pool = anomalies[: len(anomalies) // 2]
        tested = np.setdiff1d(np.arange(len(self.labels)), pool)
        for share, injection in zip(
            shares, injections(self.count, self.count + pool, shares, rng), strict=True
        ):
            for estimate, found in self._estimates(injection).items():
                yield share, {"estimate": estimate, **self._judged(injection, found, tested)}

    def _estimates(self, injection: Injection) -> dict[str, _Estimated]:
        key = injection.rows.tobytes()
        if key not in self._known:  # without injected images all draws are the same
            whole = SummedGaussians(tuple(source.fit(injection.rows) for source in self.sources))
            centrality = median_distances(self.everything[injection.rows], self.columns)
            fitted = (
                whole.without(injection.injected), whole, trimmed(whole), robust(whole, centrality)
            )  # fmt: skip
            found = {name: self._scored(whole, fit) for name, fit in zip(ESTIMATES, fitted, strict=True)}
            if len(injection.injected):
                return found
            self._known[key] = found
        return self._known[key]

    def _scored(self, whole: SummedGaussians, fitted: SummedGaussians) -> _Estimated:
        test = self.count + np.arange(len(self.labels))
        held_out = held_out_distances(whole, fitted)
        return _Estimated(np.isin(whole.rows, fitted.rows), held_out, fitted.mahalanobis(test))

    def _judged(self, injection: Injection, found: _Estimated, tested: Rows) -> dict[str, Any]:
        labels, distances = self.labels[tested], found.test[tested]
        k, total = len(injection.injected), len(injection.rows)
        injected = np.arange(total) >= total - k
        row: dict[str, Any] = {
            "n_clean": total - k,
            "n_injected": k,
            "kept": float(found.kept.mean()),
            "injected_kept": float(found.kept[injected].mean()) if k else None,
            "auroc": auroc(labels, distances),
        }
        for suffix, calibration in (("", found.held_out), ("_kept", found.held_out[found.kept])):
            alarms = distances > quantile_threshold(calibration, self.fpr)
            row[f"fpr{suffix}"] = float(alarms[labels == 0].mean())
            row[f"tpr{suffix}"] = float(alarms[labels == 1].mean())
        furthest = np.argsort(-found.held_out, kind="stable")[:k]
        row["injected_auroc"] = auroc(injected, found.held_out) if k else None
        row["injected_top"] = float(injected[furthest].mean()) if k else None
        return row


def held_out_distances(
    whole: SummedGaussians, fitted: SummedGaussians, folds: int = FOLDS
) -> NDArray[np.float64]:
    """Distance of each training image to the estimate without the images of its fold.

    Parameters
    ----------
    whole, fitted : SummedGaussians
        Of all training images, and of those that the estimate keeps; the choice is not made again in a fold.
    folds : int
        Number of folds, shuffled with seed 0, as `GaussianDetector` does.

    Returns
    -------
    (n,) array
        In the order of ``whole.rows``.
    """
    held_out = np.empty(len(whole.rows))
    for _, fold in KFold(folds, shuffle=True, random_state=0).split(whole.rows):
        rows = whole.rows[fold]
        held_out[fold] = fitted.without(rows[np.isin(rows, fitted.rows)]).mahalanobis(rows)
    return held_out


def _check(features: CategoryFeatures, shares: Sequence[float], draws: int, fpr: float) -> None:
    checked_fpr(fpr)
    wrong = [share for share in shares if not 0 <= share < 0.5]
    if wrong or draws < 1:
        raise InputError(
            f"shares of anomalies must be fractions from 0 to below 0.5, and draws at least 1: not "
            f"{wrong[0] if wrong else draws!r}"
        )
    anomalous, normal = int(features.labels.sum()), int((features.labels == 0).sum())
    if anomalous < 2 or not normal:
        raise InputError(
            f"{features.category} has {normal} normal and {anomalous} anomalous test images: contamination "
            "moves half of the anomalies into training, so it needs at least 1 normal and 2 anomalous ones"
        )
