"""Batches of pictures with what is to be learned of them, in an order that the seed and the step decide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gad_core.errors import InputError
from training.pictures import chunks


class Examples:
    """Pictures and targets on disk as one long table.

    Parameters
    ----------
    pictures : pathlib.Path
        Folder of pictures.
    targets : pathlib.Path or None
        Folder of targets; None gives the styles as labels.
    styles : int
        Number of styles.
    """

    def __init__(self, pictures: Path, targets: Path | None, styles: int) -> None:
        self.pictures, self.styles = list(chunks(pictures)), styles
        self.targets = None if targets is None else list(chunks(targets))
        if self.targets is not None and len(self.targets) != len(self.pictures):
            raise InputError("there are not as many files of targets as of pictures: make the targets first")

    def __len__(self) -> int:
        return self.chunk_length * len(self.pictures)

    @property
    def chunk_length(self) -> int:
        """Number of pictures in a file."""
        return len(self.pictures[0])

    def take(self, index: NDArray[np.int64]) -> tuple[NDArray[np.uint8], Tensor]:
        """Pictures (b, s, s, 3) and targets (b, D) float32, or styles (b,), of the given rows."""
        where = [divmod(int(i), self.chunk_length) for i in index]
        images = np.stack([self.pictures[chunk][row] for chunk, row in where])
        if self.targets is None:
            return images, torch.from_numpy(index % self.styles)
        rows = np.stack([self.targets[chunk][row] for chunk, row in where])
        return images, torch.from_numpy(rows).float()


def training_order(count: int, batch: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Give the rows of one batch after the other, without end: a new permutation each epoch."""
    epoch = 0
    while True:
        order = np.random.default_rng((seed, epoch)).permutation(count)
        for start in range(0, count - batch + 1, batch):
            yield order[start : start + batch]
        epoch += 1


def augmented(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Flip pictures and roll them by up to an eighth, for classification."""
    flipped = np.where(rng.random(len(images))[:, None, None, None] < 0.5, images[:, :, ::-1], images)
    reach = images.shape[1] // 8
    shifts = rng.integers(-reach, reach + 1, (len(images), 2))
    return np.stack([np.roll(image, shift, (0, 1)) for image, shift in zip(flipped, shifts, strict=True)])


def exposed(images: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change exposure and white balance of pictures, on which the targets shall not depend.

    Parameters
    ----------
    images : (b, s, s, 3) uint8 array
        Pictures.
    strength : float
        Standard deviation of the logarithm of the exposure; that of each colour is a third of it.
    rng : numpy.random.Generator
        Source of the changes.

    Returns
    -------
    (b, s, s, 3) uint8 array
        The changed pictures.
    """
    exposure = rng.normal(0, strength, (len(images), 1, 1, 1))
    balance = rng.normal(0, strength / 3, (len(images), 1, 1, 3))
    gain = np.exp(exposure + balance).astype(np.float32)
    return np.round(np.clip(images * gain, 0, 255)).astype(np.uint8)
