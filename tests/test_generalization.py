"""Distances of training images and of others; where a conformal threshold's rate lies."""

import numpy as np
import pytest
from made_up import made_up
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import KFold

from gad_core.errors import InputError
from gad_core.experiments.generalization import hotelling_inflation, inflation_rows, squared_distances
from gad_core.experiments.rates import threshold_rules
from gad_core.thresholds import conformal_rate_interval, conformal_threshold


def test_distances_are_those_of_naive_fits():
    features = made_up(n=20)
    found = squared_distances(features, 2)
    X, Y = features.train[:, 4:].astype(float), features.test[:12, 4:].astype(float)
    whole = LedoitWolf().fit(X)
    held_out = [
        LedoitWolf().fit(X[train]).mahalanobis(X[rest])
        for train, rest in KFold(5, shuffle=True, random_state=0).split(X)
    ]
    assert np.allclose(found.training, whole.mahalanobis(X))
    assert np.allclose(found.test, whole.mahalanobis(Y))
    assert np.allclose(found.held_out, np.sort(np.concatenate(held_out)))


def test_unshrunk_training_distances_are_one_per_feature_and_held_out_ones_are_more():
    rows = {(row["predictor"], row["covariance"]): row for row in inflation_rows(made_up(n=40))}
    for (_, covariance), row in rows.items():
        if covariance == "empirical":
            assert np.isclose(row["training"], 1)
        assert row["held_out"] > row["training"]
        assert row["n"] == 32
    assert len(rows) == 4


def test_a_singular_covariance_has_no_distances():
    rows = inflation_rows(made_up(widths={1: 4, 2: 12}, n=12))
    singular = [row["predictor"] for row in rows if row["held_out"] is None]
    assert singular == ["level 2"]


def test_inflation_is_that_of_gaussian_samples():
    rng = np.random.default_rng(0)
    n, p, found = 20, 8, []
    for _ in range(2000):
        X, y = rng.normal(size=(n, p)), rng.normal(size=p)
        z = y - X.mean(axis=0)
        found.append(z @ np.linalg.solve(np.cov(X.T, ddof=0), z) / p)
    assert np.isclose(np.mean(found), hotelling_inflation(n, p), rtol=0.06)
    assert hotelling_inflation(10, 8) == np.inf


@pytest.mark.parametrize(("count", "fpr"), [(19, 0.05), (60, 0.1), (150, 0.05)])
def test_rate_of_a_conformal_threshold_lies_in_its_interval_as_often_as_it_says(count, fpr):
    rng = np.random.default_rng(0)
    # For distances uniform on [0, 1] the rate above a threshold t is 1 - t.
    rates = np.array([1 - conformal_threshold(rng.random(count), fpr) for _ in range(4000)])
    low, high = conformal_rate_interval(count, fpr, level=0.9)
    assert np.mean(rates < low) == pytest.approx(0.05, abs=0.012)
    assert np.mean(rates > high) == pytest.approx(0.05, abs=0.012)
    assert rates.mean() < fpr + 0.003


def test_interval_needs_the_samples_that_the_threshold_needs():
    with pytest.raises(InputError, match="at least 99"):
        conformal_rate_interval(98, 0.01)


def test_every_rule_says_whether_it_applies():
    rules = list(threshold_rules(made_up(widths={1: 4, 2: 12}, n=12), 2))
    assert [(r.method, r.covariance, r.distances is None) for r in rules] == [
        ("chi-square", "ledoit_wolf", False),
        ("chi-square", "empirical", True),
        ("Hotelling", "empirical", True),
        ("cross-validated", "ledoit_wolf", False),
        ("conformal", "ledoit_wolf", False),
    ]
