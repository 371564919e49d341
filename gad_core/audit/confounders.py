"""Do trivial statistics of the pictures tell apart what they should not? Rank tests, no network.

Two comparisons. Normal test images against training images: both are normal, so whatever separates them is
how the pictures were taken. Anomalous against normal test images away from the defects: what separates those
is not the defect. A difference in either gives the label away, or hides it, by something beside the defect.

Each is a Mann-Whitney test for each statistic, whose AUROC is its effect size; Holm's correction over all
tests of a data set keeps the probability of any false alarm at the chosen rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import mannwhitneyu

from gad_core.bootstrap import bootstrap_auroc
from gad_core.errors import InputError
from gad_core.evaluation import auroc
from gad_core.explain.photometry import STATISTICS, statistics

ALPHA = 0.01
"""Probability that a data set without any confounder is flagged, by all tests of this module together."""

FEWEST = 5
"""Images of each kind without which a rank test cannot reach a small p-value."""

SMALLEST_REST = 0.2
"""Share of an image that must lie outside of its defect for the rest to say anything."""

NORMAL_AGAINST_TRAINING = "normal test images against training images"
AWAY_FROM_DEFECTS = "anomalous against normal test images, away from the defects"
WHOLE_IMAGES = "anomalous against normal test images, defects included"


@dataclass(frozen=True)
class Comparison:
    """One statistic of two groups of images.

    Parameters
    ----------
    groups : str
        Which images are compared: one of this module's three constants.
    statistic : str
        One of `gad_core.explain.photometry.STATISTICS`.
    first, second : float
        Mean of the statistic in the group that is named first and in the other.
    auroc, low, high : float
        Probability that the statistic is larger in an image of the first group than in one of the second, and
        its bootstrap interval; 0.5 if it says nothing.
    p_value : float
        Of the two-sided Mann-Whitney test.
    adjusted : float or None
        The p-value after Holm's correction; None for a comparison that is shown but not tested.
    """

    groups: str
    statistic: str
    first: float
    second: float
    auroc: float
    low: float
    high: float
    p_value: float
    adjusted: float | None = None

    def flagged(self, alpha: float = ALPHA) -> bool:
        """Whether the groups differ by more than chance allows."""
        return self.adjusted is not None and self.adjusted <= alpha


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct p-values of several tests by Holm's method.

    Parameters
    ----------
    p_values : (k,) array
        Of single tests.

    Returns
    -------
    (k,) array
        Rejecting where these are at most alpha has a probability of at most alpha of any false rejection,
        however the tests depend on each other.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian J. of Statistics 6, 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def compare_photometry(
    train: NDArray[np.float64],
    test: NDArray[np.float64],
    labels: ArrayLike,
    kept: Sequence[NDArray[np.bool_] | None],
    rng: np.random.Generator,
    resamples: int = 2000,
) -> list[Comparison]:
    """Test whether photometric statistics tell apart what they should not.

    Parameters
    ----------
    train, test : (n, 6, B) and (m, 6, B) arrays
        `gad_core.explain.photometry.block_sums` of the training and the test images.
    labels : (m,) array
        1 for anomalies, 0 for normal test images.
    kept : sequence of (B,) bool array or None
        Blocks of each test image outside of its defect; None where there is no mask, as for normal images.
    rng : numpy.random.Generator
        Gives normal images the masks of anomalous ones, and makes the bootstrap intervals.
    resamples : int
        Number of resamples for the intervals.

    Returns
    -------
    list of Comparison
        `NORMAL_AGAINST_TRAINING`, then `AWAY_FROM_DEFECTS` for the anomalous images with a mask, or, where
        there are too few, `WHOLE_IMAGES`, which is not tested, because a defect may change brightness itself.

    Raises
    ------
    InputError
        If there are fewer than `FEWEST` training images or normal test images.
    """
    labels = np.asarray(labels)
    normal = test[labels == 0]
    for name, group in {"training": train, "normal test": normal}.items():
        if len(group) < FEWEST:
            raise InputError(
                f"an audit needs at least {FEWEST} {name} images, there are {len(group)}: add more, in "
                f"{'train/good' if name == 'training' else 'test/good'}"
            )
    found = _compare(NORMAL_AGAINST_TRAINING, statistics(normal), statistics(train), rng, resamples)
    left = {
        i: k for i, k in enumerate(kept) if labels[i] == 1 and k is not None and k.mean() >= SMALLEST_REST
    }
    if len(left) >= FEWEST:
        masks = np.stack(list(left.values()))
        found += _compare(
            AWAY_FROM_DEFECTS,
            *_away_from_defects(train, test[list(left)], normal, masks, rng),
            rng,
            resamples,
        )
    tested = [c for c in found if c.groups != WHOLE_IMAGES]
    adjusted = holm([c.p_value for c in tested])
    found = [Comparison(**{**vars(c), "adjusted": float(p)}) for c, p in zip(tested, adjusted, strict=True)]
    if len(left) < FEWEST and labels.any():
        found += _compare(WHOLE_IMAGES, statistics(test[labels == 1]), statistics(normal), rng, resamples)
    return found


def _away_from_defects(
    train: NDArray, anomalous: NDArray, normal: NDArray, masks: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Statistics outside of the masks, anomalous and normal images treated alike.

    To leave out a place changes what is left: without the dark middle a picture is brighter. So every normal
    image borrows the mask of an anomalous one, and from each image's statistics is taken what the training
    images have under the same mask, with the mean over all of the training images added again.
    """
    borrowed = rng.permuted(np.arange(len(normal)) % len(masks))
    expected = np.stack([statistics(train, mask).mean(axis=0) for mask in masks])
    level = statistics(train).mean(axis=0)
    return (
        statistics(anomalous, masks) - expected + level,
        statistics(normal, masks[borrowed]) - expected[borrowed] + level,
    )


def _compare(
    groups: str,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    rng: np.random.Generator,
    resamples: int,
) -> list[Comparison]:
    labels = np.repeat([1, 0], [len(first), len(second)])
    found = []
    for name, a, b in zip(STATISTICS, first.T, second.T, strict=True):
        # Without rounding, sums in another order would break ties of equal images.
        values = np.concatenate([a, b]).round(9)
        low, high = bootstrap_auroc(labels, values, rng, resamples=resamples)
        p = mannwhitneyu(values[: len(a)], values[len(a) :]).pvalue
        found.append(Comparison(groups, name, float(a.mean()), float(b.mean()), auroc(labels, values),
                                low, high, float(np.nan_to_num(p, nan=1.0))))  # fmt: skip
    return found


def as_rows(comparisons: Sequence[Comparison], alpha: float = ALPHA) -> list[dict[str, Any]]:
    """Give comparisons as rows of a table, with the verdict of each."""
    return [{**vars(c), "flagged": c.flagged(alpha)} for c in comparisons]
