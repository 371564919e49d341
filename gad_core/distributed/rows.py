"""A worker's share of the images: their features, block by block, and which of them cannot be read."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gad_core.decoding import cached_rows, source_name
from gad_core.distributed.partition import BLOCK
from gad_core.errors import InputError
from gad_core.features import FeatureExtractor
from gad_core.fingerprint import require_same_features
from gad_core.images import Source, load_image


class Unreadable(NamedTuple):
    """An image that was left out, and why."""

    name: str
    reason: str


class Rows(NamedTuple):
    """Features of a run of images; it stays on the worker that computed it."""

    blocks: list[NDArray[np.float32]]
    """For each block its readable images' features, one a row."""
    unreadable: list[Unreadable]


class Report(NamedTuple):
    """What the process that asked for a run must know of it."""

    readable: int
    """Number of readable images."""
    unreadable: list[Unreadable]


def received(extractor: FeatureExtractor, fingerprint: dict[str, Any]) -> FeatureExtractor:
    """Take an extractor over, on the worker: it loads its network once and keeps it.

    Raises
    ------
    InputError
        If its weights are not there or are others than those of `fingerprint`, or another runtime would run
        the network here.
    """
    found = extractor.fingerprint()
    require_same_features(fingerprint, found)
    if found["runtime"] != fingerprint["runtime"]:
        raise InputError(
            f"a worker runs networks with {found['runtime']}, this process with {fingerprint['runtime']}; "
            "the last digits would differ: install the same packages, or say --runtime torch"
        )
    return extractor


def run_rows(extractor: FeatureExtractor, images: Sequence[Source], first: int) -> Rows:
    """Compute the features of a run of images.

    Parameters
    ----------
    extractor : FeatureExtractor
        What computes them.
    images : sequence of path-like or array
        Its first one begins a block.
    first : int
        Position of that one among all images; it names images that are arrays.

    Returns
    -------
    Rows
        Of the readable images, in order, and the others' names.
    """
    blocks: list[NDArray[np.float32]] = []
    unreadable: list[Unreadable] = []
    for start in range(0, len(images), BLOCK):
        rows, left_out = _block_rows(extractor, images[start : start + BLOCK], first + start)
        blocks.append(rows)
        unreadable += left_out
    return Rows(blocks, unreadable)


def report(rows: Rows) -> Report:
    """Say how many rows there are, and which images have none."""
    return Report(sum(map(len, rows.blocks)), rows.unreadable)


def read_failure(image: Source, size: int) -> str:
    """Say why an image cannot be read; empty text if it can."""
    try:
        load_image(image, size)
    except InputError as error:
        return str(error)
    return ""


def _block_rows(
    extractor: FeatureExtractor, images: Sequence[Source], first: int
) -> tuple[NDArray[np.float32], list[Unreadable]]:
    try:
        if not _partly_cached(extractor, images):
            return extractor.transform(images), []
    except InputError:
        pass  # batch by batch it will be seen which image is to blame
    parts = [_batch_rows(extractor, batch, first + start) for start, batch in _batches(extractor, images)]
    return np.concatenate([rows for rows, _ in parts]), [bad for _, left_out in parts for bad in left_out]


def _batches(extractor: FeatureExtractor, images: Sequence[Source]) -> Iterator[tuple[int, Sequence[Source]]]:
    for start in range(0, len(images), extractor.batch_size):
        yield start, images[start : start + extractor.batch_size]


def _batch_rows(
    extractor: FeatureExtractor, images: Sequence[Source], first: int
) -> tuple[NDArray[np.float32], list[Unreadable]]:
    """Compute a batch; a blank image takes the place of one that cannot be read.

    How the network's sums are rounded depends on the size of the batch and the place in it, but not on what
    the other images show. So the features are those that the batch would have given without the damage.
    """
    reasons = [read_failure(image, extractor.input_size) for image in images]
    unreadable = [
        Unreadable(source_name(image, first + i), reason)
        for i, (image, reason) in enumerate(zip(images, reasons, strict=True))
        if reason
    ]
    if unreadable:
        blank = np.zeros((extractor.input_size, extractor.input_size, 3), dtype=np.uint8)
        images = [blank if reason else image for image, reason in zip(images, reasons, strict=True)]
    if _partly_cached(extractor, images):
        extractor = copy.copy(extractor).set_params(cache=None)
    return extractor.transform(images)[[not reason for reason in reasons]], unreadable


def _partly_cached(extractor: FeatureExtractor, images: Sequence[Source]) -> bool:
    """Tell whether some images' features are in the cache and some are not.

    The extractor would compute the missing ones in smaller batches, and so with another rounding: what a
    worker had finished when it was killed would show in the numbers.
    """
    cache = extractor.open_cache()
    if cache is None:
        return False
    spec = extractor._spec()
    found = {row is not None for row in cached_rows(cache, images, spec.recipe(), len(spec.columns()))}
    return len(found) > 1
