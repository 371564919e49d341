"""Does the background give anomalies away? The object found without labels, and taken out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from gad_core.errors import InputError
from gad_core.explain.masks import checked_mask
from gad_core.explain.patches import surroundings

BORDER = 0.04
"""Width of the border that shows the background, as a share of the image's side."""

ORDINARY = 0.95
"""Share of the border's pixels that count as ordinary background."""

FACTOR = 1.5
"""How many times further than ordinary background a pixel's colour must be to belong to the object."""

FAINTEST = 10.0
"""Smallest difference, of 255 levels, that makes an object: below it are noise and uneven light."""

OFTEN = 0.05
"""Share of the training images that must show the object at a place for the place to be taken out."""

MARGIN = 0.03
"""How much larger than the object the region is that is taken out, as a share of the image's side."""

SMALLEST, LARGEST = 0.01, 0.9
"""Shares of the image between which a region is that of an object, and leaves some background."""


def object_mask(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Find the object in front of a background, without labels.

    The background is what the border of the picture looks like. A pixel belongs to the object if its colour
    is further from the border's median than `FACTOR` times what the border itself reaches; holes are filled,
    and parts smaller than a tenth of the largest are dropped. In a texture, where the border looks like all
    the rest, (nearly) nothing is found.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        RGB.

    Returns
    -------
    (H, W) bool array
        True on the object.
    """
    border = border_mask(image.shape[:2])
    colour = np.median(image[border], axis=0)
    blurred = ndimage.gaussian_filter(image.astype(np.float32), (*(2 * [max(image.shape) / 250]), 0))
    distance = np.abs(blurred - colour).max(axis=2)
    ordinary = np.quantile(distance[border], ORDINARY)
    found = ndimage.binary_fill_holes(distance > max(FACTOR * ordinary, FAINTEST))
    parts, count = ndimage.label(found)
    if count == 0:
        return found
    sizes = np.bincount(parts.ravel())[1:]
    return np.isin(parts, 1 + np.flatnonzero(sizes >= 0.1 * sizes.max()))


def object_region(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.bool_] | None:
    """Find one region that holds the object in all images, wherever in it each object lies.

    One region for all: a hole cut along each object's own outline would still show the outline, and with it
    a bent lead or a missing piece.

    Parameters
    ----------
    images : iterable of (H, W, 3) uint8 arrays
        Normal images of one size.

    Returns
    -------
    (H, W) bool array or None
        Convex hull of the places where `OFTEN` of the images or more show the object, `MARGIN` larger. None
        if there is no object in front of a background, as in pictures of a texture, or nothing around it.
    """
    masks = [object_mask(image) for image in images]
    if not masks:
        raise InputError("there is no image to look for an object in: give normal images")
    often = np.mean(masks, axis=0) >= OFTEN
    if often.mean() < SMALLEST:
        return None
    hull = _convex(often)
    region = ndimage.distance_transform_edt(~hull) <= MARGIN * max(hull.shape)
    return region if region.mean() <= LARGEST else None


def _convex(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the convex hull of a mask."""
    points = np.argwhere(mask)
    y, x = np.indices(mask.shape)
    inside = np.ones(mask.shape, dtype=bool)
    for a, b, offset in ConvexHull(points).equations:
        inside &= a * y + b * x + offset <= 1e-9
    return inside


def border_mask(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the pixels within `BORDER` of the edge of an image of this shape."""
    inside = [np.arange(n) for n in shape]
    near = [np.minimum(i, n - 1 - i) < max(1, round(BORDER * n)) for i, n in zip(inside, shape, strict=True)]
    return near[0][:, None] | near[1]


def central_region(size: int, share: float) -> NDArray[np.bool_]:
    """Mark the central square of a picture (size, size), `share` of its side wide."""
    near = np.abs(np.arange(size) - (size - 1) / 2) <= checked_share(share) * size / 2
    return near[:, None] & near


def checked_share(share: float) -> float:
    """Return the share of a side, or raise InputError unless 0 < share < 1."""
    if not 0 < share < 1:
        raise InputError(f"the centre is a share of the side between 0 and 1, such as 0.8, not {share!r}")
    return share


def without_object(image: NDArray[np.uint8], region: ArrayLike) -> NDArray[np.uint8]:
    """Take the object out of a picture and close the hole from its surroundings.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        RGB.
    region : (H, W) bool array
        From `object_region`.

    Returns
    -------
    (H, W, 3) uint8 array
        The picture without the object; what sticks out of the region stays.

    Raises
    ------
    InputError
        If the region is empty, of another size, or covers the image.
    """
    return surroundings(image, checked_mask(region, image, "the object's region"))


def background_share(relevance: NDArray, mask: ArrayLike) -> float:
    """Share of the positive relevance of a map that lies outside of the object.

    Parameters
    ----------
    relevance : (H, W) array
        A map of what speaks for an anomaly.
    mask : (H, W) bool array
        The object.

    Returns
    -------
    float
        From 0, all on the object, to 1; NaN if nothing in the map is positive. A map that knows nothing of
        the object gives the share of the picture that is background.

    Raises
    ------
    InputError
        If the mask is empty or of another size, or the map holds NaN or infinity.

    Examples
    --------
    >>> background_share(np.array([[3.0, -5.0], [1.0, 0.0]]), np.array([[True, True], [False, False]]))
    0.25
    """
    relevance = np.asarray(relevance, dtype=np.float64)
    mask = checked_mask(mask, relevance, "the object's mask")
    if not np.isfinite(relevance).all():
        raise InputError("the relevance map holds NaN or infinity: check what it was computed from")
    positive = np.maximum(relevance, 0)
    total = positive.sum()
    return float(positive[~mask].sum() / total) if total else float("nan")
