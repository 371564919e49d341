"""Drawings in flat colours: overlapping leaves, print, strokes."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gad_core.datasets.drawing import Field, Picture
from training.procedural.fields import Generator
from training.procedural.materials import palette

_GLYPHS = "ABCDEFGHJKLMNPRSTUVWXYZabdefghkmnpqrst0123456789%&#*+=<>?/"


def dead_leaves(style: Generator, rng: Generator, size: int) -> Picture:
    """Opaque shapes, a power law of sizes, drawn one over the other until the picture is full.

    The statistics of such pictures are near those of natural images (occlusion, edges at all scales).
    """
    exponent, smallest = style.uniform(1.5, 3.5), style.uniform(0.008, 0.03)
    colours = (255 * palette(style, 12)).astype(np.uint8)
    corners, count = int(style.integers(3, 8)), int(style.integers(250, 900))
    round_share, aspect = style.choice([0.0, 0.5, 1.0]), style.uniform(0.3, 1)
    picture = Image.new("RGB", (2 * size, 2 * size), tuple(map(int, colours[0])))
    paint = ImageDraw.Draw(picture)
    # Inverse of the cumulative distribution of radii between the smallest and half the picture.
    low, high = smallest ** (1 - exponent), 0.5 ** (1 - exponent)
    radii = (low + rng.random(count) * (high - low)) ** (1 / (1 - exponent)) * 2 * size
    centres = rng.uniform(0, 2 * size, (count, 2))
    turns, picks = rng.uniform(0, 2 * np.pi, count), rng.integers(0, len(colours), count)
    shades, is_round = rng.normal(0, 14, (count, 3)), rng.random(count) < round_share
    steps = np.arange(corners) * 2 * np.pi / corners
    for i in range(count):
        fill = tuple(np.clip(colours[picks[i]] + shades[i], 0, 255).astype(int).tolist())
        if is_round[i]:
            across, down = radii[i], radii[i] * aspect
            x, y = centres[i]
            paint.ellipse((x - across, y - down, x + across, y + down), fill=fill)
        else:
            outline = centres[i] + radii[i] * np.stack(
                [np.cos(steps + turns[i]), np.sin(steps + turns[i])], 1
            )
            paint.polygon(outline.ravel().tolist(), fill=fill)
    return np.asarray(picture.reduce(2), dtype=np.float32) / 255


def printed(style: Generator, rng: Generator, size: int) -> tuple[Picture, Field]:
    """Print, labels, wires and strokes.

    Returns
    -------
    colour : (H, W, 3) array
        Of the ink, 0 to 1.
    cover : (H, W) array
        1 where there is ink.
    """
    kinds = style.choice(4, size=int(style.integers(1, 4)))
    inks = (255 * palette(style, 4)).astype(int)
    width, tall, count = int(style.integers(1, 9)), int(style.integers(8, 48)), int(style.integers(2, 22))
    picture = Image.new("RGBA", (2 * size, 2 * size))
    paint = ImageDraw.Draw(picture)
    font = ImageFont.load_default(2 * tall)
    for kind in kinds:
        for _ in range(count):
            ink = (*inks[rng.integers(0, 4)].tolist(), 255)
            x, y = rng.uniform(-0.1, 1.05, 2) * 2 * size
            reach = 2 * size * rng.uniform(0.05, 0.5)
            turn = rng.uniform(0, 2 * np.pi)
            if kind == 0:
                word = "".join(rng.choice(list(_GLYPHS), rng.integers(1, 8)))
                paint.text((x, y), word, fill=ink, font=font)
            elif kind == 1:
                end = (x + reach * np.cos(turn), y + reach * np.sin(turn))
                paint.line((x, y, *end), fill=ink, width=width)
            elif kind == 2:
                start = np.degrees(turn)
                paint.arc((x, y, x + reach, y + reach), start, start + 200, fill=ink, width=width)
            else:
                paint.rectangle(
                    (x, y, x + reach, y + reach * rng.uniform(0.05, 0.8)), outline=ink, width=width
                )
    reduced = np.asarray(picture.reduce(2), dtype=np.float32) / np.float32(255)
    return reduced[..., :3], reduced[..., 3]
