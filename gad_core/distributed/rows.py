"""A worker's share of the images: their features, block by block, and which of them cannot be read."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gad_core.decoding import cached_rows, source_name
from gad_core.distributed.asking import Answer
from gad_core.distributed.partition import BLOCK
from gad_core.errors import InputError
from gad_core.features import FeatureExtractor
from gad_core.fingerprint import require_same_features
from gad_core.images import Source, load_image
from gad_core.trial import Trial


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


def run_rows(extractor: FeatureExtractor, ask: Answer, run: range) -> Rows:
    """Compute the features of a run of images, leaving out those that cannot be read.

    Parameters
    ----------
    extractor : FeatureExtractor
        From `received`.
    ask : callable
        Answers ``("images", start of the run, start, stop)`` with these images, and whether decoding them has
        to be tried in another process first.
    run : range
        Positions of the images.

    Returns
    -------
    Rows
        The features of a block do not depend on how images are cut into runs.
    """
    blocks: list[NDArray[np.float32]] = []
    unreadable: list[Unreadable] = []
    with Trial() as trial:
        for start in range(run.start, run.stop, BLOCK):
            images, careful = ask(("images", run.start, start, min(start + BLOCK, run.stop)))
            if careful:
                images = [_survived(image, trial) for image in images]
            rows, left_out = _block_rows(extractor, images, start)
            blocks.append(rows)
            unreadable += left_out
    return Rows(blocks, unreadable)


def run_labels(ask: Answer, start: int, stop: int) -> NDArray[np.integer]:
    """Get the labels of rows from the process that asked for the work."""
    labels: NDArray[np.integer] = ask(("labels", start, stop))
    return labels


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


def _survived(image: Source, trial: Trial) -> Source | Unreadable:
    """Give the image, or, if decoding it would end this process, what is to be reported of it."""
    if isinstance(image, np.ndarray):
        return image
    reason = trial.death(image)
    return Unreadable(os.fspath(image), reason) if reason else image


def _block_rows(
    extractor: FeatureExtractor, images: Sequence[Source | Unreadable], first: int
) -> tuple[NDArray[np.float32], list[Unreadable]]:
    sources = [image for image in images if not isinstance(image, Unreadable)]
    if len(sources) == len(images):
        try:
            if not _partly_cached(extractor, sources):
                return extractor.transform(sources), []
        except InputError:
            pass  # batch by batch it will be seen which image is to blame
    size = extractor.batch_size
    parts = [
        _batch_rows(extractor, images[start : start + size], first + start)
        for start in range(0, len(images), size)
    ]
    return np.concatenate([rows for rows, _ in parts]), [bad for _, left_out in parts for bad in left_out]


def _batch_rows(
    extractor: FeatureExtractor, images: Sequence[Source | Unreadable], first: int
) -> tuple[NDArray[np.float32], list[Unreadable]]:
    """Compute a batch; a blank image takes the place of one that cannot be read.

    How the network's sums are rounded depends on the size of the batch and the place in it, but not on what
    the other images show. So the features are those that the batch would have given without the damage.
    """
    tried = [_readable(image, first + i, extractor.input_size) for i, image in enumerate(images)]
    blank = np.zeros((extractor.input_size, extractor.input_size, 3), dtype=np.uint8)
    sources = [blank if isinstance(image, Unreadable) else image for image in tried]
    if _partly_cached(extractor, sources):
        extractor = copy.copy(extractor).set_params(cache=None)
    readable = [not isinstance(image, Unreadable) for image in tried]
    return extractor.transform(sources)[readable], [bad for bad in tried if isinstance(bad, Unreadable)]


def _readable(image: Source | Unreadable, position: int, size: int) -> Source | Unreadable:
    if isinstance(image, Unreadable):
        return image
    reason = read_failure(image, size)
    return Unreadable(source_name(image, position), reason) if reason else image


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
