"""Gaussians of subsets equal Gaussians fitted to the subset's rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gad_core import InputError, fit_gaussian
from gad_core.subsets import RowGaussians


def data(count, p, seed=0, offset=50.0):
    rng = np.random.default_rng(seed)
    scales = np.exp(-np.linspace(0, 5, p))
    return rng.normal(size=(count, p)) * scales @ np.linalg.qr(rng.normal(size=(p, p)))[0] + offset


def drawn(count, n, seed):
    return np.random.default_rng(seed).permutation(count)[:n]


@settings(max_examples=60, deadline=None)
@given(p=st.integers(1, 40), n=st.integers(3, 60), seed=st.integers(0, 99))
def test_distances_are_those_of_a_fit_to_the_rows(p, n, seed):
    X, rows = data(70, p, seed), drawn(70, n, seed)
    found, expected = RowGaussians(X).fit(rows), fit_gaussian(X[rows])
    assert found.shrinkage == pytest.approx(expected.shrinkage, rel=1e-8)
    np.testing.assert_allclose(
        found.squared_mahalanobis(np.arange(70)), expected.squared_mahalanobis(X), rtol=1e-8
    )
    np.testing.assert_allclose(found.own_squared, expected.squared_mahalanobis(X[rows]), rtol=1e-8)


@pytest.mark.parametrize(("n", "k"), [(60, 10), (60, 19), (60, 20), (60, 35), (30, 5), (21, 1)])
def test_taking_rows_out_equals_a_fit_to_the_others(n, k):
    """From more samples than the 40 features, or fewer, to more or fewer."""
    X = data(70, 40)
    rows = drawn(70, n, 1)
    found = RowGaussians(X).fit(rows).without(rows[3 : 3 + k])
    np.testing.assert_array_equal(found.rows, np.delete(rows, slice(3, 3 + k)))
    expected = fit_gaussian(X[found.rows]).squared_mahalanobis(X)
    np.testing.assert_allclose(found.squared_mahalanobis(np.arange(70)), expected, rtol=1e-8)


def test_taking_out_in_steps_equals_taking_out_at_once():
    X, everything = data(90, 20), np.arange(90)
    source = RowGaussians(X)
    steps = source.fit(everything)
    for part in np.split(everything[:60], 6):
        steps = steps.without(part)
    expected = fit_gaussian(X[60:]).squared_mahalanobis(X)
    np.testing.assert_allclose(steps.squared_mahalanobis(everything), expected, rtol=1e-8)
    assert steps.without(everything[:0]) is steps


@pytest.mark.parametrize("p", [8, 60])
def test_left_out_distances_are_those_to_the_other_rows_with_the_same_shrinkage(p):
    X, rows = data(50, p), np.arange(30)
    gaussian = RowGaussians(X).fit(rows)
    expected = []
    for i in rows:
        others = np.delete(X[rows], i, axis=0)
        Z = others - others.mean(axis=0)
        covariance = (1 - gaussian.shrinkage) * Z.T @ Z / len(rows) + gaussian.ridge * np.eye(p)
        y = X[i] - others.mean(axis=0)
        expected.append(y @ np.linalg.solve(covariance, y))
    np.testing.assert_allclose(gaussian.left_out_squared(), expected, rtol=1e-8)


@pytest.mark.parametrize(("n", "p"), [(20, 5), (10, 20)])
def test_full_shrinkage_gives_scaled_euclidean_distances(n, p):
    """One sample far from all others, and samples at right angles: nothing but the scale is left."""
    X, rows = np.random.default_rng(0).normal(size=(30, p)), np.arange(n)
    X[rows] = 50 * np.eye(n, p) if n < p else 0.001 * X[rows] + 50 * (rows[:, None] == 0)
    gaussian = RowGaussians(X).fit(rows)
    assert gaussian.shrinkage == 1
    z = X - X[rows].mean(axis=0)
    expected = (z**2).sum(axis=1) / gaussian.ridge
    np.testing.assert_allclose(gaussian.squared_mahalanobis(np.arange(30)), expected, rtol=1e-10)
    np.testing.assert_allclose(gaussian.own_squared, expected[rows], rtol=1e-10)


def test_impossible_subsets_are_named():
    source = RowGaussians(data(20, 30))
    with pytest.raises(InputError, match="n_samples = 1"):
        source.fit(np.array([3]))
    with pytest.raises(InputError, match="singular"):
        source.fit(np.array([3, 4]))  # two samples have a shrinkage of 0
    with pytest.raises(InputError, match="only rows of the subset"):
        source.fit(np.arange(10)).without(np.array([3, 15]))
    with pytest.raises(InputError, match="only rows of the subset"):
        RowGaussians(data(40, 3)).fit(np.arange(20)).without(np.array([3, 3]))
