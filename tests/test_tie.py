"""Posterior of tied Gaussians, its softmax, and logistic regression."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from gad_core import InputError
from gad_core.experiments.tie import fit_logistic, fit_tied, posterior, softmax_weights, tie_rows
from gad_core.feature_file import CategoryFeatures

LEVELS = {1: 3, 2: 8}


def classes(counts=(30, 20, 40), p=6, seed=0, distance=2.0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    A = rng.normal(size=(p, p))
    return rng.normal(size=(len(y), p)) @ A + distance * rng.normal(size=(len(counts), p))[y] + 20, y


def made(category, seed, train=40, per_defect=12):
    rng = np.random.default_rng(seed)
    p, defects = sum(LEVELS.values()), ("good", "dent", "hole")
    shifts = rng.normal(size=(3, p))
    test = np.concatenate([rng.normal(size=(per_defect, p)) + shift for shift in shifts])
    return CategoryFeatures(
        category, "resnet18", LEVELS, rng.normal(size=(train, p)).astype(np.float32) + np.float32(seed),
        test.astype(np.float32), tuple(f"train/good/{i}.png" for i in range(train)),
        tuple(f"test/{i}.png" for i in range(len(test))), tuple(np.repeat(defects, per_defect).tolist()), {},
    )  # fmt: skip


def test_the_posterior_is_bayes_rule_on_the_densities():
    X, y = classes()
    model = fit_tied(X, y)
    covariance = np.linalg.inv(model.shared.precision)
    densities = np.stack([multivariate_normal(m, covariance).pdf(X) for m in model.means], axis=1)
    expected = model.priors * densities
    np.testing.assert_allclose(posterior(model, X), expected / expected.sum(axis=1, keepdims=True), rtol=1e-7)
    np.testing.assert_allclose(model.priors, [3 / 9, 2 / 9, 4 / 9])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), p=st.integers(1, 40), distance=st.floats(0, 20))
def test_the_posterior_is_the_softmax_to_rounding(seed, p, distance):
    X, y = classes((12, 9, 5, 7), p, seed, distance)
    model = fit_tied(X, y)
    W, b = softmax_weights(model)
    logits = X @ W.T + b
    rounding = 1e-12 * np.abs(X @ W.T).max()
    np.testing.assert_allclose(softmax(logits, axis=1), posterior(model, X), atol=rounding)


def test_the_softmax_is_scikit_learns_discriminant_with_the_same_shrinkage():
    X, y = classes()
    model = fit_tied(X, y)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=model.shared.shrinkage).fit(X, y)
    W, b = softmax_weights(model)
    np.testing.assert_allclose(W, oracle.coef_, rtol=1e-6)
    np.testing.assert_allclose(b, oracle.intercept_, rtol=1e-6)


def test_logistic_weights_approach_the_closed_form_when_the_classes_are_gaussian():
    """Both estimate the same weights, so their difference vanishes with the number of samples."""
    rng = np.random.default_rng(0)

    def gaussian(category, shift, count):
        X = (rng.normal(size=(count, 11)) + shift).astype(np.float32)
        paths = tuple(map(str, range(count)))
        return CategoryFeatures(category, "b", LEVELS, X, X[:0], paths, (), (), {})

    shifts = 0.5 * rng.normal(size=(3, 11))
    parts = [gaussian(name, shift, 8200) for name, shift in zip("abc", shifts, strict=True)]
    rows = tie_rows(parts, levels=[2], sizes=(40, 8000), strengths=(1.0,), draws=1)
    few, many = (row["cosine"] for row in rows)
    assert few < many
    assert many > 0.995
    assert rows[1]["agreement"] > 0.97


def test_every_task_level_size_and_strength_has_a_row():
    parts = [made("nut", 0), made("pill", 2)]
    rows = tie_rows(parts, sizes=(10, 30), strengths=(0.1, 10.0), draws=2)
    cells = {(r["category"], r["task"], r["predictor"], r["n"], r["C"], r["draw"]) for r in rows}
    assert len(cells) == len(rows) == 2 * 2 * 2 * (2 + 2)
    assert {(r["category"], r["n"], r["classes"]) for r in rows} == {
        ("nut+pill", 20, 2), ("nut+pill", 60, 2), ("nut", 18, 3), ("pill", 18, 3)
    }  # fmt: skip
    assert all(r["posterior_difference"] < 1e-9 and r["logit_difference"] < 1e-9 for r in rows)
    far = [r for r in rows if r["predictor"] == "level 2" and r["task"] == "categories" and r["n"] == 60]
    assert all(r["accuracy_gaussian"] > 0.9 and r["accuracy_logistic"] > 0.9 for r in far)
    assert tie_rows(parts, sizes=(10, 30), strengths=(0.1, 10.0), draws=2) == rows


@pytest.mark.parametrize("distance", [0.5, 20.0])
def test_logistic_regression_is_taken_to_its_optimum(distance):
    """Where the gradient of penalty and loss is zero, however far apart the classes are."""
    X, y = classes(distance=distance)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    weights, fitted = fit_logistic(Z, y, 100.0)
    pull = 100.0 * (np.eye(3)[y] - fitted.predict_proba(Z)).T @ Z
    np.testing.assert_allclose(weights, pull, atol=1e-3 * np.abs(weights).max())


def test_one_category_has_the_task_of_its_defects_only():
    assert {row["task"] for row in tie_rows([made("nut", 0)], draws=1)} == {"defects"}


def test_impossible_requests_are_named():
    nut = made("nut", 0)
    other = CategoryFeatures(**{**nut.__dict__, "backbone": "resnet34", "category": "pill"})
    for arguments, options, message in (
        ([], {}, "at least one category"),
        ([nut, other], {"sizes": (10,)}, "nut has features of resnet18 and pill of resnet34"),
        ([nut, nut], {"sizes": (40,)}, "nut has 40 training images, and 40 are to be trained on"),
        ([nut], {"levels": [3]}, "combine must be one of"),
    ):
        with pytest.raises(InputError, match=message):
            tie_rows(arguments, **options)
