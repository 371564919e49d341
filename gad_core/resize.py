"""The paper's resize rule: squash to a square, bilinear, no antialiasing (method: Protocol)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESIZE_RULE = "bilinear, no antialiasing, half-pixel centres, uint8"
"""The resize rule in words, as saved models and cache entries state it."""

# Few enough rows of float32 that they stay in a processor's cache between the steps of the resize.
_ROWS_AT_ONCE = 32


def resize_bilinear(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Squash an image to a square by the paper's rule: bilinear, no antialiasing, half-pixel centres.

    Output pixel i lies at ``(i + 0.5) * n / size - 0.5`` of the input's n rows (columns), and is interpolated
    between the two nearest, however much the image shrinks; edges are repeated. The result is rounded half to
    even. Sampling positions are float32, as in torch, so that ties round the same way.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        The image.
    size : int
        Side of the result in pixels.

    Returns
    -------
    (size, size, 3) uint8 array
        The image itself if it has this size.

    Examples
    --------
    >>> row = np.array([[[0, 0, 0], [100, 100, 100]]], dtype=np.uint8)
    >>> resize_bilinear(row, 4)[0, :, 0]
    array([  0,  25,  75, 100], dtype=uint8)
    """
    height, width = image.shape[:2]
    if height == width == size:
        return image
    top, bottom, down = _neighbours(height, size)
    left, right, across = _neighbours(width, size)
    # Interleaved channels as separate columns: gathering single numbers is faster than gathering triples.
    channels = np.arange(3)
    left, right = ((side[:, None] * 3 + channels).ravel() for side in (left, right))
    across = np.repeat(across, 3)
    flat = image.reshape(height, width * 3)
    result = np.empty((size, size * 3), dtype=np.uint8)
    for start in range(0, size, _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        rows = _between(flat[top[part]], flat[bottom[part]], down[part, None])
        both = _between(rows.take(left, axis=1), rows.take(right, axis=1), across)
        result[part] = np.rint(both, out=both)
    return result.reshape(size, size, 3)


def _neighbours(n: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """First and second neighbour of each output pixel along an axis of n, and the second's weight."""
    scale = np.float32(n) / np.float32(size)
    position = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    position = np.clip(position, 0, n - 1)
    first = position.astype(np.intp)
    return first, np.minimum(first + 1, n - 1), position - first.astype(np.float32)


def _between(first: NDArray, second: NDArray, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Interpolate in float32; `weight` is that of the second, which is overwritten if it is float32."""
    first, second = first.astype(np.float32, copy=False), second.astype(np.float32, copy=False)
    second -= first
    second *= weight
    second += first
    return second
