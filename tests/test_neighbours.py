"""Nearest normal samples: distances by their definition, neighbours by an independent search."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from two_levels import GRID, WIDTHS, samples

import gad_core as gad
from gad_core.errors import InputError
from gad_core.explain.maps import detector_mean
from gad_core.explain.neighbours import nearest_normal, pairwise_mahalanobis
from gad_core.levels import gaussian_columns


@pytest.mark.parametrize(("combine", "reduce", "covariance"), GRID)
@pytest.mark.parametrize("count", [6, 40])  # fewer and more samples than features
def test_distances_are_those_of_the_precision_matrix(combine, reduce, covariance, count):
    if covariance == "empirical" and reduce is None and count < 9:
        return  # singular, refused by fit
    detector = gad.GaussianDetector(WIDTHS, combine, reduce, covariance, threshold="chi2").fit(samples(count))
    X, Y = samples(4, seed=1), samples(3, seed=2)
    expected = np.zeros((4, 3))
    columns = gaussian_columns(WIDTHS, combine, 9)
    for level, gaussian in detector.gaussians_.items():
        difference = (X[:, None] - Y[None])[:, :, columns[level]]
        squared = np.einsum("abi,ij,abj->ab", difference, gaussian.precision, difference)
        expected += np.sqrt(np.maximum(squared, 0))
    np.testing.assert_allclose(pairwise_mahalanobis(detector, X, Y), expected, rtol=1e-7)


@pytest.mark.parametrize("combine", ["sum", "joint", 1])
def test_the_distance_to_the_mean_is_the_detectors_own(combine):
    detector = gad.GaussianDetector(WIDTHS, combine).fit(samples())
    Y = samples(5, seed=1)
    to_mean = pairwise_mahalanobis(detector, Y, detector_mean(detector)[None])[:, 0]
    np.testing.assert_allclose(to_mean, detector.mahalanobis(Y), rtol=1e-10)


def test_after_whitening_they_are_plain_nearest_neighbours():
    train, Y = samples(60), samples(8, seed=1)
    detector = gad.GaussianDetector(WIDTHS, "joint").fit(train)
    whitening = np.linalg.cholesky(detector.gaussians_["joint"].precision)  # P = L L'
    search = NearestNeighbors(n_neighbors=4).fit(train @ whitening)
    distances, indices = search.kneighbors(Y @ whitening)
    found = nearest_normal(detector, train, Y, count=4)
    assert np.array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-8)
    plain = NearestNeighbors(n_neighbors=4).fit(train).kneighbors(Y, return_distance=False)
    assert not np.array_equal(found.indices, plain)  # the metric matters


def test_a_training_sample_finds_itself_first_and_equal_ones_keep_their_order():
    train = samples(20)
    train[11] = train[4]
    detector = gad.GaussianDetector(WIDTHS).fit(train)
    found = nearest_normal(detector, train, train, count=2)
    assert list(found.indices[4]) == list(found.indices[11]) == [4, 11]
    alone = [i for i in range(20) if i not in (4, 11)]
    assert np.array_equal(found.indices[alone, 0], alone)
    assert np.all(np.diff(found.distances, axis=1) >= 0)


@pytest.mark.parametrize("count", [0, 21])
def test_a_number_of_neighbours_that_cannot_be_is_refused(count):
    train = samples(20)
    detector = gad.GaussianDetector(WIDTHS).fit(train)
    with pytest.raises(InputError, match="ask for 1 to 20"):
        nearest_normal(detector, train, train, count)


def test_samples_of_another_width_or_without_a_value_are_refused():
    train = samples(20)
    detector = gad.GaussianDetector(WIDTHS).fit(train)
    with pytest.raises(ValueError, match="9 features"):
        nearest_normal(detector, train[:, :5], train)
    train[3, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        nearest_normal(detector, train, train[:2])
