"""Bring a map to another resolution without changing its mean.

A map of n values along an axis is read as the broken line through the centres of its cells, level beyond the
outer centres; a pixel of the result is the mean of that line over the pixel. However n and the new size
relate, each value then counts for its own share of the axis, so the mean is kept; and as no weight is
negative, no value leaves the range of the map. The usual bilinear interpolation looks at the line at the
pixels' centres alone and keeps the mean only when the new size is a multiple of n.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from gad_core.errors import InputError

Real = TypeVar("Real", np.float32, np.float64)


@functools.lru_cache(maxsize=64)
def axis_weights(n: int, size: int) -> NDArray[np.float64]:
    """Weights that bring n values along an axis to another number of pixels.

    Parameters
    ----------
    n, size : int
        Number of values, and of pixels.

    Returns
    -------
    (size, n) array
        Each row adds up to 1 and each column to size / n; the identity if the number stays. It cannot be
        written to.

    Examples
    --------
    >>> axis_weights(2, 3)
    array([[0.97916667, 0.02083333],
           [0.5       , 0.5       ],
           [0.02083333, 0.97916667]])
    """
    if n == size:
        weights = np.eye(n)  # the mean of the line over a cell would blur the map for nothing
    else:
        edges = np.linspace(0, n, size + 1)
        areas = np.stack([_area_below(edges - 0.5 - i, i == 0, i == n - 1) for i in range(n)], axis=1)
        weights = np.diff(areas, axis=0) * (size / n)
    weights.flags.writeable = False
    return weights


def _area_below(x: NDArray[np.float64], first: bool, last: bool) -> NDArray[np.float64]:
    """Integrate the hat of a cell from its centre to x; towards an edge of the map it stays level."""
    left, right = np.minimum(x, 0), np.maximum(x, 0)
    falling, rising = np.minimum(right, 1), np.maximum(left, -1)
    before = left if first else rising + rising**2 / 2
    after = right if last else falling - falling**2 / 2
    return before + after


def resample(maps: ArrayLike, size: tuple[int, int]) -> NDArray[np.float64]:
    """Bring maps to another resolution; the mean of each stays the same.

    Parameters
    ----------
    maps : (..., h, w) array
        The maps.
    size : (int, int)
        Height and width of the result; it may be smaller than the maps.

    Returns
    -------
    (..., H, W) array
        In float64.

    Examples
    --------
    >>> resample([[0.0, 4.0]], (1, 4)).round(3).tolist()
    [[0.0, 1.0, 3.0, 4.0]]
    """
    maps = np.asarray(maps, dtype=np.float64)
    return maps if maps.shape[-2:] == checked_size(size) else resampled_sum([maps], size)


def resampled_sum(maps: Sequence[NDArray[Real]], size: tuple[int, int]) -> NDArray[Real]:
    """Bring maps of several resolutions to one and add them up.

    Parameters
    ----------
    maps : sequence of (..., h, w) float32 or float64 arrays
        At least one; h and w may differ, the other axes and the precision must not.
    size : (int, int)
        Height and width of the result.

    Returns
    -------
    (..., H, W) array
        The sum of what `resample` gives for each, found without these, in the maps' precision.
    """
    height, width = checked_size(size)
    # Above one another they need one product, whose inner axis runs over the rows of all maps.
    stacked: NDArray[Real] = np.concatenate([_across(each, width) for each in maps], axis=-2)
    down = _side_by_side(tuple(each.shape[-2] for each in maps), height, stacked.dtype)
    found = np.empty((*stacked.shape[:-2], height, width), dtype=stacked.dtype)
    for index in np.ndindex(*stacked.shape[:-2]):
        found[index] = down @ stacked[index]
    return found


def _across(maps: NDArray[Real], width: int) -> NDArray[Real]:
    """Bring the rows of maps (..., h, w) to another number of pixels."""
    rows = maps.reshape(-1, maps.shape[-1])
    found: NDArray[Real] = (_side_by_side(maps.shape[-1:], width, maps.dtype) @ rows.T).T
    return found.reshape(*maps.shape[:-1], width)


@functools.lru_cache(maxsize=64)
def _side_by_side(lengths: tuple[int, ...], size: int, dtype: np.dtype) -> sparse.csr_array:
    """`axis_weights` of several maps, (size, sum of lengths).

    A few weights of each map in a row are not zero, so that a sparse product takes a fraction of the time of
    a dense one. It also starts no threads of a BLAS, which would get in the way of the network's.
    """
    return sparse.csr_array(np.concatenate([axis_weights(n, size) for n in lengths], axis=1), dtype=dtype)


def checked_size(size: object) -> tuple[int, int]:
    """Return height and width given as one whole number or as two, or raise InputError."""
    pair = size if isinstance(size, tuple | list) else (size, size)
    try:
        height, width = (operator.index(pixels) for pixels in pair)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise InputError(f"a resolution is a whole number of pixels or (height, width), not {size!r}")
    return height, width
