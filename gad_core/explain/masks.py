"""Ground-truth masks of defects: read them strictly, and find those of a test set."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gad_core.datasets.layout import Split
from gad_core.errors import InputError
from gad_core.images import read_image

MASKED = 128
"""Pixels of a mask file from this value on belong to the defect."""


def read_mask(source: str | os.PathLike[str] | NDArray, size: int | None = None) -> NDArray[np.bool_]:
    """Read a ground-truth mask.

    Parameters
    ----------
    source : path-like or (H, W) uint8 array
        0 outside and 255 on the defect.
    size : int, optional
        Side of a square to which the mask is squashed, each pixel taking the nearest one's value.

    Returns
    -------
    (H, W) bool array
        True on the defect.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    mask = read_image(source)[..., 0] >= MASKED
    if size is None:
        return mask
    rows, columns = ((np.arange(size) * 2 + 1) * n // (2 * size) for n in mask.shape)
    return mask[rows[:, None], columns]


def checked_mask(mask: ArrayLike, image: NDArray, what: str = "the mask") -> NDArray[np.bool_]:
    """Return a mask of an image as booleans, or raise InputError if it is empty or of another size.

    Parameters
    ----------
    mask : (H, W) array
        Nonzero where it applies.
    image : (H, W, ...) array
        What it is a mask of.
    what : str
        Its name in messages.

    Returns
    -------
    (H, W) bool array
        The mask.
    """
    mask = np.asarray(mask)
    if mask.shape != image.shape[:2]:
        raise InputError(
            f"{what} is {' x '.join(map(str, mask.shape))} and the image "
            f"{' x '.join(map(str, image.shape[:2]))}: bring both to one size (read_mask(path, size))"
        )
    mask = mask.astype(bool)
    if not mask.any():
        raise InputError(f"{what} is empty: it must mark at least one pixel, as those of anomalous images do")
    return mask


def split_masks(split: Split) -> dict[int, NDArray[np.bool_]]:
    """Masks at their own resolution, of all images for which it is known where the defects are.

    Parameters
    ----------
    split : Split
        Test images.

    Returns
    -------
    dict of int to (H, W) bool array
        By the image's position: nothing is marked in a normal image; an anomalous image without a mask is
        left out.

    Raises
    ------
    InputError
        If a mask cannot be read, has another size than its image, or is empty.
    """
    masks = {}
    for i, (path, label, mask) in enumerate(zip(split.paths, split.labels, split.masks, strict=True)):
        if label == 0:
            masks[i] = np.zeros(read_image(path).shape[:2], dtype=bool)
        elif mask is not None:
            masks[i] = checked_mask(read_mask(mask), read_image(path), f"the mask {mask}")
    return masks
