"""Score maps as pictures: heat maps laid over the images."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from plotly.colors import hex_to_rgb, sequential

from gad_core.errors import InputError

SCALE = 10.0
"""Relevance of the brightest colour in thresholds: a tenth of the image in it reaches the threshold alone."""

_OPACITY = (0.35, 0.75)
"""Share of the colour in the picture at zero relevance, and at the brightest colour."""

# Cividis (Nuñez, Anderton and Renslow, PLOS ONE 13(7), 2018): from dark blue to yellow, of evenly growing
# lightness, alike to readers with and without colour blindness.
_CIVIDIS = np.array([hex_to_rgb(colour) for colour in sequential.Cividis], dtype=np.float64)


def colours(values: ArrayLike) -> NDArray[np.float64]:
    """Colours of values.

    Parameters
    ----------
    values : (...) array
        0 is the darkest, 1 the brightest; others are clipped.

    Returns
    -------
    (..., 3) array
        Red, green and blue from 0 to 255.

    Examples
    --------
    >>> colours([0.0, 1.0]).astype(int).tolist()
    [[0, 34, 78], [254, 232, 56]]
    """
    values, steps = np.clip(values, 0, 1), np.linspace(0, 1, len(_CIVIDIS))
    return np.stack([np.interp(values, steps, channel) for channel in _CIVIDIS.T], axis=-1)


def overlay(image: NDArray[np.uint8], relevance: NDArray, threshold: float) -> NDArray[np.uint8]:
    """Lay a score map over its image.

    The scale depends on the threshold alone, so pictures of one detector can be compared: dark blue is no
    relevance or a negative one, yellow `SCALE` times the threshold or more.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Shown in grey, so that all colours are the map's.
    relevance : (H, W) array
        A score map at the image's resolution.
    threshold : float
        The detector's, above 0.

    Returns
    -------
    (H, W, 3) uint8 array
        The picture.

    Raises
    ------
    InputError
        If map and image differ in size, or the threshold is not above 0.
    """
    if image.shape[:2] != np.shape(relevance):
        raise InputError(
            f"the map has the size {np.shape(relevance)} and the image {image.shape[:2]}: ask score_map for "
            "the image's size"
        )
    if not threshold > 0:
        raise InputError(f"the colours need a threshold above 0, not {threshold!r}")
    values = np.clip(np.asarray(relevance, dtype=np.float64) / (SCALE * threshold), 0, 1)
    share = (_OPACITY[0] + (_OPACITY[1] - _OPACITY[0]) * values)[..., None]
    grey = (image @ np.array([0.299, 0.587, 0.114]))[..., None]
    return np.rint(grey * (1 - share) + colours(values) * share).astype(np.uint8)
