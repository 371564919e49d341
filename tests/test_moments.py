"""Sums that merge, split and give the exact Ledoit-Wolf shrinkage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.covariance import ledoit_wolf

from gad_core import InputError, Moments
from gad_core.moments import fold_moments, mean_and_variance, row_blocks


def data(n, p, seed=0, offset=3.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + offset


def assert_same(a: Moments, b: Moments, rtol=1e-9):
    b = b.shifted(a.shift)
    assert a.count == b.count
    for name in ("first", "second", "third", "fourth"):
        x, y = getattr(a, name), getattr(b, name)
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol * max(1.0, np.abs(x).max()))


def test_the_sums_are_those_of_the_definition():
    X, shift = data(20, 4), np.arange(4.0)
    y = X - shift
    norms = (y**2).sum(axis=1)
    m = Moments.from_data(X, shift)
    np.testing.assert_allclose(m.first, y.sum(axis=0))
    np.testing.assert_allclose(m.second, sum(np.outer(row, row) for row in y))
    np.testing.assert_allclose(m.third, (norms[:, None] * y).sum(axis=0))
    np.testing.assert_allclose(m.fourth, (norms**2).sum())


@settings(max_examples=50, deadline=None)
@given(
    X=arrays(np.float64, (12, 3), elements=st.floats(-100, 100)),
    shift=arrays(np.float64, 3, elements=st.floats(-100, 100)),
)
def test_another_shift_is_reached_without_the_data(X, shift):
    assert_same(Moments.from_data(X, shift), Moments.from_data(X))


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 40), cut=st.integers(1, 39), p=st.integers(1, 6), seed=st.integers(0, 99))
def test_merged_equals_one_shot_and_down_dated_equals_refit(n, cut, p, seed):
    cut = min(cut, n - 1)
    X = data(n, p, seed)
    a, b = Moments.from_data(X[:cut]), Moments.from_data(X[cut:])
    whole = Moments.from_data(X)
    assert_same(a + b, whole)
    assert_same(whole - b, a, rtol=1e-8)


@pytest.mark.parametrize(("n", "p"), [(10, 1), (7, 30), (200, 5), (50, 50)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ledoit_wolf_equals_scikit_learn(n, p, dtype):
    X = data(n, p, offset=100.0).astype(dtype)
    covariance, shrinkage = Moments.from_data(X).ledoit_wolf()
    expected, expected_shrinkage = ledoit_wolf(X.astype(np.float64))
    assert shrinkage == pytest.approx(expected_shrinkage, rel=1e-10, abs=1e-12)
    np.testing.assert_allclose(covariance, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def test_folds_taken_out_of_the_total_equal_refits():
    X = data(53, 6)
    folds = np.array_split(np.random.default_rng(1).permutation(53), 5)
    for fold, found in zip(folds, fold_moments(X, folds), strict=True):
        rest = np.delete(X, fold, axis=0)
        np.testing.assert_allclose(found.location, rest.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(found.covariance, np.cov(rest.T, bias=True), rtol=1e-10, atol=1e-12)
        assert found.ledoit_wolf()[1] == pytest.approx(ledoit_wolf(rest)[1], rel=1e-9)


def test_blocks_cover_every_row_once_and_stay_small():
    X = np.arange(1000.0).reshape(100, 10)
    blocks = list(row_blocks(X, block_bytes=8 * 10 * 7))
    assert max(len(block) for _, block in blocks) == 7
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), X)


def test_mean_and_variance_keep_float64_precision_of_float32_features():
    X = (1000 + np.random.default_rng(0).normal(size=(4000, 3)) * 1e-2).astype(np.float32)
    mean, variance = mean_and_variance(X)
    np.testing.assert_allclose(mean, X.astype(np.float64).mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(variance, X.astype(np.float64).var(axis=0), rtol=1e-12)


def test_bad_combinations_are_refused():
    small, large = Moments.from_data(data(3, 2)), Moments.from_data(data(9, 2))
    with pytest.raises(InputError, match="cannot take 9 samples out of the moments of 3"):
        small - large
    with pytest.raises(InputError, match="2 and of 5 features"):
        small + Moments.from_data(data(4, 5))
    with pytest.raises(InputError, match="at least one row"):
        Moments.from_data(np.empty((0, 3)))
