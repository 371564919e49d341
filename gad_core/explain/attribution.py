"""Attributions to pixels: which values of the network's input a distance depends on.

`gad_core.explain.maps` is exact but as coarse as a level's map. The attributions here go on to the pixels by
derivatives or by covering parts of the image, and each is an approximation of its own kind. They are to the
normalised pixels after the paper's resize, which is no part of the derivative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gad_core.errors import InputError
from gad_core.explain.pixel_score import PixelScore
from gad_core.runtime import whole_number

if TYPE_CHECKING:
    from torch import Tensor


class Integrated(NamedTuple):
    """Integrated gradients and how well they add up."""

    values: NDArray[np.float32]
    """(b, c, s, s)."""
    completeness_error: NDArray[np.float64]
    """(b,): how far the sum of the values is from M(input) - M(baseline), as a share of that."""


def pixel_relevance(values: NDArray[np.float32], signed: bool = True) -> NDArray[np.float32]:
    """Make one value a pixel from those of its colours.

    Parameters
    ----------
    values : (b, c, s, s) array
        Of an attribution.
    signed : bool
        Add the colours up, which is right for shares of a distance; else take their Euclidean norm, which is
        right for gradients.

    Returns
    -------
    (b, s, s) array
        One map for each image.
    """
    return values.sum(axis=1) if signed else np.sqrt(np.square(values).sum(axis=1))


def gradient_x_input(
    score: PixelScore, inputs: Tensor, baseline: Tensor | float = 0.0
) -> NDArray[np.float32]:
    """Gradient times the difference to a baseline: what a linear distance would owe to each value.

    Parameters
    ----------
    score : PixelScore
        The distance.
    inputs : (b, c, s, s) torch.Tensor
        As from `gad_core.explain.pixel_score.network_inputs`.
    baseline : torch.Tensor or float
        An input without any feature, which broadcasts to `inputs`; 0 is ImageNet's mean colour.

    Returns
    -------
    (b, c, s, s) float32 array
        In units of M.
    """
    _, gradients = score.gradients(inputs)
    return (gradients * (inputs.to(gradients) - _on(baseline, gradients))).cpu().numpy()


def integrated_gradients(
    score: PixelScore, inputs: Tensor, baseline: Tensor | float = 0.0, steps: int = 32
) -> Integrated:
    """Gradients averaged on the straight way from a baseline, times the difference to it.

    Their sum is M(input) - M(baseline) but for the error of the quadrature (Gauss and Legendre's, exact for
    polynomials), which is reported.

    Parameters
    ----------
    score, inputs, baseline
        As in `gradient_x_input`.
    steps : int
        Points of the quadrature.

    Returns
    -------
    Integrated
        The values, in units of M, and the error of their sum.

    References
    ----------
    Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017.
    """
    points, weights = np.polynomial.legendre.leggauss(whole_number(steps, "steps", 1))
    inputs = inputs.to(score.device)
    start = _on(baseline, inputs).expand_as(inputs)
    difference, mean = inputs - start, np.zeros(tuple(inputs.shape))
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        mean += weight * score.gradients(start + float(point) * difference)[1].cpu().numpy()
    values = mean * difference.cpu().numpy()
    expected = score.distances(inputs) - score.distances(start)
    missing = np.abs(values.sum(axis=(1, 2, 3)) - expected)
    share = np.divide(missing, np.abs(expected), out=np.zeros_like(missing), where=missing > 0)
    return Integrated(values.astype(np.float32), share)


def smoothgrad(
    score: PixelScore,
    inputs: Tensor,
    rng: np.random.Generator,
    noise: float = 0.15,
    samples: int = 16,
) -> NDArray[np.float32]:
    """Gradients averaged over noisy copies of the input.

    Parameters
    ----------
    score, inputs
        As in `gradient_x_input`.
    rng : numpy.random.Generator
        Source of the noise.
    noise : float
        Standard deviation of the noise as a share of each input's range.
    samples : int
        Number of copies.

    Returns
    -------
    (b, c, s, s) float32 array
        Gradients: change of M for a unit of the input.

    References
    ----------
    Smilkov, Thorat, Kim, Viégas and Wattenberg, "SmoothGrad: removing noise by adding noise", 2017.
    """
    import torch

    inputs = inputs.to(score.device)
    scale = noise * (inputs.amax(dim=(1, 2, 3)) - inputs.amin(dim=(1, 2, 3)))[:, None, None, None]
    mean = np.zeros(tuple(inputs.shape))
    for _ in range(whole_number(samples, "samples", 1)):
        drawn = torch.from_numpy(rng.standard_normal(tuple(inputs.shape), dtype=np.float32))
        mean += score.gradients(inputs + scale * drawn.to(inputs))[1].cpu().numpy() / samples
    return mean.astype(np.float32)


def occlusion(
    score: PixelScore, inputs: Tensor, window: int, stride: int, baseline: Tensor | float = 0.0
) -> NDArray[np.float32]:
    """Fall of the distance when a square window is covered, averaged over the windows that hold a pixel.

    Parameters
    ----------
    score, inputs, baseline
        As in `gradient_x_input`; the baseline is what a window is covered with.
    window, stride : int
        Side of the window and its step in pixels; the last window of a row ends at the edge.

    Returns
    -------
    (b, s, s) float32 array
        In units of M.

    Raises
    ------
    InputError
        If the window is larger than the input, or the stride larger than the window.

    References
    ----------
    Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014.
    """
    inputs = inputs.to(score.device)
    height, width = inputs.shape[2:]
    if not (0 < stride <= window <= min(height, width)):
        raise InputError(
            f"a window of {window} pixels and a step of {stride} do not cover a {height} x {width} input: "
            "take 0 < stride <= window <= side"
        )
    cover, before = _on(baseline, inputs).expand_as(inputs), score.distances(inputs)
    total, count = np.zeros((len(inputs), height, width)), np.zeros((height, width))
    for top in _starts(height, window, stride):
        for left in _starts(width, window, stride):
            where = (..., slice(top, top + window), slice(left, left + window))
            covered = inputs.clone()
            covered[where] = cover[where]
            total[where] += (before - score.distances(covered))[:, None, None]
            count[where] += 1
    return (total / count).astype(np.float32)


def _starts(length: int, window: int, stride: int) -> list[int]:
    return sorted({*range(0, length - window + 1, stride), length - window})


def _on(baseline: Any, like: Tensor) -> Tensor:
    """Baseline as a tensor on the device of another, in its precision."""
    import torch

    return torch.as_tensor(baseline, dtype=like.dtype, device=like.device)
