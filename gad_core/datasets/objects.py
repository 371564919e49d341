"""Objects on a plain ground: a hexagon nut, a printed capsule and a chip on its board."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gad_core.datasets.drawing import (
    Field,
    Picture,
    Surface,
    box,
    cover,
    grid,
    mix,
    plain,
    polyline,
    posed,
    smooth_noise,
    step,
)

Pose = tuple[float, float, float]


def _pose(scene: np.random.Generator) -> Pose:
    """Angle and shift of an object that a person put down with care."""
    return scene.normal(0, 0.035), scene.normal(0, 0.014), scene.normal(0, 0.014)


def nut(scene: np.random.Generator, size: int, variant: str | None, rng: np.random.Generator) -> Surface:
    """Hexagon nut of turned steel on dark felt.

    Parameters
    ----------
    scene : numpy.random.Generator
        Source of all that varies between normal pictures.
    size : int
        Edge length in pixels.
    variant : str or None
        ``"notch"`` takes a piece out of the rim.
    rng : numpy.random.Generator
        Source of all that concerns the variant.

    Returns
    -------
    Surface
        The nut.
    """
    x, y = posed(*grid(size), *_pose(scene))
    felt = smooth_noise(scene, size, 100)
    surface = Surface.flat(plain(size, (0.20, 0.22, 0.26)) * (1 + 0.10 * felt)[..., None])
    surface.height = 0.0015 * felt
    r = np.hypot(x, y)
    rim = _hexagon(x, y, 0.66)
    if variant == "notch":
        rim = np.maximum(rim, -_notch(x, y, rng))
    steel = cover(np.maximum(rim, _BORE - r))
    surface.shade_below(steel, 0.75, 0.07, (0.06, 0.07))
    _add_thread(surface, x, y, r)
    surface.lay(steel, *_turned_steel(scene, x, y, r, rim), gloss=0.22)
    surface.place = cover(np.maximum(rim + 0.05, _BORE + 0.06 - r))
    return surface


# Radius of the hole of the nut.
_BORE = 0.34


def _turned_steel(
    scene: np.random.Generator, x: Field, y: Field, r: Field, rim: Field
) -> tuple[Picture, Field]:
    """Colour and relief of the face: marks of the lathe, bevels at the rim and at the bore."""
    angle, finish = np.arctan2(y, x), scene.uniform(0, 2 * np.pi)
    grain = smooth_noise(scene, x.shape[0], 90)
    rings = np.interp(r, np.linspace(0, 1, 160), scene.normal(0, 1, 160)).astype(np.float32)
    tone = 0.60 + 0.10 * np.cos(2 * angle + np.float32(2.1)) + 0.02 * np.cos(angle - np.float32(finish))
    tone += 0.035 * rings + 0.015 * grain
    bevel = 0.55 * np.minimum(np.minimum(0.665 - r, -0.03 - rim), 0) + 0.7 * np.minimum(r - _BORE - 0.05, 0)
    metal = tone[..., None] * np.array((0.98, 1.0, 1.03), dtype=np.float32)
    return metal, 0.16 + bevel + 0.0006 * (rings + grain)


def _hexagon(x: Field, y: Field, inner: float) -> Field:
    """Signed distance to a hexagon by the radius of its inscribed circle; its corners are cut round."""
    sides = [np.abs(np.float32(np.cos(a)) * x + np.float32(np.sin(a)) * y) for a in np.pi / 3 * np.arange(3)]
    return np.maximum(np.maximum.reduce(sides) - inner, np.hypot(x, y) - 1.13 * inner)


def _notch(x: Field, y: Field, rng: np.random.Generator) -> Field:
    """Signed distance to the piece that is broken out of the rim."""
    at, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.13)
    reach = 0.70 - rng.uniform(-0.02, 0.02)
    wobble = smooth_noise(rng, x.shape[0], 14)
    middle = np.hypot(x - reach * np.cos(at), y - reach * np.sin(at)).astype(np.float32)
    return middle - radius * (1 + 0.18 * wobble)


def _add_thread(surface: Surface, x: Field, y: Field, r: Field) -> None:
    """Darken the bore and show the turns of the thread on its wall."""
    wall = cover(r - _BORE) * cover(0.72 * _BORE - r)
    turns = np.sin(r * 95 + np.arctan2(y, x))
    facing = 0.5 + 0.5 * (0.64 * x + 0.76 * y) / np.maximum(r, np.float32(0.05))
    tone = (0.16 + 0.30 * facing) * (0.75 + 0.35 * turns)
    surface.albedo = mix(surface.albedo, tone, wall)
    surface.light *= 1 - np.float32(0.45) * cover(r - _BORE)


def capsule(scene: np.random.Generator, size: int, variant: str | None, rng: np.random.Generator) -> Surface:
    """Two-coloured medicine capsule with a printed code on pale paper.

    Parameters and result are as in `nut`. The variants are ``"misprint"`` (a stroke is missing, the code is
    out of place or smeared) and ``"dent"`` (the shell is pressed in).
    """
    x, y = posed(*grid(size), *_pose(scene))
    paper = smooth_noise(scene, size, 70)
    surface = Surface.flat(plain(size, (0.80, 0.79, 0.76)) * (1 + 0.012 * paper)[..., None])
    length, radius = 0.44 * (1 + scene.normal(0, 0.01)), 0.29 * (1 + scene.normal(0, 0.008))
    seam = scene.normal(-0.02, 0.02)
    cap = step(x, seam + 0.006, seam - 0.006)
    radius_here = radius * (0.965 + 0.035 * cap)
    axis = np.hypot(np.maximum(np.abs(x) - length, 0), y)
    inside = cover(axis - radius_here)
    surface.shade_below(inside, 0.60, 0.09, (0.08, 0.10))
    arch = np.sqrt(np.maximum(radius_here**2 - axis**2, 0.0012))
    if variant == "dent":
        arch = arch - _dent(x, y, rng)
    shift = scene.normal(0, 0.008, 2).astype(np.float32)
    ink = _code(x - np.float32(0.24) - shift[0], y - shift[1], variant, rng)
    shell = _shell(scene, cap, ink) * (0.72 + 0.28 * arch / radius)[..., None]
    surface.lay(inside, shell, 0.75 * arch, gloss=0.45)
    surface.place = cover(axis - radius_here + 0.05)
    return surface


def _shell(scene: np.random.Generator, cap: Field, ink: Field) -> Picture:
    """Colour of the two halves with the worn print on them."""
    size = cap.shape[0]
    shell = mix(plain(size, (0.90, 0.84, 0.66)), (0.66, 0.20, 0.16), cap)
    shell = shell * (1 + 0.015 * smooth_noise(scene, size, 10, 6))[..., None]
    worn = 0.86 + 0.06 * smooth_noise(scene, size, 40)
    return mix(shell, (0.17, 0.16, 0.20), np.clip(ink * worn, 0, 1))


def _dent(x: Field, y: Field, rng: np.random.Generator) -> Field:
    """Depth of a round or long hollow somewhere on the shell."""
    cx, cy = rng.uniform(-0.52, 0.52), rng.uniform(-0.14, 0.14)
    wide, depth = rng.uniform(0.06, 0.14), rng.uniform(0.015, 0.045)
    u, v = posed(x, y, rng.uniform(0, np.pi), cx, cy)
    return np.float32(depth) * np.exp(-((u / wide) ** 2) - (v / (wide * rng.uniform(0.5, 1.0))) ** 2)


# Letters as strokes in a cell of width 1 and height 1.4, y down.
_LETTERS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "G": (((1, 0.2), (0.75, 0), (0.25, 0), (0, 0.3), (0, 1.1), (0.25, 1.4), (0.8, 1.4), (1, 1.2), (1, 0.8)),
          ((1, 0.8), (0.6, 0.8))),
    "A": (((0, 1.4), (0.5, 0), (1, 1.4)), ((0.2, 0.9), (0.8, 0.9))),
    "D": (((0, 0), (0.6, 0), (1, 0.4), (1, 1.0), (0.6, 1.4), (0, 1.4), (0, 0)),),
    "5": (((0.95, 0), (0.1, 0), (0.05, 0.6), (0.7, 0.55), (1, 0.85), (1, 1.15), (0.7, 1.4), (0, 1.35)),),
    "0": (((0.3, 0), (0.7, 0), (1, 0.3), (1, 1.1), (0.7, 1.4), (0.3, 1.4), (0, 1.1), (0, 0.3), (0.3, 0)),),
}  # fmt: skip


def _strokes(text: str, height: float) -> list[NDArray[np.float64]]:
    """Polylines (n, 2) that write `text` centred on the origin; `height` is that of the letters."""
    scale, advance = height / 1.4, 1.45
    left = -0.5 * (len(text) * advance - 0.45)
    cells = [(left + advance * k, stroke) for k, letter in enumerate(text) for stroke in _LETTERS[letter]]
    return [scale * (np.asarray(stroke) + np.array((at, -0.7))) for at, stroke in cells]


def _written(x: Field, y: Field, strokes: Sequence[NDArray[np.float64]], width: float) -> Field:
    """Coverage of strokes of the given width."""
    return cover(np.minimum.reduce([polyline(x, y, stroke, reach=0.1) for stroke in strokes]) - width / 2)


def _code(x: Field, y: Field, variant: str | None, rng: np.random.Generator) -> Field:
    """Coverage of the code printed on the capsule, faulty in one of three ways for ``"misprint"``."""
    strokes, width = _strokes("GAD", 0.19), 0.032
    if variant != "misprint":
        return _written(x, y, strokes, width)
    fault = rng.integers(3)
    if fault == 0:
        gone = posed(x, y, rng.uniform(0, np.pi), rng.uniform(-0.2, 0.2), rng.uniform(-0.05, 0.05))[0]
        return _written(x, y, strokes, width) * step(np.abs(gone), 0.02, rng.uniform(0.04, 0.10))
    if fault == 1:
        x, y = posed(x, y, rng.uniform(0.06, 0.25) * rng.choice((-1, 1)), 0, rng.uniform(-0.07, 0.07))
        return _written(x, y, strokes, width)
    slide = rng.uniform(0.02, 0.07)
    ghost = _written(x - np.float32(slide), y + np.float32(slide / 3), strokes, width)
    return np.maximum(_written(x, y, strokes, width), np.float32(rng.uniform(0.35, 0.8)) * ghost)


_LEADS = np.linspace(-0.45, 0.45, 6)


def chip(scene: np.random.Generator, size: int, variant: str | None, rng: np.random.Generator) -> Surface:
    """Integrated circuit with twelve leads, soldered to a green board.

    Parameters and result are as in `nut`. The variants are ``"bent_lead"``, ``"missing_lead"`` and
    ``"misplaced"`` (the chip is turned or moved against the pads of the board).
    """
    angle, dx, dy = _pose(scene)
    x, y = posed(*grid(size), 0.4 * angle, dx, dy)
    surface = _board(scene, x, y)
    pose = _pose(scene)
    pose = (0.25 * pose[0], 0.4 * pose[1], 0.4 * pose[2])
    if variant == "misplaced":
        pose = _misplaced(pose, rng)
    u, v = posed(x, y, *pose)
    _add_leads(surface, u, v, _lead_faults(variant, rng))
    _add_body(surface, u, v, scene)
    return surface


def _board(scene: np.random.Generator, x: Field, y: Field) -> Surface:
    """Green board with pads for the leads and the traces that leave them."""
    size = x.shape[0]
    weave = smooth_noise(scene, size, 60)
    surface = Surface.flat(plain(size, (0.10, 0.33, 0.21)) * (1 + 0.05 * weave)[..., None], gloss=0.10)
    column = np.abs(x)
    trace = np.full(x.shape, np.inf, dtype=np.float32)
    for k, at in enumerate(_LEADS):
        turn = 0.78 + 0.03 * (k % 3)
        end = at + 0.10 * np.sign(at)
        points = ((0.60, at), (turn, at), (turn + 0.10, end), (1.2, end))
        trace = np.minimum(trace, polyline(column, y, points, reach=0.04) - np.float32(0.018))
    pad = box(column - np.float32(0.66), y - _nearest_lead(y)[1], 0.09, 0.052, 0.012)
    copper, tinned = cover(trace), cover(pad)
    surface.albedo = mix(surface.albedo, (0.19, 0.47, 0.30), copper)
    surface.albedo = mix(surface.albedo, (0.76, 0.70, 0.50), tinned)
    frame = 0.8 * cover(np.abs(box(x, y, 0.83, 0.70)) - 0.006)
    surface.albedo = mix(surface.albedo, (0.86, 0.88, 0.84), frame)
    surface.height = 0.004 * copper + 0.006 * tinned + 0.0004 * weave
    surface.gloss = mix(surface.gloss, np.float32(0.3), tinned)
    return surface


def _misplaced(pose: Pose, rng: np.random.Generator) -> Pose:
    """Turn the chip by 2 to 6 degrees or move it by 3 to 8 % of half the width."""
    if rng.random() < 0.5:
        return pose[0] + rng.uniform(0.035, 0.105) * rng.choice((-1, 1)), pose[1], pose[2]
    heading, way = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.08)
    return pose[0], pose[1] + way * np.cos(heading), pose[2] + way * np.sin(heading)


def _lead_faults(variant: str | None, rng: np.random.Generator) -> NDArray[np.float64]:
    """Sideways bend at the tip (2, 6) of every lead of the left and right row; NaN for a missing one."""
    faults = np.zeros((2, len(_LEADS)))
    side, lead = rng.integers(2), rng.integers(len(_LEADS))
    if variant == "bent_lead":
        faults[side, lead] = rng.uniform(0.045, 0.12) * rng.choice((-1, 1))
    if variant == "missing_lead":
        faults[side, lead] = np.nan
    return faults


def _nearest_lead(y: Field) -> tuple[NDArray[np.intp], Field]:
    """Find number and place of the lead nearest to every pixel."""
    spacing = _LEADS[1] - _LEADS[0]
    number = np.clip(np.round((y - _LEADS[0]) / spacing), 0, len(_LEADS) - 1).astype(np.intp)
    return number, _LEADS[number].astype(np.float32)


def _add_leads(surface: Surface, u: Field, v: Field, faults: NDArray[np.float64]) -> None:
    """Lay the leads over the board: they leave the body, bend down and end flat on their pads."""
    out, right = np.abs(u), (u > 0).astype(np.intp)
    number, place = _nearest_lead(v)
    metal = cover(_lead(out, v - place)) * (faults[right, number] == 0)
    for side, lead in np.argwhere(np.nan_to_num(faults) != 0):
        bend = np.float32(faults[side, lead]) * step(out, 0.44, 0.72)
        metal = np.maximum(metal, cover(_lead(out, v - np.float32(_LEADS[lead]) - bend)) * (right == side))
    surface.shade_below(metal, 0.45, 0.012, (0.012, 0.016))
    relief = np.float32(0.06) * step(out, 0.62, 0.50) + np.float32(0.012)
    surface.lay(metal, (0.70, 0.71, 0.73), relief, gloss=0.5)


def _lead(out: Field, v: Field) -> Field:
    """Signed distance to a straight lead whose axis is at v = 0."""
    return box(out - np.float32(0.55), v, 0.15, 0.034, 0.008)


def _add_body(surface: Surface, u: Field, v: Field, scene: np.random.Generator) -> None:
    """Lay the moulded body over the leads, with its mark for lead 1 and its printed type."""
    outline = box(u, v, 0.42, 0.60, 0.03)
    inside = cover(outline)
    surface.shade_below(inside, 0.55, 0.035, (0.03, 0.04))
    grain = smooth_noise(scene, surface.size, 110)
    moulded = (0.185 + 0.012 * grain)[..., None] * np.array((1, 1, 1.04), dtype=np.float32)
    ink = _written(v, -u, _strokes("GAD50", 0.15), 0.026) * np.clip(0.80 + 0.07 * grain, 0, 1)
    moulded = mix(moulded, (0.66, 0.66, 0.64), ink)
    dimple = cover(np.hypot(u + np.float32(0.30), v + np.float32(0.47)) - 0.045)
    moulded = moulded * (1 - 0.45 * dimple)[..., None]
    relief = np.minimum(np.float32(0.05), -0.9 * outline) + 0.05 + 0.0009 * grain - 0.006 * dimple
    surface.lay(inside, moulded, relief, gloss=0.10)
    surface.place = cover(outline + 0.07)
