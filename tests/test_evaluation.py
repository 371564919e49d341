"""Metrics against their definitions, and the grid of settings against one detector each."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from gad_core import GaussianDetector, InputError
from gad_core.bootstrap import bootstrap_auroc
from gad_core.evaluation import (
    Setting,
    aupr,
    auroc,
    evaluate_distances,
    evaluation_row,
    sem,
    settings_grid,
    tpr_at_fpr,
    training_folds,
)

LABELS = np.array([0, 0, 0, 0, 1, 1, 1])
DISTANCES = np.array([1.0, 2.0, 3.0, 4.0, 3.0, 5.0, 0.5])


@hypothesis_settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=40))
def test_auroc_equals_scikit_learn(pairs):
    labels, distances = np.array(pairs, dtype=float).T
    assume(0 < labels.sum() < len(labels))
    assert auroc(labels, distances) == pytest.approx(roc_auc_score(labels, distances), abs=1e-12)


def test_auroc_counts_pairs():
    pairs = itertools.product(DISTANCES[LABELS == 1], DISTANCES[LABELS == 0])
    expected = np.mean([(a > n) + 0.5 * (a == n) for a, n in pairs])
    assert auroc(LABELS, DISTANCES) == pytest.approx(expected)


def test_aupr_of_a_perfect_and_of_a_constant_score():
    assert aupr(LABELS, LABELS) == 1.0
    assert aupr(LABELS, np.ones(7)) == pytest.approx(3 / 7)


@pytest.mark.parametrize(
    ("fpr", "tpr"), [(0.0, 1 / 3), (0.2, 1 / 3), (0.25, 1 / 3), (0.5, 2 / 3), (1.0, 1.0)]
)
def test_tpr_at_fpr_is_read_off_the_staircase(fpr, tpr):
    assert tpr_at_fpr(LABELS, DISTANCES, fpr) == pytest.approx(tpr)


def test_sem_is_the_papers():
    assert sem([1.0, 2.0, 4.0]) == pytest.approx(np.std([1, 2, 4], ddof=1) / np.sqrt(3))
    assert np.isnan(sem([1.0]))


def test_bootstrap_is_the_resampling_of_images_by_kind():
    rng = np.random.default_rng(0)
    labels = np.r_[np.zeros(30, int), np.ones(20, int)]
    scores = rng.normal(size=50) + labels
    low, high = bootstrap_auroc(labels, scores, np.random.default_rng(1), resamples=4000)
    plain = []
    for _ in range(800):
        pick = np.r_[rng.choice(30, 30), 30 + rng.choice(20, 20)]
        plain.append(roc_auc_score(labels[pick], scores[pick]))
    assert low < auroc(labels, scores) < high
    np.testing.assert_allclose([low, high], np.quantile(plain, [0.025, 0.975]), atol=0.02)


def test_bootstrap_of_folds_averages_them_and_repeats_with_its_seed():
    scores = np.stack([DISTANCES, DISTANCES[::-1]])
    a = bootstrap_auroc(LABELS, scores, np.random.default_rng(3))
    assert a == bootstrap_auroc(LABELS, scores, np.random.default_rng(3))
    perfect = bootstrap_auroc(LABELS, np.stack([LABELS, LABELS]), np.random.default_rng(3))
    assert perfect == (1.0, 1.0)


@pytest.mark.parametrize(("n", "folds"), [(60, 0), (60, 3), (12, 3)])
def test_the_grid_equals_one_detector_for_each_setting_and_fold(n, folds):
    rng = np.random.default_rng(0)
    levels = {1: 5, 2: 8}
    train, test = rng.normal(size=(n, 13)).astype(np.float32), rng.normal(size=(9, 13)).astype(np.float32)
    grid = settings_grid(
        ["sum", "joint", 2], [None, ("pca", 0.9), ("npca", 0.9)], ["ledoit_wolf", "diagonal", "spherical"]
    )
    assert len(grid) == 27
    found = list(evaluate_distances(train, test, levels, grid, folds))
    assert [setting for setting, _ in found] == grid
    for setting, distances in found:
        subsets = training_folds(n, folds)
        assert distances.shape == (len(subsets), 9)
        for row, subset in zip(distances, subsets, strict=True):
            detector = GaussianDetector(
                levels, setting.combine, setting.reduce, setting.covariance, threshold="chi2"
            )
            np.testing.assert_allclose(row, detector.fit(train[subset]).mahalanobis(test), rtol=1e-9)


def test_rows_average_over_folds():
    row = evaluation_row(LABELS, np.stack([DISTANCES, LABELS]), np.random.default_rng(0), fprs=[0.25])
    assert row["auroc"] == pytest.approx((auroc(LABELS, DISTANCES) + 1) / 2)
    assert row["tpr_at_fpr_0.25"] == pytest.approx((1 / 3 + 1) / 2)
    assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]


def test_impossible_evaluations_are_refused():
    X = np.random.default_rng(0).normal(size=(10, 4))
    with pytest.raises(InputError, match="needs both"):
        auroc(np.zeros(5), np.arange(5))
    with pytest.raises(InputError, match="not numbers"):
        auroc([0, 1, 1], [0.5, np.nan, 1.0])
    with pytest.raises(InputError, match="folds must be 0"):
        training_folds(10, 11)
    with pytest.raises(InputError, match="same extractor"):
        list(evaluate_distances(X, X[:, :3], {1: 4}, [Setting("sum")]))
    with pytest.raises(InputError, match="covariance must be one of"):
        list(evaluate_distances(X, X, {1: 4}, [Setting("sum", None, "typo")]))
    with pytest.raises(InputError, match="combine must be one of sum, joint, 1"):
        list(evaluate_distances(X, X, {1: 4}, [Setting(7)]))
