"""Brightness and its kin: what a picture's exposure says about it, and pictures brought to one exposure.

The statistics here know nothing of objects or defects. If they tell the good test images from the training
images, the two were not taken under the same conditions.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from gad_core.errors import InputError

STATISTICS = ("brightness", "contrast", "saturation", "warmth", "sharpness")
"""The statistics of an image, in the order of the columns that `statistics` gives."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the luminance (ITU-R BT.601)."""

GRID = 64
"""Blocks along each side in which the sums of an image's pixels are kept."""

FLATTEST = 1.0
"""A contrast below this many of 255 levels counts as this, so that noise of a flat image is not blown up."""


def luminance(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Luminance (H, W) of an RGB image (H, W, 3), 0 to 255."""
    return image @ LUMA


def block_sums(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Sum what the statistics are made of over each block of a grid, so that parts can be left out later.

    Parameters
    ----------
    images : iterable of (H, W, 3) uint8 arrays
        RGB, at least `GRID` pixels a side unless smaller than that both ways.

    Returns
    -------
    (n, 6, B) array
        For each image and block: number of pixels, luminance, its square, largest minus smallest channel,
        red minus blue, and square of the Laplacian of the luminance.

    Raises
    ------
    InputError
        If there is no image, or the images differ in size.
    """
    sums, shape = [], None
    for image in images:
        if shape is not None and image.shape != shape:
            raise InputError(
                f"an image is {image.shape[1]} x {image.shape[0]} pixels and an earlier one "
                f"{shape[1]} x {shape[0]}: resize them to one size (gad_core.images.load_image)"
            )
        shape = image.shape
        sums.append(_blocks(_pixel_terms(image)))
    if not sums:
        raise InputError("there is no image to take photometric statistics of")
    return np.stack(sums)


def _pixel_terms(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Terms (6, H, W) that are added up."""
    light = luminance(image)
    padded = np.pad(light, 1, mode="edge")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    colours = image.astype(np.float64)
    spread = colours.max(axis=2) - colours.min(axis=2)
    return np.stack(
        [np.ones_like(light), light, light**2, spread, colours[..., 0] - colours[..., 2],
         (around - 4 * light) ** 2]
    )  # fmt: skip


def _blocks(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = (block_edges(n) for n in terms.shape[1:])
    summed = np.add.reduceat(np.add.reduceat(terms, rows, axis=1), columns, axis=2)
    return summed.reshape(len(terms), -1)


def block_edges(length: int) -> NDArray[np.intp]:
    """First pixel of each block along a side of `length` pixels."""
    count = min(GRID, length)
    return np.arange(count) * length // count


def statistics(sums: NDArray[np.float64], kept: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Photometric statistics of images, from their `block_sums`.

    Parameters
    ----------
    sums : (n, 6, B) array
        From `block_sums`.
    kept : (B,) or (n, B) bool array, optional
        Blocks that count, the same for all images or of each; all by default.

    Returns
    -------
    (n, 5) array
        In the order of `STATISTICS`: mean luminance and its standard deviation (0 to 255); mean difference of
        the largest and smallest channel, and of red and blue, both as a share of the brightness; and
        root mean square of the Laplacian as a share of the contrast. The last three do not change when all
        light is multiplied by one factor.

    Examples
    --------
    >>> grey = np.full((8, 8, 3), 100, dtype=np.uint8)
    >>> statistics(block_sums([grey]))[0, :4].round(9).tolist()
    [100.0, 0.0, 0.0, 0.0]
    """
    if kept is None:
        totals = sums.sum(axis=2)
    elif kept.ndim == 1:
        totals = sums @ kept.astype(np.float64)
    else:
        totals = np.einsum("nsb,nb->ns", sums, kept.astype(np.float64))
    return _from_totals(totals)


def _from_totals(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Statistics (..., 5) of sums (..., 6) over pixels."""
    means = totals[..., 1:] / totals[..., :1]
    light, squared, spread, warm, edges = np.moveaxis(means, -1, 0)
    contrast = np.sqrt(np.maximum(squared - light**2, 0))
    lit = np.maximum(light, FLATTEST)
    sharp = np.sqrt(edges) / np.maximum(contrast, FLATTEST)
    return np.stack([light, contrast, spread / lit, warm / lit, sharp], axis=-1)


def exposure(
    images: Iterable[NDArray[np.uint8]], each_channel: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean over images of their brightness and of their contrast: what `matched` brings images to.

    Parameters
    ----------
    images : iterable of (H, W, 3) uint8 arrays
        RGB; sizes may differ.
    each_channel : bool
        Of red, green and blue instead of the luminance.

    Returns
    -------
    brightness, contrast : (1,) or (3,) arrays
        Means over the images of the mean and the standard deviation over pixels, 0 to 255.
    """
    pairs = [_mean_and_deviation(image, each_channel) for image in images]
    if not pairs:
        raise InputError("there is no image to take the exposure of")
    brightness, contrast = np.mean(pairs, axis=0)
    return brightness, contrast


def _mean_and_deviation(image: NDArray[np.uint8], each_channel: bool) -> NDArray[np.float64]:
    values = image.reshape(-1, 3) if each_channel else luminance(image).reshape(-1, 1)
    return np.stack([values.mean(axis=0), values.std(axis=0)])


def matched(
    image: NDArray[np.uint8], brightness: ArrayLike, contrast: ArrayLike | None = None
) -> NDArray[np.uint8]:
    """Bring an image to a brightness and contrast, by a factor and an offset.

    With targets of the luminance, one factor and offset for all three channels undo what lamp and exposure
    do, and leave the colour of a stain. With targets of each channel, the white balance is undone too, and a
    large coloured defect loses some of its colour.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        RGB.
    brightness : float or (1,) or (3,) array
        Mean of the luminance, or of each channel, before the result is rounded and cut to 0..255.
    contrast : as `brightness`, optional
        Standard deviation; by default it changes in proportion to the brightness, as with another exposure
        time.

    Returns
    -------
    (H, W, 3) uint8 array
        The matched image.

    Examples
    --------
    >>> image = np.array([[[10, 10, 10], [30, 30, 30]]], dtype=np.uint8)
    >>> matched(image, 100, 20)[0, :, 0].tolist(), matched(image, 40)[0, :, 0].tolist()
    ([80, 120], [20, 60])
    """
    brightness = np.atleast_1d(np.asarray(brightness, dtype=np.float64))
    mean, deviation = _mean_and_deviation(image, each_channel=len(brightness) == 3)
    if contrast is None:
        changed = image * (brightness / np.maximum(mean, FLATTEST))
    else:
        factor = np.asarray(contrast, dtype=np.float64) / np.maximum(deviation, FLATTEST)
        changed = (image - mean) * factor + brightness
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def kept_blocks(masks: Iterable[ArrayLike], margin: int = 1) -> NDArray[np.bool_]:
    """Blocks of the grid that lie outside of masks.

    Parameters
    ----------
    masks : iterable of (H, W) bool arrays
        True on the defect.
    margin : int
        Blocks around the defect that are left out too.

    Returns
    -------
    (n, B) bool array
        True for the blocks that no masked pixel and no margin touches; none where a defect fills the image.
    """
    rows = []
    for mask in masks:
        touched = _touched(np.asarray(mask, dtype=bool))
        if margin:
            touched = ndimage.binary_dilation(touched, np.ones((3, 3)), iterations=margin)
        rows.append(~touched.ravel())
    return np.stack(rows)


def _touched(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    rows, columns = (block_edges(n) for n in mask.shape)
    return np.logical_or.reduceat(np.logical_or.reduceat(mask, rows, axis=0), columns, axis=1)
