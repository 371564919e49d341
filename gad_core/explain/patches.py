"""Put a part of one picture into another: repair a defect, or transplant it.

Both are one operation: inside a mask the picture becomes another one, across a soft edge. *Repair* puts
normal pixels where the defect was; *transplant* puts the defect into a normal picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from gad_core.errors import InputError
from gad_core.explain.masks import checked_mask

Fill = Callable[[NDArray[np.uint8], NDArray[np.bool_]], NDArray[np.uint8]]
"""Gives the normal pixels for an image and a mask: an image of which only the masked part is used."""

FEATHER = 0.01
"""Width of the soft edge around a mask, as a share of the image's longer side: 4 pixels of 380."""

COARSE = 48
"""Blocks along each side by which pictures are compared."""

MASKED = 128
"""Pixels of a mask file from this value on belong to the defect."""


def median_image(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pixelwise median of images: a clean normal picture where the object always lies in the same way.

    Of an object that turns or moves, such as MVTec's screw, it is a blur that looks like none of the
    pictures; see `surroundings` for those.

    Parameters
    ----------
    images : iterable of (H, W, 3) uint8 arrays
        Normal images of one size. They are all held in memory, H times W times 3 bytes each.

    Returns
    -------
    (H, W, 3) uint8 array
        The median of each pixel and channel.
    """
    stack = list(images)
    if not stack:
        raise InputError("there is no image to take the median of: give normal images")
    if len({image.shape for image in stack}) > 1:
        raise InputError("the images for a median differ in size: resize them to one size (load_image)")
    # By rows: the median of a whole set at once would need several times its memory.
    rows = [np.median([image[y] for image in stack], axis=0) for y in range(stack[0].shape[0])]
    return np.rint(rows).astype(np.uint8)


def nearest_of(candidates: Sequence[NDArray[np.uint8]]) -> Fill:
    """Make a function that finds the picture most like another one outside of a mask: a donor for its repair.

    Unlike the median image it is a real picture, with the grain and the reflections of one, and among
    pictures of an object that turns it is one where the object lies much the same.

    Parameters
    ----------
    candidates : sequence of (H, W, 3) uint8 arrays
        Normal images of one size.

    Returns
    -------
    callable
        Of an image (H, W, 3) and a mask (H, W) of its defect; gives the candidate with the least squared
        difference outside of the mask, on a grid of `COARSE` blocks.

    Raises
    ------
    InputError
        If there is no candidate; when called, if a size differs, or the mask is empty or covers all.
    """
    if not len(candidates):
        raise InputError("there is no normal image to repair with: give some")
    known = np.stack([_coarse(candidate) for candidate in candidates])
    shape = candidates[0].shape

    def nearest(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        if image.shape != shape:
            raise InputError(
                f"an image of {image.shape} cannot be repaired from images of {shape}: resize it"
            )
        mask = checked_mask(mask, image)
        seen = _coarse((~mask[..., None]).astype(np.float32))
        if not seen.any():
            raise InputError("the mask covers the whole image: nothing is left to compare others by")
        differences = (seen * (known - _coarse(image)) ** 2).sum(axis=(1, 2, 3))
        return candidates[int(np.argmin(differences))]

    return nearest


def _coarse(image: NDArray) -> NDArray[np.float32]:
    """Means over the blocks of a coarse grid."""
    rows, columns = (np.arange(min(COARSE, n)) * n // min(COARSE, n) for n in image.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(image, rows, axis=0, dtype=np.float32), columns, axis=1)
    counts = np.diff(rows, append=image.shape[0])[:, None] * np.diff(columns, append=image.shape[1])
    return sums / counts[..., None]


def surroundings(image: NDArray[np.uint8], mask: ArrayLike) -> NDArray[np.uint8]:
    """Fill a hole smoothly from what is around it.

    Each pixel in the mask becomes a mean of the pixels outside of it, weighted by a Gaussian about as wide as
    the pixel is far from the edge of the hole: near the edge the nearest ones count, in the middle all.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        The picture.
    mask : (H, W) bool array
        The hole; something must lie outside.

    Returns
    -------
    (H, W, 3) uint8 array
        The picture with the hole filled; outside of it nothing changes.
    """
    hole = checked_mask(mask, image)
    if hole.all():
        raise InputError("the mask covers the whole image: nothing is left to fill it from")
    depth = ndimage.distance_transform_edt(hole)
    # Colours outside of the hole, and a fourth channel with their weight.
    outside = np.concatenate([image, np.ones_like(image[..., :1])], axis=2) * (~hole[..., None]).astype(
        np.float32
    )
    filled, width = image.copy(), 1.0
    while width < 2 * depth.max():
        # No further from the edge than the width, so that something outside has weight.
        y, x = np.nonzero((depth > width / 2) & (depth <= width))
        means = _smoothed(outside, width, y, x)
        filled[y, x] = np.rint(means[:3] / means[3]).T
        width *= 2
    return filled


def _smoothed(values: NDArray[np.float32], width: float, y: NDArray, x: NDArray) -> NDArray[np.float32]:
    """Gaussian means (channels, k) of values (H, W, channels) at k points; wide ones on a coarser grid."""
    step = max(1, int(width // 4))
    rows, columns = (np.arange(0, n, step) for n in values.shape[:2])
    coarse = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    smooth = ndimage.gaussian_filter(coarse, (width / step, width / step, 0), mode="constant", truncate=3)
    at = [(points + 0.5) / step - 0.5 for points in (y, x)]
    return np.stack(
        [
            ndimage.map_coordinates(channel, at, order=1, mode="nearest")
            for channel in np.moveaxis(smooth, 2, 0)
        ]
    )


def soft_mask(mask: NDArray[np.bool_], feather: float = FEATHER) -> NDArray[np.float64]:
    """Weights of a mask with a soft edge outside of it: 1 on the mask, falling to 0 across the feather.

    Parameters
    ----------
    mask : (H, W) bool array
        Where the weight is 1.
    feather : float
        Width of the edge as a share of the mask's longer side; 0 leaves it hard.

    Returns
    -------
    (H, W) array
        0 to 1.
    """
    width = feather * max(mask.shape)
    if width <= 0:
        return mask.astype(np.float64)
    return np.clip(1 - ndimage.distance_transform_edt(~mask) / width, 0, 1)


def blend(
    image: NDArray[np.uint8], donor: NDArray[np.uint8], mask: ArrayLike, feather: float = FEATHER
) -> NDArray[np.uint8]:
    """Give an image the pixels of another one inside a mask.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        What is kept outside of the mask. To repair, the anomalous picture; to transplant, a normal one.
    donor : (H, W, 3) uint8 array
        What comes inside. To repair, normal pixels such as `median_image`; to transplant, the anomalous one.
    mask : (H, W) bool array
        The defect.
    feather : float
        As in `soft_mask`.

    Returns
    -------
    (H, W, 3) uint8 array
        The mixture.

    Raises
    ------
    InputError
        If the mask is empty, or the three differ in size.

    Examples
    --------
    >>> black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    >>> blend(black, white, np.eye(2), feather=0)[..., 0].tolist()
    [[255, 0], [0, 255]]
    """
    mask = checked_mask(mask, image)
    if donor.shape != image.shape:
        raise InputError(
            f"an image of {image.shape} cannot take pixels of one of {donor.shape}: bring both to one size"
        )
    weight = soft_mask(mask, feather)[..., None]
    return np.rint(image + weight * (donor.astype(np.float64) - image)).astype(np.uint8)
