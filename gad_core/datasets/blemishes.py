"""Damage and dirt that can meet any surface: scratch, crack, stain, thread, pit, speck.

Every function takes a `Surface` and a generator, changes the surface in place and leaves the background
alone. Sizes and contrasts are drawn so that some blemishes are hard to see and some are plain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gad_core.datasets.drawing import Field, Surface, blob, cover, grid, mix, polyline, smooth_noise, step


def scratch(surface: Surface, rng: np.random.Generator) -> None:
    """Cut a thin groove with a bright or dark bottom, straight or slightly bent."""
    x, y = grid(surface.size)
    path = _walk(rng, _spot(surface, rng), rng.uniform(0.16, 0.75), bend=0.06, steps=7)
    distance = polyline(x, y, path)
    width = rng.uniform(0.007, 0.016)
    groove = surface.place * np.exp(-((distance / width) ** 2))
    tone = rng.choice((0.55, 0.65, 1.35, 1.5))
    surface.albedo = np.clip(surface.albedo * (1 + np.float32(tone - 1) * groove)[..., None], 0, 1)
    surface.height = surface.height - np.float32(width * rng.uniform(0.3, 0.8)) * groove


def crack(surface: Surface, rng: np.random.Generator) -> None:
    """Break the surface along a dark jagged line that thins out towards its ends."""
    x, y = grid(surface.size)
    path = _walk(rng, _spot(surface, rng), rng.uniform(0.45, 1.2), bend=0.42, steps=14)
    distance = polyline(x, y, path)
    middle = path[len(path) // 2]
    reach = np.hypot(x - middle[0], y - middle[1]) / np.hypot(*(path[-1] - path[0]))
    width = rng.uniform(0.009, 0.017) * np.clip(1.25 - 1.4 * reach, 0.35, 1).astype(np.float32)
    line = surface.place * cover(distance - width)
    surface.albedo = mix(surface.albedo, surface.albedo * np.float32(rng.uniform(0.3, 0.6)), line)
    surface.height = surface.height - np.float32(0.008) * line


def stain(surface: Surface, rng: np.random.Generator) -> None:
    """Soak a patch with something coloured that dries darker at its edge."""
    cx, cy = _spot(surface, rng)
    x, y = grid(surface.size)
    radius = rng.uniform(0.12, 0.27)
    distance = blob(rng, x - np.float32(cx), y - np.float32(cy), radius, roughness=0.42)
    inside = surface.place * step(distance, 0.02, -0.02)
    edge = np.exp(-(((distance + 0.02) / 0.02) ** 2))
    tint = np.asarray(((0.45, 0.35, 0.25), (0.35, 0.40, 0.45), (0.55, 0.30, 0.25))[rng.integers(3)])
    amount = inside * np.float32(rng.uniform(0.35, 0.9)) * (0.75 + 0.5 * edge)
    factor = 1 - amount[..., None] * (1 - tint).astype(np.float32)
    surface.albedo = surface.albedo * factor


def thread(surface: Surface, rng: np.random.Generator) -> None:
    """Drop a loose thread on the surface; it is round and casts a small shadow."""
    x, y = grid(surface.size)
    path = _walk(rng, _spot(surface, rng), rng.uniform(0.35, 0.95), bend=0.45, steps=12)
    distance, width = polyline(x, y, path), rng.uniform(0.010, 0.017)
    lying = surface.place * cover(distance - width)
    surface.shade_below(lying, 0.6, 0.012, (0.012, 0.016))
    tone = ((0.85, 0.83, 0.78), (0.30, 0.28, 0.30), (0.62, 0.22, 0.20))[rng.integers(3)]
    relief = surface.height.max() + np.sqrt(np.maximum(width**2 - distance**2, 0))
    surface.lay(lying, tone, relief, 0.05)


def pit(surface: Surface, rng: np.random.Generator) -> None:
    """Break a piece out, down to a rough and darker ground."""
    cx, cy = _spot(surface, rng)
    x, y = grid(surface.size)
    radius = rng.uniform(0.09, 0.20)
    distance = blob(rng, x - np.float32(cx), y - np.float32(cy), radius, roughness=0.42)
    inside = surface.place * step(distance, 0.008, -0.02)
    rough = smooth_noise(rng, surface.size, 55)
    ground = surface.albedo.mean(axis=(0, 1)) * np.float32(rng.uniform(0.5, 0.8))
    surface.albedo = mix(surface.albedo, (1 + 0.06 * rough)[..., None] * ground, inside)
    surface.height = surface.height * (1 - inside) - inside * np.float32(0.02) * (1 - 0.12 * rough)
    surface.gloss = surface.gloss * (1 - inside)


def holes(surface: Surface, rng: np.random.Generator) -> None:
    """Drill one to four small round dark holes close together, as a beetle would."""
    x, y = grid(surface.size)
    cx, cy = _spot(surface, rng)
    for _ in range(rng.integers(1, 5)):
        hx, hy = cx + rng.normal(0, 0.09), cy + rng.normal(0, 0.09)
        distance = np.hypot(x - hx, y - hy).astype(np.float32) - np.float32(rng.uniform(0.015, 0.032))
        inside = surface.place * cover(distance)
        surface.albedo = surface.albedo * (1 - np.float32(rng.uniform(0.6, 0.85)) * inside)[..., None]
        surface.height = surface.height - 0.02 * step(distance, 0.015, -0.015) * surface.place


def specks(surface: Surface, rng: np.random.Generator) -> None:
    """Scatter three to nine coloured grains on one place."""
    x, y = grid(surface.size)
    cx, cy = _spot(surface, rng)
    tone = ((0.16, 0.30, 0.44), (0.22, 0.20, 0.18), (0.30, 0.42, 0.20))[rng.integers(3)]
    strength = np.float32(rng.uniform(0.5, 0.95))
    for _ in range(rng.integers(3, 10)):
        gx, gy = cx + rng.normal(0, 0.07), cy + rng.normal(0, 0.05)
        distance = np.hypot(x - gx, y - gy).astype(np.float32) - np.float32(rng.uniform(0.008, 0.022))
        surface.albedo = mix(surface.albedo, tone, strength * surface.place * cover(distance))


def rust(surface: Surface, rng: np.random.Generator) -> None:
    """Let a patch of metal rust: brown, mottled and without gloss."""
    cx, cy = _spot(surface, rng)
    x, y = grid(surface.size)
    distance = blob(rng, x - np.float32(cx), y - np.float32(cy), rng.uniform(0.05, 0.14))
    mottled = smooth_noise(rng, surface.size, 38)
    inside = surface.place * step(distance + np.float32(0.03) * mottled, 0.02, -0.03)
    amount = inside * np.float32(rng.uniform(0.3, 0.8))
    brown = (1 + 0.18 * mottled)[..., None] * np.array((0.50, 0.33, 0.22), dtype=np.float32)
    surface.albedo = mix(surface.albedo, np.clip(brown, 0, 1), amount)
    surface.height = surface.height + 0.0015 * mottled * amount
    surface.gloss = surface.gloss * (1 - amount)


def _spot(surface: Surface, rng: np.random.Generator) -> tuple[float, float]:
    """Choose a place (x, y) of the surface, not too near the edge of the picture."""
    x, y = grid(surface.size)
    inner = (surface.place > 0.9) & (np.maximum(np.abs(x), np.abs(y)) < 0.8)
    candidates: NDArray[np.intp] = np.flatnonzero(inner)
    chosen = candidates[int(rng.random() * len(candidates))]
    return float(x.flat[chosen]), float(y.flat[chosen])


def _walk(
    rng: np.random.Generator, middle: tuple[float, float], length: float, bend: float, steps: int
) -> Field:
    """Points (steps + 1, 2) of a wandering line whose middle point is `middle`."""
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, bend, steps))
    points = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0) * (length / steps)
    points = np.concatenate([np.zeros((1, 2)), points])
    return (points - points[steps // 2] + middle).astype(np.float32)
