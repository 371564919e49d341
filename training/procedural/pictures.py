"""One picture from two numbers: a style, what the pictures of a class have in common, and an instance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gad_core.datasets.drawing import Surface, cover, grid, posed, smooth_noise, step
from training.procedural.camera import photograph
from training.procedural.drawings import dead_leaves, printed
from training.procedural.fields import Generator, log_uniform
from training.procedural.materials import any_field, material
from training.procedural.shapes import SHAPES

SIZE = 192
"""Edge length of the training pictures in pixels."""


def picture(style: int, instance: int, size: int = SIZE, seed: int = 0) -> NDArray[np.uint8]:
    """Draw a picture.

    Parameters
    ----------
    style : int
        Which of the endless kinds of pictures; what it fixes is the same in all instances.
    instance : int
        Which picture of that kind.
    size : int
        Edge length in pixels.
    seed : int
        Another seed gives other kinds.

    Returns
    -------
    (size, size, 3) uint8 array
        RGB.

    Examples
    --------
    >>> picture(3, 0, size=64).shape
    (64, 64, 3)
    """
    kind = np.random.default_rng((seed, style))
    rng = np.random.default_rng((seed, style, instance))
    compose = COMPOSITIONS[kind.choice(len(COMPOSITIONS), p=SHARES)]
    surface = compose(kind, rng, size)
    if kind.random() < 0.3:
        _blemish(surface, kind, rng)
    return photograph(surface, kind, rng)


def _ground(style: Generator, rng: Generator, size: int, calm: bool) -> Surface:
    """Sheet of a material, turned and zoomed a little from picture to picture."""
    x, y = posed(*grid(size), rng.normal(0, 0.15), *rng.normal(0, 0.2, 2))
    zoom = np.float32(np.exp(rng.normal(0, 0.08)))
    albedo, height, gloss = material(style, rng, x * zoom, y * zoom, calm)
    surface = Surface.flat(albedo, gloss)
    surface.height = height
    return surface


def texture(style: Generator, rng: Generator, size: int) -> Surface:
    """One material, or two with a border that noise draws."""
    surface = _ground(style, rng, size, calm=style.random() < 0.3)
    if style.random() < 0.3:
        sharp, level = log_uniform(style, 0.02, 0.6), style.uniform(-0.8, 0.8)
        other = _ground(style, rng, size, calm=False)
        where = step(any_field(style, rng, *grid(size)), level - sharp, level + sharp)
        surface.lay(where, other.albedo, other.height, float(other.gloss.mean()))
    return surface


def objects(style: Generator, rng: Generator, size: int) -> Surface:
    """One to three large solids on a ground, possibly one on top of the other."""
    surface = _ground(style, rng, size, calm=style.random() < 0.85)
    spread = log_uniform(style, 0.02, 0.3)
    free_turn = style.random() < 0.4
    for _ in range(int(style.integers(1, 4))):
        radius = style.uniform(0.3, 0.95)
        place = style.uniform(-0.3, 0.3, 2) + rng.normal(0, spread, 2)
        turn = style.uniform(0, 2 * np.pi) + (rng.uniform(0, 2 * np.pi) if free_turn else rng.normal(0, 0.1))
        _lay_shape(surface, style, rng, radius * np.exp(rng.normal(0, 0.05)), turn, place)
    return surface


def _lay_shape(
    surface: Surface, style: Generator, rng: Generator, radius: float, turn: float, place: NDArray
) -> None:
    """Put a solid of a material of its own on a surface, with its shadow."""
    x, y = posed(*grid(surface.size), turn, *place)
    name = style.choice(list(SHAPES))
    relief, shadow, soft = style.uniform(0.1, 1), style.uniform(0, 0.7), style.uniform(0.01, 0.08)
    drop = style.normal(0, 0.04, 2)
    distance, height = SHAPES[name](style, rng, x, y, radius)
    albedo, grain, gloss = material(style, rng, x, y, calm=style.random() < 0.6)
    coverage = cover(distance)
    if shadow > 0.1:
        surface.shade_below(coverage, shadow, soft, (drop[0], drop[1]))
    surface.lay(coverage, albedo, surface.height * 0 + np.float32(relief) * height + grain, gloss)


def arrangement(style: Generator, rng: Generator, size: int) -> Surface:
    """Many copies of one shape, in rows or scattered: parts on a belt, pins, pills, granules."""
    surface = _ground(style, rng, size, calm=True)
    count, regular = int(style.integers(2, 8)), style.random() < 0.5
    wobble, shade = (0.03 if regular else 0.5), style.uniform(0, 0.15)
    aligned, fill = style.random() < 0.5, style.uniform(0.3, 0.55)
    x, y = posed(*grid(size), style.uniform(0, np.pi) + rng.normal(0, 0.1), *rng.normal(0, 0.1, 2))
    u, v = (x + 2) * np.float32(count / 2), (y + 2) * np.float32(count / 2)
    column, row = np.floor(u).astype(np.intp), np.floor(v).astype(np.intp)
    draws = rng.normal(0, 1, (4, int(row.max()) + 1, int(column.max()) + 1)).astype(np.float32)[
        :, row, column
    ]
    a = u - column - np.float32(0.5) - np.clip(np.float32(wobble * 0.3) * draws[0], -0.2, 0.2)
    b = v - row - np.float32(0.5) - np.clip(np.float32(wobble * 0.3) * draws[1], -0.2, 0.2)
    turn = draws[2] * np.float32(0.05 if aligned else 2)
    a, b = np.cos(turn) * a + np.sin(turn) * b, np.cos(turn) * b - np.sin(turn) * a
    name = style.choice(["polygon", "superellipse", "capsule", "ring", "turned", "frame"])
    distance, height = SHAPES[name](style, rng, a, b, fill)
    scale = np.float32(2 / count)
    coverage = cover(distance * scale)
    albedo, grain, gloss = material(style, rng, x, y, calm=True)
    surface.shade_below(coverage, style.uniform(0, 0.6), 0.03, (0.02, 0.03))
    albedo = albedo * (1 + np.float32(shade) * draws[3])[..., None]
    surface.lay(coverage, albedo, height * scale * np.float32(style.uniform(0.2, 1)) + grain, gloss)
    return surface


def leaves(style: Generator, rng: Generator, size: int) -> Surface:
    """Overlapping flat shapes, some with a texture and a relief of their edges."""
    picture = dead_leaves(style, rng, size)
    surface = Surface.flat(picture, gloss=style.uniform(0, 0.1))
    rough, deep = style.uniform(0, 0.25), style.uniform(0, 0.03) * (style.random() < 0.5)
    field = any_field(style, rng, *grid(size))
    surface.albedo = np.clip(picture * (1 + np.float32(rough) * field)[..., None], 0, 1)
    surface.height = np.float32(deep) * picture.mean(axis=2)
    return surface


def label(style: Generator, rng: Generator, size: int) -> Surface:
    """Print, lines or wires on a ground or on an object."""
    below = objects if style.random() < 0.5 else texture
    surface = below(style, rng, size)
    ink, where = printed(style, rng, size)
    raised = style.uniform(0, 0.02) * (style.random() < 0.4)
    surface.lay(where, ink, surface.height + np.float32(raised), style.uniform(0, 0.3))
    return surface


def _blemish(surface: Surface, style: Generator, rng: Generator) -> None:
    """Scratches, spots or stains of a strength that differs from picture to picture."""
    kind, size = style.integers(0, 3), surface.size
    strength = rng.uniform(0.1, 0.9)
    colour = style.random(3).astype(np.float32)
    if kind == 0:
        field = smooth_noise(rng, size, log_uniform(style, 10, 60))
        where = step(field, 2.2, 2.8)
    elif kind == 1:
        field = smooth_noise(rng, size, log_uniform(style, 1.5, 4))
        where = step(field, 0.9, 1.3)
    else:
        x, y = posed(*grid(size), rng.uniform(0, np.pi), *rng.normal(0, 0.3, 2))
        bend = y + np.float32(0.06) * smooth_noise(rng, size, 2)
        where = step(np.abs(bend), 0.02, 0.005) * step(np.abs(x), 0.8, 0.5)
    surface.lay(where * np.float32(strength), colour, surface.height - 0.01 * where, 0.1)


COMPOSITIONS = (texture, objects, arrangement, leaves, label)
SHARES = (0.26, 0.3, 0.16, 0.14, 0.14)
