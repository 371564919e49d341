"""Materials: colour, relief and gloss over the picture, made from one or two fields and a palette."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gad_core.datasets.drawing import Field, Picture
from training.procedural.fields import FIELDS, Generator, log_uniform

_NAMES = tuple(FIELDS)
# Noise families are the most common in nature; an attractor fills a picture badly.
_WEIGHTS = np.array([0.24, 0.14, 0.10, 0.07, 0.16, 0.10, 0.13, 0.06])


def palette(style: Generator, count: int) -> NDArray[np.float32]:
    """Draw a palette (count, 3): greys, shades of one hue, or free colours."""
    kind, hue = style.random(), style.random(3)
    tones = np.sort(style.uniform(0.03, 1, count))[:, None]
    if style.random() < 0.5:
        tones = style.permutation(tones)
    if kind < 0.4:
        tint = 1 + 0.12 * (hue - 0.5)
        colours = tones * tint
    elif kind < 0.75:
        colours = tones * (0.35 + 0.65 * hue) + 0.05 * style.standard_normal((count, 3))
    else:
        colours = style.random((count, 3))
    return np.clip(colours, 0, 1).astype(np.float32)


def paint(field: Field, colours: NDArray[np.float32]) -> Picture:
    """Colour a standardised field by interpolation in a palette."""
    at = np.clip((field + 2) / 4, 0, 1) * (len(colours) - 1)
    index = np.arange(len(colours))
    return np.stack([np.interp(at, index, colours[:, c]) for c in range(3)], axis=-1).astype(np.float32)


def any_field(style: Generator, rng: Generator, x: Field, y: Field) -> Field:
    """Draw one of the fields."""
    name = style.choice(_NAMES, p=_WEIGHTS)
    return FIELDS[name](style, rng, x, y)


def material(
    style: Generator, rng: Generator, x: Field, y: Field, calm: bool
) -> tuple[Picture, Field, float]:
    """Draw a material.

    Parameters
    ----------
    style, rng : numpy.random.Generator
        Sources of what all pictures of the style share, and of the rest.
    x, y : (H, W) arrays
        Coordinates in half picture widths.
    calm : bool
        Prefer little contrast, as for a ground that objects lie on.

    Returns
    -------
    albedo : (H, W, 3) array
        Colour, 0 to 1.
    height : (H, W) array
        Relief in half picture widths.
    gloss : float
        Strength of the mirror-like reflection.
    """
    colours = palette(style, int(style.integers(2, 6)))
    contrast = log_uniform(style, 0.01, 0.3) if calm else log_uniform(style, 0.1, 1.2)
    two, linked = style.random() < 0.4, style.random() < 0.6
    depth = log_uniform(style, 0.0005, 0.012) * (style.random() < 0.6)
    gloss = style.uniform(0, 0.5) * (style.random() < 0.4)
    field = any_field(style, rng, x, y)
    if two:
        share = style.uniform(0.2, 0.6)
        other = any_field(style, rng, x, y)
        field = np.float32(1 - share) * field + np.float32(share) * other
    middle = style.uniform(-0.7, 0.7)
    albedo = paint(np.float32(contrast) * field + np.float32(middle), colours)
    relief = field if linked else any_field(style, rng, x, y)
    return albedo, np.float32(depth) * np.clip(relief, -2.5, 2.5), float(gloss)
