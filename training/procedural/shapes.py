"""Silhouettes with a relief: polygons, stars, gears, blobs, capsules, rings and turned solids.

Each function returns the signed distance, roughly, to the outline (negative inside) and the height of the
solid above the ground, both in half picture widths, for coordinates centred on the shape.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gad_core.datasets.drawing import Field, box, smooth_noise
from training.procedural.fields import Generator, log_uniform

Shape = tuple[Field, Field]
ShapeMaker = Callable[[Generator, Generator, Field, Field, float], Shape]


def rounded(distance: Field, bevel: float) -> Field:
    """Height of a plate whose rim is a quarter circle of radius `bevel`."""
    t = np.clip(-distance / np.float32(bevel), 0, 1)
    return np.float32(bevel) * np.sqrt(t * (2 - t))


def polygon(style: Generator, rng: Generator, x: Field, y: Field, radius: float) -> Shape:
    """Regular polygon, star or gear, by a radius that depends on the angle."""
    del rng
    corners, depth = int(style.integers(3, 14)), style.uniform(0, 0.45)
    kind, bevel = style.integers(0, 3), radius * log_uniform(style, 0.05, 0.9)
    angle, reach = np.arctan2(y, x), np.sqrt(x * x + y * y)
    sector = np.float32(2 * np.pi / corners)
    within = np.mod(angle, sector) - sector / 2
    if kind == 0:
        distance = reach * np.cos(within) - np.float32(radius * np.cos(np.pi / corners))
    elif kind == 1:
        distance = reach - np.float32(radius) * (1 - np.float32(depth) * np.abs(within) / (sector / 2))
    else:
        teeth = np.tanh(4 * np.cos(angle * np.float32(corners)))
        distance = reach - np.float32(radius) * (1 + np.float32(depth / 3) * teeth)
    return distance, rounded(distance, bevel)


def superellipse(style: Generator, rng: Generator, x: Field, y: Field, radius: float) -> Shape:
    """Anything between a diamond, an ellipse and a box."""
    del rng
    power, aspect = log_uniform(style, 1, 8), log_uniform(style, 0.3, 1)
    bevel = radius * log_uniform(style, 0.05, 0.9) * aspect
    p, q = np.abs(x) / np.float32(radius) + 1e-6, np.abs(y) / np.float32(radius * aspect) + 1e-6
    norm = (p ** np.float32(power) + q ** np.float32(power)) ** np.float32(1 / power)
    distance = (norm - 1) * np.float32(radius * aspect)
    return distance, rounded(distance, bevel)


def capsule(style: Generator, rng: Generator, x: Field, y: Field, radius: float) -> Shape:
    """Rod or tablet with round ends."""
    del rng
    width = radius * log_uniform(style, 0.08, 0.6)
    distance = box(x, y, radius, width, width)
    return distance, rounded(distance, width * style.uniform(0.3, 1))


def ring(style: Generator, rng: Generator, x: Field, y: Field, radius: float) -> Shape:
    """Washer, torus, or several rings about one centre."""
    del rng
    inner, count = style.uniform(0.2, 0.85), int(style.integers(1, 4))
    reach = np.sqrt(x * x + y * y)
    width = np.float32(radius * (1 - inner) / (2 * count))
    distance = np.full(x.shape, np.inf, dtype=np.float32)
    for i in range(count):
        middle = np.float32(radius) - width * (1 + 2 * i)
        distance = np.minimum(distance, np.abs(reach - middle) - width * np.float32(0.8))
    return distance, rounded(distance, float(width) * style.uniform(0.2, 0.8))


def irregular(style: Generator, rng: Generator, x: Field, y: Field, radius: float) -> Shape:
    """Outline bent by noise: seed, stone, splash."""
    rough, cells = style.uniform(0.05, 0.4), log_uniform(style, 1.2, 5) / radius
    aspect, bevel = log_uniform(style, 0.4, 1), radius * log_uniform(style, 0.1, 0.8)
    reach = np.sqrt(x * x + (y / np.float32(aspect)) ** 2)
    wobble = np.clip(smooth_noise(rng, x.shape[0], min(cells, 40)), -2, 2)
    distance = (reach - np.float32(radius) * (1 + np.float32(rough) * wobble)) * np.float32(aspect)
    return distance, rounded(distance, bevel * aspect)


def turned(style: Generator, rng: Generator, x: Field, y: Field, radius: float) -> Shape:
    """Solid of revolution seen from the side: steps, cones, waists and ripples along an axis."""
    del rng
    knots, width = int(style.integers(3, 9)), radius * style.uniform(0.12, 0.5)
    profile = style.uniform(0.25, 1, knots)
    stepped, ripple = style.random() < 0.5, style.uniform(0, 0.3) * (style.random() < 0.5)
    frequency, slant = log_uniform(style, 6, 40), style.uniform(-3, 3)
    t = np.clip((x / np.float32(radius) + 1) / 2, 0, 1)
    at = t * (knots - 1)
    if stepped:
        at = np.floor(at) + np.clip((at - np.floor(at) - 0.5) * 12 + 0.5, 0, 1)
    outline: Field = np.interp(at, np.arange(knots), profile).astype(np.float32)
    slope = np.sin(t * np.float32(frequency * np.pi) + np.float32(slant) * y / np.float32(width))
    outline = np.float32(width) * (outline + np.float32(ripple * 0.4) * slope)
    distance = np.maximum(np.abs(y) - outline, np.abs(x) - np.float32(radius))
    return distance, np.where(distance < 0, np.sqrt(np.maximum(outline * outline - y * y, 0)), 0)


def frame(style: Generator, rng: Generator, x: Field, y: Field, radius: float) -> Shape:
    """Plate with holes, slots or bars: parts of machines and boards."""
    del rng
    aspect, holes = log_uniform(style, 0.35, 1), int(style.integers(1, 6))
    size, bevel, square = style.uniform(0.15, 0.42), radius * style.uniform(0.03, 0.15), style.random() < 0.5
    distance = box(x, y, radius, radius * aspect, radius * style.uniform(0, 0.3) * aspect)
    pitch = np.float32(2 * radius / holes)
    u = np.mod(x + np.float32(radius), pitch) - pitch / 2
    hole = np.float32(min(float(pitch), 2 * radius * aspect) * size)
    inside = np.maximum(np.abs(u), np.abs(y)) - hole if square else np.sqrt(u * u + y * y) - hole
    distance = np.maximum(distance, -inside)
    return distance, rounded(distance, bevel)


SHAPES: dict[str, ShapeMaker] = {
    "polygon": polygon,
    "superellipse": superellipse,
    "capsule": capsule,
    "ring": ring,
    "irregular": irregular,
    "turned": turned,
    "frame": frame,
}
"""The shapes by name."""
