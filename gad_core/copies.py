"""Images that a data set holds twice: test images among the training images, or training images themselves.

A detector knows the images that it was fitted to by heart. A test image that is one of them tells nothing of
new images, and a training image that is there twice is held out in one fold and fitted to in the others.

Copies have the same pixels. Equal bytes would miss an image that was saved again without loss. Equal features
would miss a copy in another batch, where the network rounds otherwise; features equal up to rounding are no
proof, since pictures of a scene in which nothing moves differ as little. So the features, which are there
already, say which few images to read once more, and their pixels decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gad_core.cache import image_digest
from gad_core.images import read_image

ALIKE = 0.003
"""Distance of two feature vectors, as a share of their length, up to which their images are compared."""

SHOWN = 3
"""Copies that are named in a sentence."""

_ROWS_AT_ONCE = 512


class Copy(NamedTuple):
    """An image that was there before.

    Parameters
    ----------
    path : pathlib.Path
        The image.
    original : pathlib.Path
        The first training image with the same pixels.
    """

    path: Path
    original: Path


class Copies(NamedTuple):
    """What `find_copies` found.

    Parameters
    ----------
    test : list of Copy
        Test images that are training images too.
    train : list of Copy
        Training images that are there once more; the first of each is none.
    """

    test: list[Copy]
    train: list[Copy]


def find_copies(
    train_paths: Sequence[Path],
    train: NDArray[np.float32],
    test_paths: Sequence[Path],
    test: NDArray[np.float32],
) -> Copies:
    """Find the images that have the same pixels as a training image.

    Parameters
    ----------
    train_paths, test_paths : sequences of pathlib.Path
        Image files.
    train, test : (n, p) and (m, p) arrays
        Their features, from one extractor.

    Returns
    -------
    Copies
        In the order of the paths.
    """
    of_train, of_test = look_alikes(train, test)
    originals: dict[str, Path] = {}
    copies = Copies([], [])
    for path in compress(train_paths, of_train):
        original = originals.setdefault(image_digest(read_image(path)), path)
        if original is not path:
            copies.train.append(Copy(path, original))
    for path in compress(test_paths, of_test):
        if found := originals.get(image_digest(read_image(path))):
            copies.test.append(Copy(path, found))
    return copies


def look_alikes(
    train: NDArray[np.floating], test: NDArray[np.floating]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Mark the rows that point in (nearly) the direction of another row, one of the two in training.

    Parameters
    ----------
    train, test : (n, p) and (m, p) arrays
        Features.

    Returns
    -------
    (n,) and (m,) bool arrays
        Whether there is another row within `ALIKE`, both divided by their lengths.

    Examples
    --------
    >>> train = np.array([[1.0, 0], [0, 1], [1, 1]])
    >>> look_alikes(train, np.array([[1, 1.001], [1, 2]]))
    (array([False, False,  True]), array([ True, False]))
    """
    rows = np.concatenate([train, test]) if len(test) else train
    alike = np.array(~rows.any(axis=1), dtype=bool)  # without a direction, so that they may be copies too
    places = _places(rows)
    order = np.argsort(places)
    # Sorted along an axis, a row is compared with those of the next stretch alone, not with all.
    ends = np.searchsorted(places[order], places[order] + ALIKE, side="right")
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = order[start : start + _ROWS_AT_ONCE]
        units = _units(rows[some])
        end = ends[start + len(some) - 1]
        for begin in range(start, end, _ROWS_AT_ONCE):
            others = order[begin : min(begin + _ROWS_AT_ONCE, end)]
            near = units @ _units(rows[others]).T >= 1 - ALIKE**2 / 2  # squared distance = 2 - 2 * product
            near &= some[:, None] != others
            near &= (some < len(train))[:, None] | (others < len(train))
            alike[some] |= near.any(axis=1)
            alike[others] |= near.any(axis=0)
    return alike[: len(train)], alike[len(train) :]


def _units(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Divide rows by their lengths; those of zeros stay."""
    units = rows.astype(np.float64)
    lengths = np.linalg.norm(units, axis=1, keepdims=True)
    return np.divide(units, lengths, out=units, where=lengths > 0)


def _places(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Where rows of length 1 lie along the axis in which a sample of them differs most."""
    if len(rows) == 0:
        return np.empty(0)
    sample = _units(rows[:: -(-len(rows) // _ROWS_AT_ONCE)])
    axis = np.linalg.svd(sample - sample.mean(axis=0), full_matrices=False)[2][0]
    parts = (rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE))
    return np.concatenate([_units(part) @ axis for part in parts])


def named(copies: Sequence[Copy]) -> str:
    """Name the first copies and their originals, each with the two folders above it.

    Examples
    --------
    >>> named([Copy(Path("nut/test/good/7.png"), Path("nut/train/good/3.png"))])
    'test/good/7.png is train/good/3.png'
    """
    words = [f"{short(copy.path)} is {short(copy.original)}" for copy in copies[:SHOWN]]
    more = len(copies) - len(words)
    return ", ".join(words) + (f", and {more} more" if more else "")


def short(path: Path) -> str:
    """Give the last three parts of a path: split, kind and file."""
    return "/".join(path.parts[-3:])
