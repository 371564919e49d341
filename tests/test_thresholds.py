"""Thresholds and p-values: laws that must hold exactly, and coverage by simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gad_core import InputError
from gad_core.thresholds import (
    checked_fpr,
    chi2_p_values,
    chi2_rate,
    chi2_threshold,
    conformal_threshold,
    empirical_p_values,
    hotelling_threshold,
    quantile_threshold,
    samples_needed,
)


@pytest.mark.parametrize("dof", [1, 7, 272])
@pytest.mark.parametrize("fpr", [0.317, 0.05, 5.7e-7])
def test_chi_square_threshold_is_the_quantile_of_the_chi_law(dof, fpr):
    assert chi2_threshold(fpr, dof) == pytest.approx(stats.chi(dof).isf(fpr), rel=1e-9)


def test_gaussian_samples_exceed_the_chi_square_threshold_at_the_chosen_rate():
    M = np.linalg.norm(np.random.default_rng(0).normal(size=(200_000, 12)), axis=1)
    assert np.mean(chi2_threshold(0.05, 12) < M) == pytest.approx(0.05, abs=0.002)


@settings(max_examples=40, deadline=None)
@given(fpr=st.floats(1e-12, 0.999), dofs=st.lists(st.integers(1, 500), min_size=1, max_size=9))
def test_p_values_invert_thresholds_for_one_gaussian_and_for_sums(fpr, dofs):
    found = chi2_p_values([chi2_threshold(fpr, dofs)], dofs)[0]
    assert found == pytest.approx(fpr, rel=1e-3)


def test_p_values_of_sums_fall_with_distance_and_stay_in_range():
    p = chi2_p_values(np.linspace(0, 1000, 500), [48, 24, 32])
    assert np.all(np.diff(p) <= 0)
    assert p[0] == 1.0
    assert p[-1] == 0.0


def test_sum_threshold_is_exact_for_fully_dependent_levels_and_conservative_for_independent_ones():
    rng = np.random.default_rng(0)
    one = np.linalg.norm(rng.normal(size=(100_000, 5)), axis=1)
    other = np.linalg.norm(rng.normal(size=(100_000, 5)), axis=1)
    threshold = chi2_threshold(0.05, [5, 5])
    assert np.mean(one + one > threshold) == pytest.approx(0.05, abs=0.003)
    assert np.mean(one + other > threshold) < 0.05


@pytest.mark.parametrize(
    ("n", "fpr", "rank"), [(19, 0.05, 19), (20, 0.05, 20), (39, 0.05, 38), (99, 0.01, 99), (9, 0.3, 7)]
)
def test_conformal_threshold_is_the_order_statistic_of_the_definition(n, fpr, rank):
    distances = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert conformal_threshold(distances, fpr) == rank


@pytest.mark.parametrize("n", [19, 30, 101])
def test_conformal_rate_is_at_most_the_chosen_one_and_nearly_attains_it(n):
    rng, fpr = np.random.default_rng(1), 0.05
    rates = [stats.expon.sf(conformal_threshold(rng.exponential(size=n), fpr)) for _ in range(4000)]
    exact = 1 - np.ceil((n + 1) * (1 - fpr) - 1e-9) / (n + 1)
    assert exact <= fpr + 1e-12
    assert np.mean(rates) == pytest.approx(exact, abs=4 * np.std(rates) / np.sqrt(4000))


def test_conformal_p_value_is_below_fpr_exactly_when_the_threshold_is_exceeded():
    rng = np.random.default_rng(2)
    calibration, new = rng.normal(size=57), rng.normal(size=500)
    for fpr in (0.02, 0.05, 0.31):
        flagged = new > conformal_threshold(calibration, fpr)
        np.testing.assert_array_equal(empirical_p_values(new, calibration) <= fpr, flagged)


def test_empirical_p_values_by_counting():
    np.testing.assert_allclose(
        empirical_p_values([0.0, 1.0, 1.5, 9.0], [1.0, 2.0, 3.0]), [1.0, 1.0, 3 / 4, 1 / 4]
    )


def test_too_few_samples_for_the_rate():
    assert [samples_needed(r) for r in (0.5, 0.05, 0.01, 1 / 3)] == [1, 19, 99, 2]
    with pytest.raises(InputError, match="needs at least 99 calibration samples, there are 50"):
        conformal_threshold(np.arange(50.0), 0.01)
    with pytest.warns(UserWarning, match="50 normal samples cannot resolve a false-positive rate of 0.01"):
        assert quantile_threshold(np.arange(50.0), 0.01) == 49.0


@pytest.mark.parametrize("fpr", [0, 1, -0.1, 5, float("nan"), "5%", None])
def test_a_rate_must_be_a_fraction(fpr):
    with pytest.raises(InputError, match="fpr is a fraction between 0 and 1"):
        checked_fpr(fpr)


@given(st.floats(0.001, 0.5), st.integers(3, 400), st.integers(1, 100))
def test_the_rate_of_the_chi_square_threshold_is_hotellings(fpr, n_samples, p):
    rate = chi2_rate(fpr, n_samples, p)
    if n_samples <= p:
        assert rate == 1
    else:
        assert rate > fpr
        if rate < 1 - 1e-9:
            at_that_rate = hotelling_threshold(rate, n_samples, p)
            assert at_that_rate == pytest.approx(chi2_threshold(fpr, p), rel=1e-6)
