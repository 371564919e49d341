"""Textures that fill the picture: woven cloth, planed wood and terrazzo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gad_core.datasets.drawing import Field, Picture, Surface, grid, mix, plain, posed, smooth_noise, step


def weave(scene: np.random.Generator, size: int, variant: str | None, rng: np.random.Generator) -> Surface:
    """Twill cloth of blue warp yarns (upright) and sand-coloured weft yarns.

    Parameters
    ----------
    scene : numpy.random.Generator
        Source of all that varies between normal pictures.
    size : int
        Edge length in pixels.
    variant : str or None
        ``"warp"`` pulls the yarns out of line in one place, ``"cut"`` takes pieces of a few warp yarns away.
    rng : numpy.random.Generator
        Source of all that concerns the variant.

    Returns
    -------
    Surface
        The cloth.
    """
    x, y = posed(*grid(size), scene.normal(0, 0.014))
    x = x + 0.012 * smooth_noise(scene, size, 2.5)
    y = y + 0.012 * smooth_noise(scene, size, 2.5)
    if variant == "warp":
        x, y = _pulled(x, y, rng)
    pitch = 15.0 * (1 + scene.normal(0, 0.005))
    a, b = x * pitch + scene.uniform(20, 24), y * pitch + scene.uniform(20, 24)
    i, j = np.floor(a), np.floor(b)
    warp = _yarn(a - i, i, b, 1.0)
    weft = _yarn(b - j, j, a, -1.0)
    warp_tone, weft_tone = scene.normal(0, 0.045, 64), scene.normal(0, 0.035, 64)
    if variant == "cut":
        warp = np.where(_removed(i, b, rng), np.float32(-3), warp)
    fibre = smooth_noise(scene, size, 40, 110), smooth_noise(scene, size, 110, 40)
    colour = _yarn_colour((0.22, 0.34, 0.50), warp_tone[i.astype(int) % 64], fibre[0])
    weft_colour = _yarn_colour((0.80, 0.73, 0.60), weft_tone[j.astype(int) % 64], fibre[1])
    top = np.maximum(warp, weft)
    surface = Surface.flat(mix(colour, weft_colour, step(weft - warp, -0.08, 0.08)))
    surface.height = top * np.float32(0.019)
    surface.light *= 0.55 + 0.45 * step(top, -0.75, 0.75)
    return surface


def _yarn(across: Field, index: Field, along: Field, sign: float) -> Field:
    """Relief of yarns: round across, rising over two crossing yarns and diving under the next two."""
    profile = np.sqrt(np.maximum(1 - (2 * across - 1) ** 2 * np.float32(0.92), 0))
    phase = (index + along - 1) * np.float32(np.pi / 2)
    return profile + np.float32(0.8 * sign) * np.cos(phase) - np.float32(0.6)


def _yarn_colour(colour: tuple[float, float, float], tone: NDArray[np.float64], fibre: Field) -> Field:
    """Colour of yarns whose dye and fibres vary."""
    factor = 1 + tone.astype(np.float32) + np.float32(0.10) * fibre
    return factor[..., None] * np.asarray(colour, dtype=np.float32)


def _pulled(x: Field, y: Field, rng: np.random.Generator) -> tuple[Field, Field]:
    """Coordinates of cloth that was dragged at one place."""
    cx, cy, heading = rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6), rng.uniform(0, 2 * np.pi)
    reach, drag = rng.uniform(0.14, 0.32), rng.uniform(0.07, 0.15)
    weight = drag * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / reach**2).astype(np.float32)
    return x + np.float32(np.cos(heading)) * weight, y + np.float32(np.sin(heading)) * weight


def _removed(i: Field, b: Field, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Where a warp yarn is missing: one to three neighbours over a length that differs a little."""
    first, count = rng.integers(i.min() + 3, i.max() - 3), rng.integers(1, 4)
    middle, length = rng.uniform(b.min() + 8, b.max() - 8), rng.uniform(4, 12)
    gone = np.zeros(i.shape, dtype=bool)
    for yarn in range(first, first + count):
        start, end = rng.normal(middle - length / 2, 0.6), rng.normal(middle + length / 2, 0.6)
        gone |= (i == yarn) & (b > start) & (b < end)
    return gone


def wood(scene: np.random.Generator, size: int, variant: str | None, rng: np.random.Generator) -> Surface:
    """Planed softwood with upright grain, seen close (parameters and result as in `weave`; no variants)."""
    del variant, rng
    x, y = posed(*grid(size), scene.normal(0, 0.014))
    bend = smooth_noise(scene, size, 1.2, 2.5)
    x0, y0 = scene.uniform(-0.7, 0.7), scene.uniform(-0.9, 0.9)
    radius = np.sqrt((x - x0) ** 2 + (0.30 * (y - y0)) ** 2 + 0.03)
    ring = 11.0 * radius + 0.45 * bend + 0.10 * smooth_noise(scene, size, 3, 16) + scene.uniform(0, 1)
    t = ring - np.floor(ring)
    late = t**2.5 * step(t, 1.0, 0.90)
    strength = 0.75 + 0.25 * scene.standard_normal(64)[np.floor(ring).astype(int) % 64].astype(np.float32)
    albedo = mix(plain(size, (0.80, 0.62, 0.41)), (0.56, 0.36, 0.19), late * strength)
    fibre = smooth_noise(scene, size, 7, 120)
    pores = step(smooth_noise(scene, size, 16, 120), 1.5, 2.4)
    tone = 1 + 0.045 * fibre + 0.04 * smooth_noise(scene, size, 1.5, 4) - 0.28 * pores
    surface = Surface.flat(albedo * tone[..., None], gloss=0.05)
    surface.height = 0.0012 * fibre - 0.004 * pores - 0.004 * late
    return surface


def terrazzo(scene: np.random.Generator, size: int, variant: str | None, rng: np.random.Generator) -> Surface:
    """Polished terrazzo: stone chips in grey cement (parameters and result as in `weave`; no variants)."""
    del variant, rng
    chips, stone = _chips(scene, size)
    speckle = smooth_noise(scene, size, 110)
    tone = 1 + 0.035 * speckle + 0.02 * smooth_noise(scene, size, 3)
    cement = plain(size, (0.66, 0.645, 0.615)) * tone[..., None]
    veins = 1 + 0.05 * smooth_noise(scene, size, 45) + 0.03 * speckle
    surface = Surface.flat(mix(cement, chips * veins[..., None], stone), gloss=0.16)
    surface.height = 0.0025 * stone + 0.0004 * speckle
    return surface


_STONES = ((0.90, 0.88, 0.84), (0.34, 0.33, 0.34), (0.62, 0.42, 0.34), (0.47, 0.50, 0.46), (0.78, 0.68, 0.52))


def _chips(scene: np.random.Generator, size: int) -> tuple[Picture, Field]:
    """Colour (H, W, 3) and coverage (H, W) of angular chips, drawn at twice the size and averaged."""
    fine = 2 * size
    picture = Image.new("RGBA", (fine, fine))
    paint = ImageDraw.Draw(picture)
    sides, corners, colours = _chip_shapes(scene, cells=22)
    pixels = np.round(corners.reshape(len(sides), -1) * fine, 1).tolist()
    for n, outline, colour in zip(sides.tolist(), pixels, colours.tolist(), strict=True):
        paint.polygon(outline[: 2 * n], fill=(*colour, 255))
    reduced = np.asarray(picture.reduce(2), dtype=np.float32) / 255
    return reduced[..., :3], reduced[..., 3]


def _chip_shapes(
    scene: np.random.Generator, cells: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Draw number of corners (n,), corners (n, 7, 2) in picture widths and colour (n, 3) of a chip a cell."""
    row, column = np.divmod(np.arange((cells + 2) ** 2), cells + 2)
    count = len(row)
    sides = scene.integers(4, 8, count)
    turn = (np.arange(7) + scene.uniform(-0.35, 0.35, (count, 7))) * (2 * np.pi / sides[:, None])
    turn += scene.uniform(0, 2 * np.pi, (count, 1))
    radius = np.clip(scene.lognormal(-1.00, 0.30, (count, 1)), 0.12, 0.75)
    reach = radius * scene.uniform(0.75, 1.15, (count, 7))
    centre = np.stack([column, row], axis=1) - 0.5 + scene.uniform(-0.32, 0.32, (count, 2))
    outline = np.stack([np.cos(turn), np.sin(turn)], axis=2) * reach[..., None]
    # The mix of stones is the same in every tile, only their order differs.
    share = scene.permutation((np.arange(count) + 0.5) / count)
    stone = np.asarray(_STONES)[np.searchsorted((0.34, 0.52, 0.68, 0.84), share)]
    colours = np.clip(stone * (1 + scene.normal(0, 0.05, (count, 1))) * 255, 0, 255).astype(np.int64)
    return sides, (centre[:, None] + outline) / cells, colours
