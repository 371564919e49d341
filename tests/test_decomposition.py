"""M squared divided among channels, levels and components: the parts add up, and each is its definition."""

import numpy as np
import pytest
import two_levels
from two_levels import GRID, WIDTHS

import gad_core as gad
from gad_core.explain.decomposition import channel_parts, component_parts, level_parts


def samples(n=40, seed=0):
    return two_levels.samples(n, seed).astype(np.float32)


@pytest.mark.parametrize(("combine", "reduce", "covariance"), GRID)
def test_all_parts_add_up_to_the_squared_distance(combine, reduce, covariance):
    detector = gad.GaussianDetector(WIDTHS, combine, reduce, covariance, threshold="chi2").fit(samples())
    Y = samples(6, seed=1)
    squared = detector.mahalanobis(Y) ** 2
    channels, levels = channel_parts(detector, Y), level_parts(detector, Y)
    assert channels.shape == (6, 9)
    np.testing.assert_allclose(channels.sum(axis=1), squared, rtol=1e-10)
    np.testing.assert_allclose(levels.sum(axis=1), squared, rtol=1e-10)
    components = component_parts(detector, Y)
    total = sum(part.along.sum(axis=1) + part.outside for part in components.values())
    np.testing.assert_allclose(total, squared, rtol=1e-10)
    assert all((part.along >= 0).all() and part.outside.min() >= -1e-9 for part in components.values())


def test_few_samples_leave_a_part_outside_of_the_axes():
    detector = gad.GaussianDetector(WIDTHS, "joint", threshold="chi2").fit(samples(5))
    (part,) = component_parts(detector, samples(3, seed=1)).values()
    assert part.along.shape == (3, 4)
    assert np.all(part.outside > 0)


def test_channels_of_the_diagonal_covariance_are_squared_z_scores():
    X, Y = samples(), samples(4, seed=1)
    detector = gad.GaussianDetector(WIDTHS, "joint", covariance="diagonal", threshold="chi2").fit(X)
    z = (Y - X.mean(axis=0, dtype=np.float64)) / X.std(axis=0, dtype=np.float64)
    np.testing.assert_allclose(channel_parts(detector, Y), z**2, rtol=1e-6)
    np.testing.assert_allclose(component_parts(detector, Y)["joint"].along, z**2, rtol=1e-6)


def test_levels_of_a_sum_have_shares_like_their_distances():
    detector = gad.GaussianDetector(WIDTHS, threshold="chi2").fit(samples())
    Y = samples(4, seed=1)
    expected = detector.level_distances(Y) * detector.mahalanobis(Y)[:, None]
    np.testing.assert_allclose(level_parts(detector, Y), expected, rtol=1e-10)


def test_a_level_that_is_not_looked_at_has_no_part():
    detector = gad.GaussianDetector(WIDTHS, 2, threshold="chi2").fit(samples())
    assert not level_parts(detector, samples(4, seed=1))[:, 0].any()
    assert list(component_parts(detector, samples(4, seed=1))) == [2]


def test_a_sample_at_the_mean_has_no_parts():
    detector = gad.GaussianDetector(WIDTHS, threshold="chi2").fit(samples())
    mean = np.concatenate([gaussian.location for gaussian in detector.gaussians_.values()])[None]
    assert not level_parts(detector, mean).any()
    assert not channel_parts(detector, mean).any()


def test_components_are_those_of_the_covariance():
    X, Y = samples(), samples(4, seed=1)
    detector = gad.GaussianDetector(None, covariance="empirical", threshold="chi2").fit(X)
    variances, axes = np.linalg.eigh(np.cov(X.T.astype(np.float64), bias=True))
    coordinates = (Y - X.mean(axis=0, dtype=np.float64)) @ axes[:, ::-1]
    along = component_parts(detector, Y)["joint"].along
    np.testing.assert_allclose(along, coordinates**2 / variances[::-1], rtol=1e-4)


@pytest.mark.parametrize("covariance", ["ledoit_wolf", "diagonal", "spherical"])
def test_the_gradient_is_that_of_finite_differences(covariance):
    gaussian = gad.fit_gaussian(samples(), covariance)
    y, step = samples(1, seed=1)[0].astype(np.float64), 1e-5
    moved = gaussian.mahalanobis(y + step * np.vstack([np.eye(9), -np.eye(9)]))
    np.testing.assert_allclose(gaussian.gradient(y[None])[0], (moved[:9] - moved[9:]) / (2 * step), rtol=1e-5)
