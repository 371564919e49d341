"""Light and camera with a wide range: lamp, ambient share, shadows, blur, exposure, colour and noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gad_core.datasets.drawing import Surface, grid, smooth_noise
from training.procedural.fields import Generator, log_uniform


def photograph(surface: Surface, style: Generator, rng: Generator) -> NDArray[np.uint8]:
    """Light a surface and take a picture of it.

    Parameters
    ----------
    surface : Surface
        What to look at.
    style : numpy.random.Generator
        Source of the set-up: lamp, optics, sensor.
    rng : numpy.random.Generator
        Source of what changes from picture to picture.

    Returns
    -------
    (H, W, 3) uint8 array
        The picture.
    """
    tilt, turn = style.uniform(0.1, 1.2), style.uniform(0, 2 * np.pi)
    ambient, shine = style.uniform(0.2, 0.8), log_uniform(style, 6, 60)
    blur, noise = style.uniform(0, 1.2) * (style.random() < 0.6), log_uniform(style, 0.002, 0.04)
    gamma, exposure, tint = style.uniform(0.6, 1.5), style.uniform(0.7, 1.25), style.normal(1, 0.06, 3)
    falloff = style.uniform(0, 0.3) * (style.random() < 0.5)
    diffuse, mirror = _reflection(surface.height, tilt, turn + rng.normal(0, 0.2), shine)
    level = surface.light * _uneven(rng, surface.size, falloff)
    colour = surface.albedo * (level * (np.float32(ambient) + np.float32(1 - ambient) * diffuse))[..., None]
    colour += (surface.gloss * mirror * level)[..., None]
    colour = np.clip(colour * (tint * exposure * rng.normal(1, 0.04)).astype(np.float32), 0, 1)
    if blur > 0.2:
        colour = ndimage.gaussian_filter(colour, (blur, blur, 0), truncate=2.5)
    colour = colour ** np.float32(gamma)
    colour += np.float32(noise) * rng.standard_normal(colour.shape, dtype=np.float32)
    return np.round(np.clip(colour, 0, 1) * 255).astype(np.uint8)


def _uneven(rng: Generator, size: int, strength: float) -> NDArray[np.float32]:
    """Light that falls off across the picture and, a little, in clouds."""
    x, y = grid(size)
    u, v = rng.uniform(-0.5, 0.5, 2)
    distance = (x - np.float32(u)) ** 2 + (y - np.float32(v)) ** 2
    clouds = smooth_noise(rng, size, 1.5)
    return (1 - np.float32(strength) * distance * 0.7) * (1 + np.float32(0.12 * strength) * clouds)


def _reflection(height: NDArray, tilt: float, turn: float, shine: float) -> tuple[NDArray, NDArray]:
    """Diffuse and mirror-like reflection (Blinn and Phong) of a relief under a distant lamp."""
    lamp = np.array([np.cos(turn) * np.sin(tilt), np.sin(turn) * np.sin(tilt), np.cos(tilt)], np.float32)
    half = lamp + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    down, across = np.gradient(height, np.float32(2 / height.shape[0]))
    inverse = 1 / np.sqrt(1 + across * across + down * down)
    diffuse = np.clip((lamp[2] - lamp[0] * across - lamp[1] * down) * inverse / lamp[2], 0, 2)
    aligned = np.clip((half[2] - half[0] * across - half[1] * down) * inverse, 0, 1)
    return diffuse, aligned ** np.float32(shine)
