"""The training pictures on disk: drawn once, in parallel, in files that are whole or not there."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gad_core.errors import InputError
from gad_core.files import replacing
from training.procedural.pictures import SIZE, picture
from training.record import claim

CHUNK = 500
"""Pictures in a file."""


def chunk_path(folder: Path, chunk: int) -> Path:
    """File of a chunk of pictures."""
    return folder / f"{chunk:05d}.npy"


def draw_pictures(
    folder: Path,
    count: int,
    styles: int,
    seed: int,
    processes: int,
    *,
    chunk_length: int = CHUNK,
    size: int = SIZE,
) -> None:
    """Draw all pictures that are not there yet.

    Parameters
    ----------
    folder : pathlib.Path
        Gets files of pictures, (chunk_length, size, size, 3) uint8.
    count : int
        Number of pictures, a multiple of `chunk_length`.
    styles : int
        Number of styles; picture i is instance ``i // styles`` of style ``i % styles``.
    seed : int
        Of the generator.
    processes : int
        How many to draw with at a time.
    chunk_length, size : int
        Pictures in a file, and their edge length in pixels.
    """
    if count % chunk_length:
        raise InputError(f"{count} pictures do not fill files of {chunk_length}: choose a multiple of it")
    claim(folder, {"count": count, "styles": styles, "seed": seed, "size": size})
    missing = [c for c in range(count // chunk_length) if not chunk_path(folder, c).is_file()]
    draw = partial(_draw_chunk, folder=folder, styles=styles, seed=seed, chunk_length=chunk_length, size=size)
    # Not forked: torch's threads do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for _ in tqdm(pool.imap_unordered(draw, missing), total=len(missing), desc="pictures", unit="chunk"):
            pass


def _draw_chunk(chunk: int, folder: Path, styles: int, seed: int, chunk_length: int, size: int) -> None:
    pictures = np.empty((chunk_length, size, size, 3), dtype=np.uint8)
    for row in range(chunk_length):
        instance, style = divmod(chunk * chunk_length + row, styles)
        pictures[row] = picture(style, instance, size=size, seed=seed)
    with replacing(chunk_path(folder, chunk)) as temporary, temporary.open("wb") as file:
        np.save(file, pictures)


def chunks(folder: Path) -> Iterator[NDArray]:
    """Give the files of a folder in order, mapped into memory; InputError if one is missing."""
    there = len(list(folder.glob("[0-9]*.npy")))
    for chunk in range(max(there, 1)):
        path = chunk_path(folder, chunk)
        if not path.is_file():
            raise InputError(f"{path} is missing: make the pictures, or the targets, first")
        yield np.load(path, mmap_mode="r")
