"""Attributions to pixels on networks small enough to be computed by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import gad_core as gad
from gad_core.errors import InputError
from gad_core.explain.attribution import (
    gradient_x_input,
    integrated_gradients,
    occlusion,
    pixel_relevance,
    smoothgrad,
)
from gad_core.explain.pixel_score import PixelScore, network_inputs
from gad_core.gaussian import Gaussian

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
CHANNELS = torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]])


def detector(mean, sigma=1.0, combine="joint", levels=None):
    """A detector with a given mean and standard deviation, one Gaussian over all columns."""
    mean = np.atleast_1d(np.asarray(mean, dtype=np.float64))
    gaussian = Gaussian(mean, np.empty((0, len(mean))), np.empty(0), np.full(len(mean), sigma**2), len(mean))
    fitted = gad.GaussianDetector(levels, combine, threshold="chi2")
    fitted._set_fitted({"joint": gaussian}, len(mean), np.empty(0))
    return fitted


def score(network, *args, batch_size=2, **kwargs):
    return PixelScore(detector(*args, **kwargs), lambda x: [network(x)], (1,), CPU, batch_size)


def inputs(count=3, side=6, seed=0):
    return torch.from_numpy(
        np.random.default_rng(seed).uniform(0.5, 2, (count, 3, side, side)).astype(np.float32)
    )


def weighted(weights=CHANNELS):
    """A 1x1 convolution without offset."""
    return lambda x: torch.einsum("bchw,dc->bdhw", x, weights)


def test_gradient_of_a_linear_network_with_one_feature():
    x = inputs()
    # f = mean of w'x, far above m: M = (f - m) / sigma, so each pixel's gradient is w / (sigma * pixels).
    it = score(weighted(CHANNELS[:1]), mean=-10.0, sigma=0.5)
    distances, gradients = it.gradients(x)
    expected = (CHANNELS[0] / (0.5 * 36))[None, :, None, None].expand_as(x)
    torch.testing.assert_close(gradients, expected)
    np.testing.assert_allclose(distances, ((x * CHANNELS[0][:, None, None]).sum(1).mean((1, 2)) + 10) / 0.5,
                               rtol=1e-6)  # fmt: skip
    np.testing.assert_allclose(it.distances(x), distances, rtol=1e-12)


def test_gradient_of_a_linear_network_with_two_features():
    x, mean = inputs(), np.array([0.3, -0.2])
    f = weighted()(x).mean((2, 3)).double().numpy()
    m = np.linalg.norm(f - mean, axis=1)
    by_hand = ((f - mean) / m[:, None]) @ CHANNELS.double().numpy() / 36
    _, gradients = score(weighted(), mean).gradients(x)
    expected = np.broadcast_to(by_hand[:, :, None, None], x.shape)
    np.testing.assert_allclose(gradients, expected, rtol=1e-5)


def test_gradients_do_not_depend_on_the_batch_and_leave_the_network_alone():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 2, 3)).eval().requires_grad_(False)
    x = inputs(5)
    whole, pieces = (score(network, np.zeros(2), batch_size=b).gradients(x)[1] for b in (5, 2))
    torch.testing.assert_close(whole, pieces)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())
    assert not x.requires_grad


def test_gradient_times_input_is_exact_for_a_linear_distance():
    x, baseline = inputs(), 0.25
    it = score(weighted(CHANNELS[:1]), -10.0)
    values = gradient_x_input(it, x, baseline)
    expected = CHANNELS[0][:, None, None] * (x - baseline) / 36
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    fall = it.distances(x) - it.distances(torch.full_like(x, baseline))
    np.testing.assert_allclose(values.sum(axis=(1, 2, 3)), fall, rtol=1e-5)


@pytest.mark.parametrize("steps", [1, 5])
def test_integrated_gradients_are_exact_for_linear_and_quadratic_networks(steps):
    x, baseline = inputs(), inputs(1, seed=1)
    it = score(weighted(CHANNELS[:1]), -10.0)
    found = integrated_gradients(it, x, baseline, steps)
    np.testing.assert_allclose(found.values, CHANNELS[0][:, None, None] * (x - baseline) / 36, atol=1e-6)
    # f = mean over pixels of x0² (first colour): the integral of 2 x0 along the way gives x0² - b0².
    square = score(lambda x: x[:, :1] ** 2, -1.0)
    found = integrated_gradients(square, x, baseline, steps)
    np.testing.assert_allclose(found.values[:, 0], (x**2 - baseline**2)[:, 0] / 36, atol=1e-6)
    assert not found.values[:, 1:].any()
    assert integrated_gradients(square, x, 0.0, steps).completeness_error.max() < 1e-5


def test_integrated_gradients_of_an_input_that_is_the_baseline():
    found = integrated_gradients(score(weighted(), np.zeros(2)), inputs(2), inputs(2), 3)
    assert not found.values.any()
    np.testing.assert_array_equal(found.completeness_error, 0)


def test_too_few_steps_show_in_the_completeness_error():
    sharp = score(lambda x: torch.sigmoid(40 * (x[:, :1] - 1.2)), -1.0)
    few, many = (integrated_gradients(sharp, inputs(), 0.0, steps).completeness_error for steps in (2, 400))
    assert few.max() > 0.05
    assert many.max() < 0.01


def test_integrated_gradients_of_a_real_network_are_complete():
    extractor = gad.FeatureExtractor("embedded", size=64, progress=False, batch_size=4)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)
    fitted = gad.GaussianDetector(extractor.level_widths, threshold="chi2").fit(
        extractor.transform(images[:9])
    )
    it, x = PixelScore.of(fitted, extractor), network_inputs(extractor, images[9:])
    found = integrated_gradients(it, x, network_inputs(extractor, np.full((64, 64, 3), 127, np.uint8)), 64)
    assert found.completeness_error.max() < 0.01
    np.testing.assert_allclose(
        it.distances(x), fitted.mahalanobis(extractor.transform(images[9:])), rtol=1e-5
    )


def test_smoothgrad_of_a_linear_distance_is_its_gradient():
    x = inputs()
    it = score(weighted(CHANNELS[:1]), -10.0)
    found = smoothgrad(it, x, np.random.default_rng(0), samples=3)
    np.testing.assert_allclose(found, it.gradients(x)[1], rtol=1e-5)


def test_smoothgrad_averages_gradients_at_noisy_copies_by_its_seed():
    x = inputs()
    cubic = score(lambda x: x[:, :1] ** 3, -1.0)  # the gradient 3 x² has the mean 3 (x² + s²) under noise
    found = smoothgrad(cubic, x, np.random.default_rng(0), noise=0.1, samples=1000)
    sigma = 0.1 * (x.amax((1, 2, 3)) - x.amin((1, 2, 3)))[:, None, None]
    np.testing.assert_allclose(found[:, 0], 3 * (x[:, 0] ** 2 + sigma**2) / 36, rtol=0.1)
    again, other = (smoothgrad(cubic, x, np.random.default_rng(seed), samples=2) for seed in (0, 1))
    np.testing.assert_array_equal(again, smoothgrad(cubic, x, np.random.default_rng(0), samples=2))
    assert np.abs(again - other).max() > 0


def test_occlusion_of_a_linear_distance_is_the_sum_over_the_window():
    x = inputs(side=6)
    it = score(weighted(CHANNELS[:1]), -10.0)
    found = occlusion(it, x, window=2, stride=2, baseline=0.5)
    removed = (CHANNELS[0][:, None, None] * (x - 0.5)).sum(1) / 36
    blocks = removed.reshape(3, 3, 2, 3, 2).sum((2, 4))
    np.testing.assert_allclose(found, blocks.repeat_interleave(2, 1).repeat_interleave(2, 2), atol=2e-6)


def test_occlusion_averages_overlapping_windows_up_to_the_edges():
    x = inputs(1, side=5)
    found = occlusion(score(weighted(CHANNELS[:1]), -10.0), x, window=3, stride=3)  # windows at 0 and 2
    removed = ((CHANNELS[0][:, None, None] * x).sum(1) / 25)[0].numpy()
    corners = [[removed[i : i + 3, j : j + 3].sum() for j in (0, 2)] for i in (0, 2)]
    assert found[0, 0, 0] == pytest.approx(corners[0][0], rel=1e-4)
    assert found[0, 4, 0] == pytest.approx(corners[1][0], rel=1e-4)
    assert found[0, 2, 2] == pytest.approx(np.mean(corners), rel=1e-4)


@pytest.mark.parametrize(("window", "stride"), [(7, 1), (2, 3), (2, 0)])
def test_windows_that_do_not_cover_the_input_are_refused(window, stride):
    with pytest.raises(InputError, match="do not cover"):
        occlusion(score(weighted(), np.zeros(2)), inputs(), window, stride)


def test_one_value_a_pixel():
    values = np.array([3.0, -4.0, 0.0], dtype=np.float32)[None, :, None, None]
    assert pixel_relevance(values).tolist() == [[[-1.0]]]
    assert pixel_relevance(values, signed=False).tolist() == [[[5.0]]]


def test_only_asked_levels_count_and_mismatches_are_refused():
    levels = [lambda x: x[:, :1] * 100, lambda x: x[:, 1:2]]
    it = PixelScore(detector(-1.0), lambda x: [level(x) for level in levels], (2,), CPU)
    _, gradients = it.gradients(inputs())
    assert not gradients[:, 0].any()
    assert gradients[:, 1].all()
    full = SimpleNamespace(precision="fp32")
    other = SimpleNamespace(level_widths={1: 7}, fingerprint=dict, execution=lambda: full)
    with pytest.raises(InputError, match="1 features"):
        PixelScore.of(detector(-1.0), other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_attributions_on_a_gpu_are_those_on_the_cpu():
    images = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    found = []
    for device in ("cpu", "cuda"):
        extractor = gad.FeatureExtractor("embedded", size=64, device=device, progress=False)
        fitted = gad.GaussianDetector(extractor.level_widths, threshold="chi2")
        it = PixelScore.of(fitted.fit(extractor.transform(images)), extractor)
        found.append(integrated_gradients(it, network_inputs(extractor, images[:2]), 0.0, 4).values)
    np.testing.assert_allclose(found[0], found[1], atol=1e-3 * np.abs(found[0]).max())


def test_captum_agrees():
    attr = pytest.importorskip("captum.attr", reason="captum is not installed")
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 2, 3)).eval().requires_grad_(False)
    mean, x = np.array([0.4, -0.3]), inputs()
    it = score(network, mean)

    def distance(x):
        return (network(x).mean((2, 3)) - torch.tensor(mean, dtype=x.dtype)).norm(dim=1)

    theirs = attr.IntegratedGradients(distance).attribute(x, n_steps=50, method="gausslegendre")
    np.testing.assert_allclose(integrated_gradients(it, x, 0.0, 50).values, theirs.detach(), atol=1e-5)
    theirs = attr.InputXGradient(distance).attribute(x.clone().requires_grad_())
    np.testing.assert_allclose(gradient_x_input(it, x), theirs.detach(), atol=1e-5)
    windows = {"sliding_window_shapes": (3, 2, 2), "strides": (3, 2, 2)}
    theirs = attr.Occlusion(distance).attribute(x, **windows)[:, 0]
    np.testing.assert_allclose(occlusion(it, x, 2, 2), theirs, atol=1e-5)
