"""Scalar fields over the picture: noise families, cells, waves, tilings and iterated function systems.

A field is a float32 array of shape (H, W) with mean 0 and standard deviation 1. A function draws its *style*,
what all pictures of a kind have in common, from `style` and the rest from `rng`; what it draws from `style`
never depends on `rng`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage

from gad_core.datasets.drawing import Field, posed, smooth_noise

Generator = np.random.Generator
FieldMaker = Callable[[Generator, Generator, Field, Field], Field]


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def standardised(field: Field) -> Field:
    """Shift and scale to mean 0 and standard deviation 1."""
    centred = field - field.mean()
    return (centred / (centred.std() + 1e-6)).astype(np.float32)


def warped(rng: Generator, x: Field, y: Field, reach: float, cells: float) -> tuple[Field, Field]:
    """Bend coordinates by smooth noise of the given reach (half widths) and number of cells."""
    size = x.shape[0]
    return (
        x + np.float32(reach) * smooth_noise(rng, size, cells),
        y + np.float32(reach) * smooth_noise(rng, size, cells),
    )


def spectral(style: Generator, rng: Generator, x: Field, y: Field) -> Field:
    """Noise whose power falls as a power of frequency, as in natural images, stretched along a direction."""
    del y
    slope, stretch, angle = style.uniform(0.6, 3.4), log_uniform(style, 1, 9), style.uniform(0, np.pi)
    if style.random() < 0.5:
        stretch = 1.0
    band = style.random() < 0.3
    centre, width = log_uniform(style, 0.02, 0.2), style.uniform(0.2, 0.8)
    size = x.shape[0]
    down = np.fft.fftfreq(size).astype(np.float32)[:, None]
    across = np.fft.rfftfreq(size).astype(np.float32)[None]
    u, v = posed(across, down, angle)
    radius = np.sqrt(u * u + (v * np.float32(stretch)) ** 2) + np.float32(0.5 / size)
    amplitude = radius ** np.float32(-slope / 2)
    if band:
        amplitude = np.exp(-((np.log(radius / centre) / width) ** 2)).astype(np.float32)
    amplitude[0, 0] = 0
    white = rng.standard_normal((size, size), dtype=np.float32)
    return standardised(scipy.fft.irfft2(scipy.fft.rfft2(white) * amplitude, s=(size, size)))


def ridges(style: Generator, rng: Generator, x: Field, y: Field) -> Field:
    """Spectral noise folded at zero or cut at levels: veins, creases, patches, contour lines."""
    kind, levels = style.integers(0, 4), style.uniform(1.5, 6)
    noise = spectral(style, rng, x, y)
    if kind == 0:
        return standardised(-np.sqrt(np.abs(noise)))
    if kind == 1:
        return standardised(np.floor(noise * np.float32(levels / 2)))
    if kind == 2:
        return standardised(np.sin(noise * np.float32(levels * 2)))
    return standardised(np.tanh(noise * 8 - np.float32(levels - 3)))


def marble(style: Generator, rng: Generator, x: Field, y: Field) -> Field:
    """Sine bands in bent coordinates: marble, grain, layers."""
    frequency, reach = log_uniform(style, 1, 14), log_uniform(style, 0.02, 0.5)
    cells, sharp = log_uniform(style, 1.2, 10), style.uniform(0.4, 3)
    u, _ = posed(*warped(rng, x, y, reach, cells), style.uniform(0, np.pi))
    bands = np.sin(u * np.float32(np.pi * frequency) + np.float32(rng.uniform(0, 2 * np.pi)))
    return standardised(np.sign(bands) * np.abs(bands) ** np.float32(sharp))


def rings(style: Generator, rng: Generator, x: Field, y: Field) -> Field:
    """Concentric or spiral bands about a point, like growth rings or turned metal."""
    frequency, arms = log_uniform(style, 2, 30), int(style.integers(-4, 5))
    squeeze, reach = style.uniform(0.4, 1), style.uniform(0, 0.08)
    x, y = warped(rng, x, y, reach, 3)
    x, y = (
        x - np.float32(rng.uniform(-0.8, 0.8)),
        (y - np.float32(rng.uniform(-0.8, 0.8))) * np.float32(squeeze),
    )
    radius, angle = np.sqrt(x * x + y * y), np.arctan2(y, x)
    phase = radius * np.float32(np.pi * frequency) + angle * np.float32(arms)
    return standardised(np.sin(phase + np.float32(rng.uniform(0, 6))))


def cells(style: Generator, rng: Generator, x: Field, y: Field) -> Field:
    """Voronoi cells about jittered points: stones, foam, cracks, leather, mosaics."""
    count, jitter = log_uniform(style, 3, 36), style.uniform(0.1, 0.5)
    look, angle = style.integers(0, 4), style.uniform(0, np.pi)
    reach, stretch = style.uniform(0, 0.04), log_uniform(style, 1, 2.5)
    u, v = posed(*warped(rng, x, y, reach, 8), angle)
    first, second, tone = nearest_cells(rng, (u + 2) * count / 2, (v + 2) * stretch * count / 2, jitter)
    if look == 0:
        return standardised(first)
    if look == 1:
        return standardised(np.minimum(second - first, 0.25))
    if look == 2:
        return standardised(tone)
    return standardised(tone + 3 * np.minimum(second - first, 0.15))


def nearest_cells(rng: Generator, a: Field, b: Field, jitter: float) -> tuple[Field, Field, Field]:
    """Distances to the nearest and second nearest of jittered grid points, and the nearest one's tone.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the points' places and tones.
    a, b : (H, W) arrays
        Coordinates in cell widths, not negative.
    jitter : float
        How far a point may lie from its cell's centre, in cell widths.

    Returns
    -------
    first, second, tone : (H, W) arrays
        Distances in cell widths; tones uniform in [0, 1].
    """
    i, j = np.floor(a).astype(np.intp), np.floor(b).astype(np.intp)
    shape = (int(i.max()) + 3, int(j.max()) + 3)
    place = rng.uniform(-jitter, jitter, (2, *shape)).astype(np.float32) + np.float32(0.5)
    tones = rng.random(shape, dtype=np.float32)
    first = np.full(a.shape, np.inf, dtype=np.float32)
    second, tone = first.copy(), np.zeros(a.shape, dtype=np.float32)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            row, column = i + di + 1, j + dj + 1
            du, dv = place[0, row, column] + (i + di) - a, place[1, row, column] + (j + dj) - b
            squared = (du * du + dv * dv).astype(np.float32)
            closer = squared < first
            second = np.where(closer, first, np.minimum(second, squared))
            tone = np.where(closer, tones[row, column], tone)
            first = np.where(closer, squared, first)
    return np.sqrt(first), np.sqrt(second), tone


def waves(style: Generator, rng: Generator, x: Field, y: Field) -> Field:
    """One to three gratings, added or multiplied: stripes, checks, moire, corrugation."""
    count, product, square = style.integers(1, 4), style.random() < 0.5, style.random() < 0.4
    first_angle, reach = style.uniform(0, np.pi), style.uniform(0, 0.03)
    frequencies = [log_uniform(style, 2, 45) for _ in range(3)]
    turns = [0.0, np.pi / 2 if style.random() < 0.7 else style.uniform(0, np.pi), np.pi / 3]
    x, y = warped(rng, x, y, reach, 4)
    if style.random() < 0.6:
        frequencies = frequencies[:1] * 3
    total = np.full(x.shape, 1.0 if product else 0.0, dtype=np.float32)
    for frequency, turn in list(zip(frequencies, turns, strict=True))[:count]:
        u, _ = posed(x, y, first_angle + turn)
        wave = np.sin(u * np.float32(np.pi * frequency) + np.float32(rng.uniform(0, 2 * np.pi)))
        wave = np.tanh(6 * wave) if square else wave
        total = total * wave if product else total + wave
    return standardised(total)


def tiling(style: Generator, rng: Generator, x: Field, y: Field) -> Field:
    """Repeat a motif in every cell of a grid, in tones of its own: bricks, dots, mesh, knitwear."""
    count, aspect = log_uniform(style, 3, 30), log_uniform(style, 0.4, 2.5)
    shift, motif = style.choice([0.0, 0.5, 0.33]), style.integers(0, 5)
    fill, soft, variety = style.uniform(0.25, 0.48), log_uniform(style, 0.01, 0.2), style.uniform(0, 0.6)
    u, v = posed(*warped(rng, x, y, style.uniform(0, 0.03), 4), style.uniform(0, np.pi))
    b = (v + 2) * np.float32(count * aspect / 2) + np.float32(rng.random())
    row = np.floor(b)
    a = (u + 2) * np.float32(count / 2) + np.float32(rng.random()) + row * np.float32(shift)
    column = np.floor(a)
    p, q = np.abs(a - column - 0.5), np.abs(b - row - 0.5)
    distance = (
        np.maximum(p, q),
        np.sqrt(p * p + q * q),
        p + q,
        np.minimum(p, q) + np.float32(0.2),
        np.maximum(p * np.float32(0.87) + q / 2, q),
    )[motif]
    tones = rng.standard_normal((97, 89), dtype=np.float32)
    tone = tones[row.astype(int) % 97, column.astype(int) % 89]
    inside = np.clip((np.float32(fill) - distance) / np.float32(soft), 0, 1)
    return standardised(inside * (1 + np.float32(variety) * tone))


def attractor(style: Generator, rng: Generator, x: Field, y: Field) -> Field:
    """Density of an iterated function system: points that random affine maps, again and again, lead to."""
    del y
    size, count = x.shape[0], style.integers(2, 6)
    turn, shear = style.uniform(-np.pi, np.pi, count), style.uniform(-0.5, 0.5, count)
    shrink = style.uniform(0.35, 0.85, (count, 2))
    offset = style.uniform(-0.8, 0.8, (count, 2))
    cos, sin = np.cos(turn), np.sin(turn)
    maps = np.stack([np.stack([cos, -sin + shear], 1), np.stack([sin, cos], 1)], 1) * shrink[:, None, :]
    maps = maps + rng.normal(0, 0.02, maps.shape)
    # Expanding maps would send the points away.
    norms = np.linalg.norm(maps, 2, axis=(1, 2))
    maps *= (np.minimum(norms, 0.9) / norms)[:, None, None]
    points, spots = rng.uniform(-1, 1, (2500, 2)), []
    for step in range(50):
        which = rng.integers(0, count, len(points))
        points = np.einsum("nij,nj->ni", maps[which], points) + offset[which]
        if step >= 12:
            spots.append(points)
    return density(np.concatenate(spots), size, rng.uniform(0, 2 * np.pi), log_uniform(style, 0.5, 2.0))


def density(points: NDArray[np.float64], size: int, angle: float, blur: float) -> Field:
    """Logarithm of the number of points (n, 2) in each pixel, turned by `angle` and fitted to the picture."""
    centred = points - points.mean(axis=0)
    cos, sin = np.cos(angle), np.sin(angle)
    centred = centred @ np.array([[cos, sin], [-sin, cos]])
    reach = np.quantile(np.abs(centred), 0.98) * 1.1 + 1e-6
    column, row = np.floor((centred / reach + 1) * size / 2).astype(np.intp).T
    inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
    counts = np.bincount(row[inside] * size + column[inside], minlength=size * size)
    field = np.log1p(counts.reshape(size, size)).astype(np.float32)
    return standardised(ndimage.gaussian_filter(field, blur, truncate=2.5))


FIELDS: dict[str, FieldMaker] = {
    "spectral": spectral,
    "ridges": ridges,
    "marble": marble,
    "rings": rings,
    "cells": cells,
    "waves": waves,
    "tiling": tiling,
    "attractor": attractor,
}
"""The fields by name."""
