"""Building blocks of procedural pictures: coordinates, noise, signed distances, surfaces and light.

Lengths are measured in half image widths: the picture is the square [-1, 1] x [-1, 1], x to the right and y
down, whatever its size in pixels. A `Field` is a float32 array of shape (H, W), a `Picture` one of shape
(H, W, 3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

Field = NDArray[np.floating[Any]]
Picture = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]


def grid(size: int) -> tuple[Field, Field]:
    """Coordinates of the pixel centres.

    Parameters
    ----------
    size : int
        Edge length of the picture in pixels.

    Returns
    -------
    x, y : ndarray of shape (size, size)
        In [-1, 1].
    """
    centres = ((np.arange(size) + 0.5) * (2 / size) - 1).astype(np.float32)
    x, y = np.meshgrid(centres, centres)
    return x, y


def posed(x: Field, y: Field, angle: float, dx: float = 0.0, dy: float = 0.0) -> tuple[Field, Field]:
    """Coordinates in the frame of an object that is turned by `angle` (radians) and moved by (dx, dy)."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = x - np.float32(dx), y - np.float32(dy)
    return cos * x + sin * y, cos * y - sin * x


def smooth_noise(rng: np.random.Generator, size: int, rows: float, columns: float | None = None) -> Field:
    """Gaussian random field with mean 0 and variance 1 at every pixel.

    White noise on a coarse grid is blended with Gaussian weights whose squares sum to 1, so the variance is
    the same everywhere and the numbers drawn do not depend on `size`.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the coarse noise.
    size : int
        Edge length of the picture in pixels.
    rows, columns : float
        Number of independent cells along y and along x; `columns` defaults to `rows`.

    Returns
    -------
    ndarray of shape (size, size)
        The field.
    """
    columns = rows if columns is None else columns
    (top, down), (left, across) = _taps(size, rows), _taps(size, columns)
    coarse = rng.standard_normal((int(np.ceil(rows)) + 5, int(np.ceil(columns)) + 5), dtype=np.float32)
    tall = _blend(coarse, top, down)
    return np.ascontiguousarray(_blend(np.ascontiguousarray(tall.T), left, across).T)


def _blend(knots: Field, first: NDArray[np.intp], weights: Field) -> Field:
    """Blend six rows of `knots` for every row of the result.

    A sum of six terms, not a matrix product: the rounding of that may change with the number of threads.
    """
    blended = weights[:, :1] * knots[first]
    for k in range(1, 6):
        blended += weights[:, k, None] * knots[first + k]
    return blended


def _taps(size: int, cells: float) -> tuple[NDArray[np.intp], Field]:
    """First of the six knots that every pixel blends (size,), and their weights (size, 6) of unit length."""
    at = (np.arange(size) + 0.5) * (cells / size)
    first = np.floor(at).astype(np.intp)
    weights = np.exp(-(((at - first)[:, None] + 2 - np.arange(6)) ** 2) / 0.75**2)
    return first, (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)


def step(value: Field, low: float, high: float) -> Field:
    """Smooth step: 0 below `low`, 1 above `high`, a cubic in between (`low` > `high` falls instead)."""
    t = np.clip((value - low) * np.float32(1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def cover(distance: Field) -> Field:
    """Coverage in [0, 1] of a shape by its signed distance (negative inside); the edge is a pixel wide."""
    return np.clip(0.5 - distance * np.float32(distance.shape[1] / 2), 0, 1)


def box(x: Field, y: Field, half_width: float, half_height: float, radius: float = 0.0) -> Field:
    """Signed distance to an upright rectangle about the origin with rounded corners."""
    across, down = np.abs(x) - (half_width - radius), np.abs(y) - (half_height - radius)
    outside = np.hypot(np.maximum(across, 0), np.maximum(down, 0))
    return outside + np.minimum(np.maximum(across, down), 0) - radius


def polyline(x: Field, y: Field, points: ArrayLike, reach: float = 0.15) -> Field:
    """Distance to the line through `points`, an array of shape (n, 2) of (x, y), or `reach` if that is less.

    Only the part of the picture within `reach` of the line's bounding box is worked out.
    """
    corners = np.asarray(points, dtype=np.float32)
    (left, top), (right, bottom) = corners.min(axis=0) - reach, corners.max(axis=0) + reach
    near = (x > left) & (x < right) & (y > top) & (y < bottom)
    distance = np.full(x.shape, reach, dtype=np.float32)
    x, y = x[near], y[near]
    nearest = np.full(x.shape, reach**2, dtype=np.float32)
    for (x0, y0), (x1, y1) in pairwise(corners):
        ex, ey = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * ex + (y - y0) * ey) / (ex * ex + ey * ey), 0, 1)
        nearest = np.minimum(nearest, (x - x0 - along * ex) ** 2 + (y - y0 - along * ey) ** 2)
    distance[near] = np.sqrt(nearest)
    return distance


def blob(rng: np.random.Generator, x: Field, y: Field, radius: float, roughness: float = 0.3) -> Field:
    """Signed distance, roughly, to an irregular blob about the origin, round or long, of mean `radius`."""
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.5)
    x, y = posed(x, y, angle)
    wobble = smooth_noise(rng, x.shape[0], 1.6 / radius)
    return np.hypot(x / stretch, y * stretch) - radius * (1 + roughness * np.clip(wobble, -1.6, 1.6))


def mix(below: Picture, above: ArrayLike, amount: Field) -> Picture:
    """Blend `above` over `below` by `amount` (H, W); both may be fields or have a colour axis."""
    over = np.asarray(above, dtype=np.float32)
    weight = amount[..., None] if below.ndim == 3 else amount
    if below.ndim == 3 and over.ndim == 2:
        over = over[..., None]
    return below + weight * (over - below)


def plain(size: int, colour: Colour) -> Picture:
    """Make an (H, W, 3) picture of one colour."""
    return np.broadcast_to(np.asarray(colour, dtype=np.float32), (size, size, 3)).copy()


@dataclass
class Surface:
    """What the camera looks at, before any light falls on it.

    Parameters
    ----------
    albedo : ndarray of shape (H, W, 3)
        Colour, 0 to 1.
    height : ndarray of shape (H, W)
        Relief in half image widths.
    gloss : ndarray of shape (H, W)
        Strength of the mirror-like reflection.
    light : ndarray of shape (H, W)
        Factor on the light that arrives, below 1 in a shadow.
    place : ndarray of shape (H, W)
        1 where a blemish may lie, 0 on the background.
    """

    albedo: Picture
    height: Field
    gloss: Field
    light: Field
    place: Field = field(repr=False)

    @classmethod
    def flat(cls, albedo: Picture, gloss: float = 0.0) -> Surface:
        """Make a level sheet that fills the picture."""
        shape = albedo.shape[:2]
        zero, one = np.zeros(shape, dtype=np.float32), np.ones(shape, dtype=np.float32)
        return cls(albedo, zero, zero + np.float32(gloss), one, one.copy())

    @property
    def size(self) -> int:
        """Edge length in pixels."""
        return self.height.shape[0]

    def lay(self, coverage: Field, albedo: ArrayLike, height: ArrayLike, gloss: float) -> None:
        """Put something fully lit over the surface where `coverage` is 1."""
        self.albedo = mix(self.albedo, albedo, coverage)
        self.height = mix(self.height, height, coverage)
        self.gloss = mix(self.gloss, gloss, coverage)
        self.light = mix(self.light, 1.0, coverage)

    def shade_below(self, coverage: Field, strength: float, blur: float, shift: tuple[float, float]) -> None:
        """Let something that covers `coverage` cast a soft shadow; `blur` and `shift` (x, y) are lengths."""
        pixels = self.size / 2
        fallen = shifted(coverage, shift[0] * pixels, shift[1] * pixels)
        self.light *= 1 - np.float32(strength) * ndimage.gaussian_filter(fallen, blur * pixels, truncate=2.5)


def shifted(image: Field, dx: float, dy: float) -> Field:
    """`image` moved by whole pixels nearest to (dx, dy), its edge repeated."""
    rows = np.clip(np.arange(image.shape[0]) - round(dy), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) - round(dx), 0, image.shape[1] - 1)
    return image[rows[:, None], columns]


def photograph(surface: Surface, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light a surface and take a picture of it with a slightly unsteady camera.

    The lamp is at the upper left. Its direction, the exposure, the white balance, the black level, the
    fall-off of the light across the picture and the sensor noise are drawn from `rng`; they are the variation
    that normal pictures of every category have in common.

    Parameters
    ----------
    surface : Surface
        What to look at.
    rng : numpy.random.Generator
        Source of the variation; the numbers drawn do not depend on the surface's content.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
        The picture.
    """
    size = surface.size
    lamp = np.array([-0.55, -0.65, 1.0]) + rng.normal(0, 0.05, 3)
    exposure, balance, black = rng.normal(1, 0.018), rng.normal(1, 0.007, 3), rng.normal(0, 0.004)
    slope_x, slope_y = rng.normal(0, 0.015, 2)
    noise = rng.standard_normal((size, size, 3), dtype=np.float32)
    x, y = grid(size)
    diffuse, mirror = _reflection(surface.height, lamp)
    level = surface.light * (1 + np.float32(slope_x) * x + np.float32(slope_y) * y)
    colour = surface.albedo * (level * (0.30 + 0.70 * diffuse))[..., None]
    colour += (surface.gloss * mirror * level)[..., None]
    colour = colour * (exposure * balance).astype(np.float32) + np.float32(black) + np.float32(0.011) * noise
    return np.round(np.clip(colour, 0, 1) * 255).astype(np.uint8)


def _reflection(height: Field, lamp: NDArray[np.float64]) -> tuple[Field, Field]:
    """Diffuse factor (1 on level ground) and mirror-like reflection (Blinn and Phong) of a relief."""
    light = (lamp / np.linalg.norm(lamp)).astype(np.float32)
    half = lamp / np.linalg.norm(lamp) + [0, 0, 1]
    half = (half / np.linalg.norm(half)).astype(np.float32)
    down, across = np.gradient(height, 2 / height.shape[0])
    inverse = 1 / np.sqrt(1 + across * across + down * down)
    diffuse = np.maximum((light[2] - light[0] * across - light[1] * down) * inverse, 0) / light[2]
    aligned = np.maximum((half[2] - half[0] * across - half[1] * down) * inverse, 0)
    squared = aligned * aligned
    fourth = squared * squared
    sixteenth = fourth * fourth * fourth * fourth
    return np.minimum(diffuse, 1.7), sixteenth * sixteenth
