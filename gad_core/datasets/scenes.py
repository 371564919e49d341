"""Single pictures of synthetic categories: the scene, its photograph, a defect and the exact mask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gad_core.datasets import blemishes, objects, textures
from gad_core.datasets.drawing import Surface, photograph
from gad_core.errors import InputError

Recipe = Callable[[np.random.Generator, int, str | None, np.random.Generator], Surface]
Blemish = Callable[[Surface, np.random.Generator], None]

LARGEST_SIZE = 4096
SMALLEST_SIZE = 64
# Two pictures differ visibly where one channel differs by this many of 255 levels.
_VISIBLE = 5
# Share of the picture that a defect must at least change to count as drawn.
_SMALLEST_DEFECT = 0.0008


@dataclass(frozen=True)
class Category:
    """How the pictures of one category are made.

    Parameters
    ----------
    kind : str
        ``"texture"`` or ``"object"``.
    recipe : callable
        Draws the normal surface, or one of its variants.
    defects : mapping of str to callable or None
        Name of the defect to the blemish that is added; None where the recipe draws a variant of that name.
    """

    kind: str
    recipe: Recipe
    defects: Mapping[str, Blemish | None]


CATEGORIES: Mapping[str, Category] = MappingProxyType(
    {
        "weave": Category(
            "texture",
            textures.weave,
            {"cut": None, "stain": blemishes.stain, "thread": blemishes.thread, "warp": None},
        ),
        "wood": Category(
            "texture",
            textures.wood,
            {"holes": blemishes.holes, "scratch": blemishes.scratch, "stain": blemishes.stain},
        ),
        "terrazzo": Category(
            "texture",
            textures.terrazzo,
            {"crack": blemishes.crack, "pit": blemishes.pit, "stain": blemishes.stain},
        ),
        "nut": Category(
            "object",
            objects.nut,
            {"notch": None, "rust": blemishes.rust, "scratch": blemishes.scratch},
        ),
        "capsule": Category(
            "object",
            objects.capsule,
            {"crack": blemishes.crack, "dent": None, "misprint": None, "specks": blemishes.specks},
        ),
        "chip": Category(
            "object",
            objects.chip,
            {"bent_lead": None, "misplaced": None, "missing_lead": None, "scratch": blemishes.scratch},
        ),
    }
)


def render(
    category: str, rng: np.random.Generator, defect: str | None = None, size: int = 256
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one picture and the mask of its defect.

    The scene depends on `rng` alone: generators in the same state give the same scene with and without a
    defect, and outside of the mask the two pictures are equal.

    Parameters
    ----------
    category : str
        A key of `CATEGORIES`.
    rng : numpy.random.Generator
        Source of the scene, the camera and the defect.
    defect : str, optional
        One of the category's defects; None draws a normal picture.
    size : int
        Edge length in pixels, at least 64.

    Returns
    -------
    image : ndarray of shape (size, size, 3), uint8
        The picture, RGB.
    mask : ndarray of shape (size, size), bool
        True where the defect changes the picture visibly (by 5 of 255 levels), small gaps closed; all False
        for a normal one.

    Raises
    ------
    InputError
        For an unknown category or defect, or a size below 64.

    Examples
    --------
    >>> image, mask = render("chip", np.random.default_rng(0), "bent_lead", size=64)
    >>> image.shape, bool(mask.any())
    ((64, 64, 3), True)
    """
    recipe = category_named(category)
    check_size(size)
    scene_seed, camera_seed, defect_seed = rng.integers(0, 2**63, 3)
    untouched = np.random.default_rng(0)

    def picture(kind: str | None, touch: np.random.Generator) -> NDArray[np.uint8]:
        surface = _surface(recipe, kind, np.random.default_rng(scene_seed), touch, size)
        return photograph(surface, np.random.default_rng(camera_seed))

    normal = picture(None, untouched)
    if defect is None:
        return normal, np.zeros((size, size), dtype=bool)
    if defect not in recipe.defects:
        raise InputError(f"{category} has no defect {defect!r}: choose from {', '.join(recipe.defects)}")
    touch = np.random.default_rng(defect_seed)
    while True:
        damaged = picture(defect, touch)
        mask = _changed(normal, damaged)
        # A blemish now and then hides, e.g. a dark scratch on dark ground: draw another.
        if mask.mean() >= _SMALLEST_DEFECT:
            return np.where(mask[..., None], damaged, normal), mask


def _surface(
    category: Category, defect: str | None, scene: np.random.Generator, touch: np.random.Generator, size: int
) -> Surface:
    """Draw the surface of a scene with or without a defect."""
    blemish = category.defects[defect] if defect is not None else None
    surface = category.recipe(scene, size, defect if blemish is None else None, touch)
    if blemish is not None:
        blemish(surface, touch)
    return surface


def _changed(normal: NDArray[np.uint8], damaged: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mask of the visible difference, single pixels dropped and small gaps closed."""
    difference = np.abs(normal.astype(np.int16) - damaged).max(axis=2) >= _VISIBLE
    crowded = ndimage.uniform_filter(difference.astype(np.float32), 3, mode="constant") > 2.5 / 9
    padded = np.pad(difference & crowded, 2)
    closed = ndimage.binary_closing(padded, np.ones((3, 3), dtype=bool))
    return closed[2:-2, 2:-2]


def category_named(name: str) -> Category:
    """Look up a category by name."""
    if name not in CATEGORIES:
        raise InputError(f"there is no synthetic category {name!r}: choose from {', '.join(CATEGORIES)}")
    return CATEGORIES[name]


def check_size(size: int) -> None:
    """Refuse a picture too small to show its defects, or too large for the memory."""
    if not isinstance(size, int | np.integer) or not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise InputError(
            f"a synthetic picture cannot be {size!r} pixels wide: ask for {SMALLEST_SIZE} to {LARGEST_SIZE}"
        )
