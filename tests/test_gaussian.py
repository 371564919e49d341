"""The Gaussian, its distance, its subspaces; oracles are written out plainly here."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import OAS, LedoitWolf
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold

from gad_core import Gaussian, InputError, Moments, fit_gaussian
from gad_core.components import components_from_moments, principal_components
from gad_core.gaussian import gaussian_from_components
from gad_core.held_out import fold_gaussians
from gad_core.subspaces import format_reduce, parse_reduce, selected_components

SHAPES = [(200, 6), (40, 30), (31, 30), (30, 30), (20, 60)]


def data(n, p, seed=0):
    rng = np.random.default_rng(seed)
    scales = np.exp(-np.linspace(0, 6, p))
    return rng.normal(size=(n, p)) * scales @ np.linalg.qr(rng.normal(size=(p, p)))[0] + rng.normal(size=p)


@pytest.mark.parametrize(("covariance", "estimator"), [("ledoit_wolf", LedoitWolf), ("oas", OAS)])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_distance_equals_scipy_with_scikit_learns_shrinkage(n, p, covariance, estimator):
    X, Y = data(n, p), data(10, p, seed=0)[::-1] + 0.1
    oracle = estimator().fit(X)
    precision = np.linalg.inv(oracle.covariance_)
    expected = [mahalanobis(y, oracle.location_, precision) for y in Y]
    gaussian = fit_gaussian(X, covariance)
    assert gaussian.shrinkage == pytest.approx(oracle.shrinkage_, rel=1e-10)
    np.testing.assert_allclose(gaussian.mahalanobis(Y), expected, rtol=1e-9)
    np.testing.assert_allclose(gaussian.precision, precision, rtol=1e-7, atol=1e-9 * precision.max())
    assert gaussian.degrees_of_freedom == p


@settings(max_examples=30, deadline=None)
@given(p=st.integers(1, 8), extra=st.integers(1, 50), seed=st.integers(0, 999))
def test_mean_squared_distance_of_the_training_set_is_p(p, extra, seed):
    X = np.random.default_rng(seed).normal(size=(p + extra, p))
    squared = fit_gaussian(X, covariance="empirical").squared_mahalanobis(X)
    assert squared.mean() == pytest.approx(p, rel=1e-7)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999))
def test_empirical_distance_is_invariant_under_affine_maps(seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(40, 5)), rng.normal(size=(7, 5))
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    A, b = rotation * rng.uniform(0.1, 10, size=5), rng.normal(size=5)
    expected = fit_gaussian(X, "empirical").mahalanobis(Y)
    np.testing.assert_allclose(
        fit_gaussian(X @ A + b, "empirical").mahalanobis(Y @ A + b), expected, rtol=1e-7
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), n=st.sampled_from([12, 60]), scale=st.floats(0.01, 100))
def test_ledoit_wolf_distance_is_invariant_under_rotation_shift_and_scale(seed, n, scale):
    rng = np.random.default_rng(seed)
    X, Y, b = rng.normal(size=(n, 20)), rng.normal(size=(7, 20)), rng.normal(size=20)
    Q = np.linalg.qr(rng.normal(size=(20, 20)))[0] * scale
    np.testing.assert_allclose(
        fit_gaussian(X @ Q + b).mahalanobis(Y @ Q + b), fit_gaussian(X).mahalanobis(Y), rtol=1e-7
    )


@pytest.mark.parametrize("covariance", ["ledoit_wolf", "empirical"])
@pytest.mark.parametrize("reduce", [("pca", 0.9), ("npca", 0.9)])
def test_a_mean_far_larger_than_the_spread_changes_nothing(covariance, reduce):
    X, Y = data(20, 60), data(8, 60, seed=2)
    far = fit_gaussian(X + 1e5, covariance, reduce)
    assert far.degrees_of_freedom == fit_gaussian(X, covariance, reduce).degrees_of_freedom
    expected = fit_gaussian(X, covariance, reduce).mahalanobis(Y)
    np.testing.assert_allclose(far.mahalanobis(Y + 1e5), expected, rtol=1e-5)


@pytest.mark.parametrize(("n", "p"), [(5, 40), (20, 60), (59, 60), (60, 60), (61, 60)])
def test_thin_path_equals_dense_path(n, p):
    X, Y = data(n, p), data(8, p, seed=2)
    dense = gaussian_from_components(components_from_moments(Moments.from_data(X)))
    np.testing.assert_allclose(fit_gaussian(X).mahalanobis(Y), dense.mahalanobis(Y), rtol=1e-8)


def test_thin_path_never_forms_a_p_by_p_matrix():
    import tracemalloc

    X = np.random.default_rng(0).normal(size=(20, 4000)).astype(np.float32)
    tracemalloc.start()
    try:
        fit_gaussian(X).mahalanobis(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4000 * 4000 * 8 / 4


def oracle_subspace(X, Y, kept, direction=None):
    """scikit-learn's PCA and LedoitWolf; `direction` replaces the last component, arbitrary for n <= p."""
    pca = PCA(svd_solver="full").fit(X)
    T, U = pca.transform(X), pca.transform(Y)
    if direction is not None:
        T[:, -1], U[:, -1] = 0, (Y - pca.mean_) @ direction
    return LedoitWolf().fit(T[:, kept]).mahalanobis(U[:, kept])


def cut_of(X, share):
    return int(np.argmax(np.cumsum(PCA(svd_solver="full").fit(X).explained_variance_ratio_) > share))


@pytest.mark.parametrize(("n", "p"), SHAPES)
@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_pca_subspaces_equal_scikit_learns_pca_and_ledoit_wolf(n, p, share):
    X, Y = data(n, p), data(9, p, seed=3)
    i = cut_of(X, share)
    gaussian = fit_gaussian(X, reduce=("pca", share))
    assert gaussian.degrees_of_freedom == i + 1
    np.testing.assert_allclose(
        gaussian.squared_mahalanobis(Y), oracle_subspace(X, Y, slice(0, i + 1)), rtol=1e-6
    )


@pytest.mark.parametrize(("n", "p"), [(200, 6), (40, 30), (31, 30)])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_npca_subspaces_equal_scikit_learns_pca_and_ledoit_wolf(n, p, share):
    X, Y = data(n, p), data(9, p, seed=3)
    i = cut_of(X, share)
    gaussian = fit_gaussian(X, reduce=("npca", share))
    assert gaussian.degrees_of_freedom == p - max(i - 1, 0)
    expected = oracle_subspace(X, Y, slice(max(i - 1, 0), p))
    np.testing.assert_allclose(gaussian.squared_mahalanobis(Y), expected, rtol=1e-6)


@pytest.mark.parametrize(("n", "p"), [(30, 30), (20, 26)])
def test_npca_of_few_samples_averages_over_the_component_that_they_do_not_determine(n, p):
    X, Y = data(n, p), data(9, p, seed=3)
    i = cut_of(X, 0.9)
    gaussian = fit_gaussian(X, reduce=("npca", 0.9))
    assert gaussian.degrees_of_freedom == n - max(i - 1, 0)
    # Over an orthonormal basis of the directions outside of the data, the mean is exact.
    outside = np.linalg.svd(X - X.mean(axis=0))[2][n - 1 :]
    draws = [oracle_subspace(X, Y, slice(max(i - 1, 0), n), direction) for direction in outside]
    np.testing.assert_allclose(gaussian.squared_mahalanobis(Y), np.mean(draws, axis=0), rtol=1e-6)


def test_npca_with_a_dead_channel_keeps_its_direction():
    X, Y = data(60, 8), data(9, 8, seed=3)
    X[:, 4] = 0
    i = cut_of(X, 0.9)
    expected = oracle_subspace(X, Y, slice(max(i - 1, 0), 8))
    np.testing.assert_allclose(
        fit_gaussian(X, reduce=("npca", 0.9)).squared_mahalanobis(Y), expected, rtol=1e-6
    )


@pytest.mark.parametrize(("n", "p"), [(200, 6), (40, 30)])
def test_pca_and_its_complement_make_the_full_squared_distance(n, p):
    X, Y = data(n, p), data(9, p, seed=3)
    full = fit_gaussian(X, "empirical")
    for cut in range(1, p):
        parts = [
            Gaussian(full.location, full.components[kept], full.variances[kept], np.inf, 1)
            for kept in (slice(0, cut), slice(cut, p))
        ]
        total = sum(part.squared_mahalanobis(Y) for part in parts)
        np.testing.assert_allclose(total, full.squared_mahalanobis(Y), rtol=1e-9)


def test_pca_and_npca_overlap_in_two_components_and_cover_all():
    variances = np.array([5.0, 3.0, 1.0, 0.6, 0.4])
    pca, npca = selected_components(variances, ("pca", 0.85)), selected_components(variances, ("npca", 0.85))
    assert (pca, npca) == (slice(0, 3), slice(1, 5))


def test_npca_with_a_dominant_first_component_keeps_everything():
    assert selected_components([99.0, 0.6, 0.4], ("npca", 0.9)) == slice(0, 3)
    assert selected_components([99.0, 0.6, 0.4], ("pca", 0.9)) == slice(0, 1)


def test_a_share_that_rounding_never_exceeds_keeps_all():
    variances = np.full(7, 1 / 7)
    assert selected_components(variances, ("pca", 1 - 1e-16)) == slice(0, 7)


@pytest.mark.parametrize("text", ["none", "pca:0.95", "npca:0.9999"])
def test_subspaces_survive_being_written_and_read(text):
    assert format_reduce(parse_reduce(text)) == text


@pytest.mark.parametrize("text", ["pca", "pca:", "pca:1.5", "npca:0", "ica:0.9", "0.9", ""])
def test_a_wrong_subspace_is_refused(text):
    with pytest.raises(InputError, match="is no subspace: write none, pca:T or npca:T"):
        parse_reduce(text)


def test_baselines_are_the_distance_to_the_mean_and_z_scores():
    X, Y = data(30, 7), data(5, 7, seed=4)
    z = Y - X.mean(axis=0)
    np.testing.assert_allclose(fit_gaussian(X, "spherical").mahalanobis(Y), np.linalg.norm(z, axis=1))
    np.testing.assert_allclose(
        fit_gaussian(X, "diagonal").mahalanobis(Y), np.linalg.norm(z / X.std(axis=0), axis=1)
    )


@pytest.mark.parametrize("covariance", ["ledoit_wolf", "oas", "empirical", "diagonal", "spherical"])
@pytest.mark.parametrize("reduce", [None, ("pca", 0.9), ("npca", 0.9)])
@pytest.mark.parametrize(("n", "p"), [(60, 8), (40, 31)])
def test_gaussians_of_folds_equal_refits(covariance, reduce, n, p):
    X = data(n, p)
    splits = list(KFold(4, shuffle=True, random_state=1).split(X))
    if covariance == "empirical" and n * 3 // 4 <= p and reduce is None:
        with pytest.raises(InputError, match="singular"):
            list(fold_gaussians(X, splits, covariance, reduce))
        return
    for (train, held_out), found in zip(splits, fold_gaussians(X, splits, covariance, reduce), strict=True):
        expected = fit_gaussian(X[train], covariance, reduce).mahalanobis(X[held_out])
        np.testing.assert_allclose(found.mahalanobis(X[held_out]), expected, rtol=1e-7)


def test_float32_features_are_treated_in_float64():
    X = (data(40, 10) + 50).astype(np.float32)
    np.testing.assert_allclose(
        fit_gaussian(X).mahalanobis(X), fit_gaussian(X.astype(np.float64)).mahalanobis(X), rtol=1e-10
    )


def test_a_dead_channel_gets_the_shrinkage_target_as_its_variance():
    X = data(50, 6)
    X[:, 2] = 0.0
    gaussian = fit_gaussian(X)
    oracle = LedoitWolf().fit(X)
    awake = X[:3].copy()
    awake[:, 2] = 1.0
    np.testing.assert_allclose(gaussian.squared_mahalanobis(awake), oracle.mahalanobis(awake), rtol=1e-8)


@pytest.mark.parametrize(
    ("X", "covariance", "message"),
    [
        (np.ones((1, 3)), "ledoit_wolf", "n_samples = 1: a spread needs at least 2"),
        (np.ones((1, 3)), "diagonal", "n_samples = 1: a spread needs at least 2"),
        (np.full((5, 3), 0.1), "ledoit_wolf", "all 5 training samples are equal"),
        (np.full((5, 9), 0.1, np.float32), "ledoit_wolf", "all 5 training samples are equal"),
        (data(5, 9), "empirical", r"5 samples with 9 features is singular \(rank 4"),
        (np.c_[data(5, 2), np.full(5, 0.3)], "diagonal", "column 2 is constant"),
        (data(5, 2), "full", "covariance must be one of ledoit_wolf, oas, empirical, diagonal, spherical"),
    ],
)
def test_data_without_a_gaussian_is_refused(X, covariance, message):
    with pytest.raises(InputError, match=message):
        fit_gaussian(X, covariance)


def test_a_subspace_cannot_come_from_moments_alone():
    fitted = components_from_moments(Moments.from_data(data(30, 4)))
    with pytest.raises(InputError, match="moments do not hold them"):
        gaussian_from_components(fitted, reduce=("pca", 0.9))


def test_components_reproduce_the_covariance():
    X = data(50, 8)
    fitted = principal_components(X)
    S = (fitted.components.T * fitted.variances) @ fitted.components
    np.testing.assert_allclose(S, np.cov(X.T, bias=True), atol=1e-12)
    np.testing.assert_allclose(fitted.coordinates.var(axis=0), fitted.variances, rtol=1e-10)
