"""Score maps: their mean is the distance, and every pixel is what the definition says."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gad_core as gad
from gad_core.errors import InputError
from gad_core.explain.maps import level_relevance
from gad_core.explain.resample import axis_weights, checked_size, resample, resampled_sum

pytestmark = pytest.mark.slow

WIDTHS = {2: 3, 5: 6}
SHAPES = {2: (7, 5), 5: (3, 2)}
PREDICTORS = ("sum", "joint", 2, 5)
REDUCTIONS = (None, ("pca", 0.9), ("npca", 0.9))
COVARIANCES = ("ledoit_wolf", "oas", "empirical", "diagonal", "spherical")


def train(n=40, p=9, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + 5).astype(np.float32)


def random_maps(count=3, seed=1, widths=WIDTHS, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return {
        level: torch.from_numpy(rng.normal(5, 3, size=(count, width, *shapes[level])).astype(np.float32))
        for level, width in widths.items()
    }


def by_definition(detector, maps):
    """(phi - m)' P (f - m) / M in float64 with the precision matrix itself, for each level."""
    phi = {level: values.double().numpy() for level, values in maps.items()}
    f = np.concatenate([values.mean(axis=(2, 3)) for values in phi.values()], axis=1)
    ends = np.cumsum([0, *(values.shape[1] for values in phi.values())])
    columns = {level: slice(a, b) for level, a, b in zip(phi, ends, ends[1:], strict=False)}
    groups = {"joint": list(phi)} if detector.combine == "joint" else {k: [k] for k in detector.gaussians_}
    found, total = {}, 0
    for key, levels in groups.items():
        gaussian = detector.gaussians_[key]
        where = np.concatenate([np.arange(columns[n].start, columns[n].stop) for n in levels])
        z = f[:, where] - gaussian.location
        m = np.sqrt(np.einsum("bi,ij,bj->b", z, gaussian.precision, z))
        w = z @ gaussian.precision / m[:, None]
        total += m
        for level in levels:
            inside = np.isin(where, np.arange(columns[level].start, columns[level].stop))
            centred = phi[level] - gaussian.location[inside][:, None, None]
            found[level] = np.einsum("bchw,bc->bhw", centred, w[:, inside])
    return found, total


@pytest.mark.parametrize(
    ("combine", "reduce", "covariance"), list(itertools.product(PREDICTORS, REDUCTIONS, COVARIANCES))
)
def test_every_pixel_is_the_definition_and_the_mean_is_the_distance(combine, reduce, covariance):
    detector = gad.GaussianDetector(WIDTHS, combine, reduce, covariance, threshold="chi2").fit(train())
    maps = random_maps()
    found = level_relevance(detector, maps)
    expected, distances = by_definition(detector, maps)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-5)
    assert list(found.levels) == list(expected)
    for level, part in found.levels.items():
        largest = np.abs(expected[level]).max()
        np.testing.assert_allclose(part, expected[level], atol=1e-5 * largest)
    for size in ((13, 11), (2, 2), (7, 5), (70, 50)):
        combined = found.at(size)
        assert combined.dtype == np.float32
        assert combined.shape == (3, *size)
        np.testing.assert_allclose(combined.mean(axis=(1, 2), dtype=np.float64), distances, rtol=1e-5)


@pytest.mark.parametrize("covariance", ["ledoit_wolf", "oas"])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_fewer_samples_than_features(covariance, reduce):
    detector = gad.GaussianDetector(WIDTHS, "joint", reduce, covariance, threshold="chi2").fit(train(n=6))
    maps = random_maps()
    found, (expected, distances) = level_relevance(detector, maps), by_definition(detector, maps)
    np.testing.assert_allclose(found.at((9, 9)).mean(axis=(1, 2)), distances, rtol=1e-5)
    for level, part in found.levels.items():
        np.testing.assert_allclose(part, expected[level], atol=1e-5 * np.abs(expected[level]).max())


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(["sum", "joint"]),
    st.floats(-3, 3),
)
def test_the_mean_is_the_distance_for_any_shapes_and_scales(seed, sides, size, combine, scale):
    rng = np.random.default_rng(seed)
    widths = {i: int(rng.integers(1, 5)) for i in range(1, len(sides) + 1)}
    shapes = {i: (side, int(rng.integers(1, 9))) for i, side in enumerate(sides, start=1)}
    factor = np.float32(10.0**scale)
    X = factor * train(12, sum(widths.values()), seed % 1000)
    detector = gad.GaussianDetector(widths, combine, threshold="chi2").fit(X)
    maps = {k: factor * v for k, v in random_maps(2, seed, widths, shapes).items()}
    found, (_, distances) = level_relevance(detector, maps), by_definition(detector, maps)
    np.testing.assert_allclose(found.at(size).mean(axis=(1, 2), dtype=np.float64), found.distances, rtol=1e-5)
    # Few samples make directions of little variance, along which float32 features are known less well.
    np.testing.assert_allclose(found.distances, distances, rtol=2e-3)


def test_an_image_at_the_mean_has_a_zero_map():
    detector = gad.GaussianDetector(WIDTHS, "joint", threshold="chi2").fit(train())
    detector.gaussians_["joint"] = replace(detector.gaussians_["joint"], location=np.zeros(9))
    # Whole numbers that cancel exactly, so that the features are exactly zero.
    maps = {level: values.round() for level, values in random_maps(2).items()}
    maps = {level: torch.cat([values, -values], dim=3) for level, values in maps.items()}
    found = level_relevance(detector, maps)
    assert not found.distances.any()
    np.testing.assert_array_equal(found.at((8, 8)), np.zeros((2, 8, 8)))


# --- resolution -------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 50), st.integers(1, 120), st.integers(0, 1000))
def test_resampling_keeps_mean_constants_and_range(n, size, seed):
    weights = axis_weights(n, size)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(weights.sum(axis=0), size / n, rtol=1e-12)
    assert weights.min() > -1e-12
    values = np.random.default_rng(seed).normal(size=(2, n, 3))
    found = resample(values, (size, 5))
    np.testing.assert_allclose(found.mean(axis=(1, 2)), values.mean(axis=(1, 2)), atol=1e-12)


def test_resampling_is_the_mean_of_the_broken_line_over_each_pixel():
    values = np.random.default_rng(0).normal(size=7)
    fine = 11 * 1000
    positions = (np.arange(fine) + 0.5) / fine * 7 - 0.5
    line = np.interp(positions, np.arange(7), values)  # level beyond the outer centres
    expected = line.reshape(11, -1).mean(axis=1)
    np.testing.assert_allclose(resample(values[None], (1, 11))[0], expected, atol=1e-6)


def test_maps_of_several_resolutions_are_added():
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(2, *shape)) for shape in ((3, 5), (7, 4), (11, 6), (40, 40))]
    expected = sum(resample(each, (11, 6)) for each in maps)
    np.testing.assert_allclose(resampled_sum(maps, (11, 6)), expected, atol=1e-12)


def test_resampling_to_the_same_size_changes_nothing_but_the_type():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(resample(values, (2, 3)), values)


@pytest.mark.parametrize("size", [0, -3, 2.5, (4,), (4, 4, 4), (4, 0), "12", (None, 3)])
def test_a_resolution_that_is_none_is_refused(size):
    with pytest.raises(InputError, match="resolution"):
        checked_size(size)


# --- networks ---------------------------------------------------------------------------------------------


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=(count, 70, 60, 3), dtype=np.uint8)


def fitted(extractor, X, combine="sum", **options):
    return gad.GaussianDetector(extractor.level_widths, combine, threshold="chi2", **options).fit(X)


@pytest.fixture(scope="module")
def squeezenet():
    return gad.FeatureExtractor("squeezenet1_1", weights="random", levels=[1, 3, 5], size=64, progress=False)


@pytest.mark.parametrize(
    ("backbone", "levels"),
    [
        ("squeezenet1_1", None),
        ("resnet18", [1, 3, 5]),
        ("efficientnet_b0", [2, 5, 9]),
        ("mobilenet_v3_large", [3, 7]),
        ("convnext_tiny", [1, 2]),
        ("embedded", [1, 4, 5]),
    ],
)
def test_maps_of_real_networks_average_to_the_distance(backbone, levels):
    weights = "embedded" if backbone == "embedded" else "random"
    extractor = gad.FeatureExtractor(backbone, weights, levels, size=64, progress=False, batch_size=3)
    X = extractor.fit(images(10)).transform(images(10))
    shown = images(4, seed=9)
    features = extractor.transform(shown)
    for combine in ("sum", "joint", max(extractor.level_widths)):
        detector = fitted(extractor, X, combine)
        expected = detector.mahalanobis(features)
        found = list(gad.score_maps(detector, extractor, shown))
        assert [each.map.shape for each in found] == [(64, 64)] * 4
        np.testing.assert_allclose([each.distance for each in found], expected, rtol=1e-5)
        means = [each.map.mean(dtype=np.float64) for each in found]
        np.testing.assert_allclose(means, expected, rtol=1e-5)


def test_one_pass_of_the_network_gives_score_and_map(squeezenet, monkeypatch):
    detector = fitted(squeezenet, squeezenet.transform(images(8)))
    device, network = squeezenet.load_network()
    passed = []
    monkeypatch.setattr(
        squeezenet._networks, "load", lambda _: (device, lambda x: passed.append(x) or network(x))
    )
    found = list(gad.score_maps(detector, squeezenet, images(5), size=(20, 30)))
    assert sum(len(x) for x in passed) == 5
    assert found[0].map.shape == (20, 30)
    np.testing.assert_allclose(
        detector.mahalanobis([each.features for each in found]), [each.distance for each in found]
    )


def test_the_map_of_a_single_image(squeezenet):
    X = squeezenet.transform(images(8))
    detector = fitted(squeezenet, X)
    found = gad.score_map(detector, squeezenet, images(1)[0])
    assert found.shape == (64, 64)
    assert found.mean(dtype=np.float64) == pytest.approx(detector.mahalanobis(X)[0], rel=1e-5)


def test_without_levels_the_extractor_tells_them_apart(squeezenet):
    X = squeezenet.transform(images(8))
    plain = gad.GaussianDetector(threshold="chi2").fit(X)
    joint = fitted(squeezenet, X, "joint")
    np.testing.assert_array_equal(
        gad.score_map(plain, squeezenet, images(1)), gad.score_map(joint, squeezenet, images(1))
    )


# --- bad input --------------------------------------------------------------------------------------------


def test_detector_and_extractor_that_do_not_match_are_refused(squeezenet, tmp_path):
    X = squeezenet.transform(images(8))
    detector = fitted(squeezenet, X)
    fewer = gad.FeatureExtractor("squeezenet1_1", weights="random", levels=[1, 3], size=64)
    with pytest.raises(InputError, match="levels of widths"):
        gad.score_maps(detector, fewer, images(1))  # before it is iterated over
    with pytest.raises(InputError, match=r"448 features.*192"):
        gad.score_map(gad.GaussianDetector(threshold="chi2").fit(X), fewer, images(1))
    detector.save(tmp_path / "model", squeezenet)
    larger = gad.FeatureExtractor("squeezenet1_1", weights="random", levels=[1, 3, 5], size=80)
    with pytest.raises(InputError, match="size 64, this is 80"):
        gad.score_map(gad.load(tmp_path / "model"), larger, images(1))
    assert gad.score_map(gad.load(tmp_path / "model"), squeezenet, images(1)).shape == (64, 64)


def test_other_bad_input_is_refused(squeezenet):
    detector = gad.GaussianDetector(squeezenet.level_widths, threshold="chi2")
    with pytest.raises(InputError, match="not fitted"):
        gad.score_map(detector, squeezenet, images(1))
    detector.fit(squeezenet.transform(images(8)))
    with pytest.raises(InputError, match="one image, not 2"):
        gad.score_map(detector, squeezenet, images(2))
    with pytest.raises(InputError, match="resolution"):
        gad.score_map(detector, squeezenet, images(1), size=0)
    with pytest.raises(InputError, match="no such image file"):
        gad.score_map(detector, squeezenet, "nothing.png")
