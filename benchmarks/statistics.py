"""The Gaussian stage: one fit and scoring, and the grid of the paper's tables, from feature matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks import plain
from benchmarks.timing import Comparison, compare
from gad_core import fit_gaussian
from gad_core.backbones import get_backbone
from gad_core.evaluation import Setting, evaluate_distances
from gad_core.subspaces import Reduce

N_TRAIN, N_TEST = 209, 83  # bottle
LEDOIT_WOLF: list[Reduce] = [
    None,
    ("pca", 0.95),
    ("pca", 0.99),
    ("npca", 0.99),
    ("npca", 0.999),
    ("npca", 0.9999),
]
SETTINGS: list[tuple[Reduce, str]] = [
    *((reduce, "ledoit_wolf") for reduce in LEDOIT_WOLF),
    (None, "spherical"),
    (None, "diagonal"),
]


def features(n: int, widths: dict[int, int], seed: int) -> NDArray[np.float32]:
    """Make features whose levels have a decaying spectrum, as pooled features do."""
    rng = np.random.default_rng(seed)
    levels = []
    for level, width in widths.items():
        mixing = np.random.default_rng(level).normal(size=(width, width)) * np.exp(-np.linspace(0, 5, width))
        levels.append(rng.normal(size=(n, width)) @ mixing.T / np.sqrt(width))
    return np.concatenate(levels, axis=1).astype(np.float32)


def one_gaussian() -> Comparison:
    """Fit and score at n = 209, p = 2944 (all nine levels of B4 as one Gaussian)."""
    widths = get_backbone("efficientnet_b4").level_widths()
    train, test = features(N_TRAIN, widths, 0), features(N_TEST, widths, 1)
    expected, found = plain.fit_and_score(train, test), fit_gaussian(train).mahalanobis(test)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    return compare(
        "Gaussian: fit 209, score 83, p = 2944",
        lambda: plain.fit_and_score(train, test),
        lambda: fit_gaussian(train).mahalanobis(test),
        target=20,
    )


def grid() -> Comparison:
    """Run the paper's five folds on nine levels with eight settings."""
    widths = get_backbone("efficientnet_b4").level_widths()
    train, test = features(N_TRAIN, widths, 0), features(N_TEST, widths, 1)
    cells = [Setting(level, *setting) for level in widths for setting in SETTINGS]

    def ours() -> dict:
        found = evaluate_distances(train, test, widths, cells, folds=5)
        return {(s.combine, (s.reduce, s.covariance)): d.mean(axis=0) for s, d in found}

    def usual() -> dict:
        return plain.evaluate(train, test, widths, SETTINGS, folds=5)

    _same(ours(), usual())
    return compare("5 folds x 9 levels x 8 settings, p = 48 to 1792", usual, ours, target=10, pairs=3)


def _same(ours: dict, usual: dict) -> None:
    assert ours.keys() == usual.keys()
    for key in usual:
        if key[1][0] and key[1][0][0] == "npca":
            continue  # for n <= p the plain way depends on rounding noise, see gad_core.covariance.regularize
        np.testing.assert_allclose(ours[key], usual[key], rtol=1e-5)
