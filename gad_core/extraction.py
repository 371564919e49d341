"""Features of many images: decoding, the network and the caller's work overlap, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gad_core.cache import FeatureCache, entry_key
from gad_core.decoding import cached_rows, decoded_batches, source_name
from gad_core.errors import InputError
from gad_core.images import Source
from gad_core.stages import StageTimes

T = TypeVar("T")
U = TypeVar("U")

StartFeatures = Callable[[NDArray[np.uint8]], Callable[[], NDArray[np.float32]]]
"""Starts to compute the features of (b, s, s, 3) images; what it returns waits for them."""

Row = tuple[int, NDArray[np.float32], str]
"""Position of an image among the sources, its features, and the digest of its content."""


def computed_rows(
    sources: Sequence[Source],
    batches: Iterable[Sequence[int]],
    size: int,
    load: Callable[[], StartFeatures],
    *,
    with_digests: bool,
    times: StageTimes | None = None,
) -> Iterator[Row]:
    """Decode images and compute their features.

    While the network is loaded, the first batches are decoded; while it computes on one batch, the next is
    decoded and started, and the one before it is handed over: neither waits for the other.

    Parameters
    ----------
    sources, batches, size, with_digests, times
        As in `gad_core.decoding.decoded_batches`.
    load : callable
        Loads the network, and gives what starts it on a batch.

    Yields
    ------
    (int, (p,) float32 array, str)
        Position, features and digest of each image; digests are empty text if they were not asked for.

    Raises
    ------
    InputError
        For the first image that cannot be read, or whose features are not finite; it names the image. The
        images of the batches before it are handed over first.
    """
    decoded = decoded_batches(sources, batches, size, with_digests=with_digests, times=times)
    start, ready = meanwhile(load, decoded)
    started = (partial(_finished, sources, where, digests, start(images)) for where, images, digests in ready)
    for rows in waited(started):
        yield from rows


def cached_or_computed_rows(
    cache: FeatureCache,
    sources: Sequence[Source],
    recipe: Mapping[str, object],
    width: int,
    computed: Callable[[Sequence[int]], Iterable[Row]],
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Give the features of images: first those in the cache, then the others, which are put there.

    Parameters
    ----------
    cache, sources, recipe, width
        As in `gad_core.decoding.cached_rows`.
    computed : callable
        Computes the images at the given positions. It is not called if there are none; so without need torch
        is not even imported.

    Yields
    ------
    (int, (width,) float32 array)
        Position and features of each image.

    Raises
    ------
    InputError
        If the cache is needed and cannot be written, before anything is computed; and as `computed` does.
    """
    missing = []
    for i, cached in enumerate(cached_rows(cache, sources, recipe, width)):
        if cached is None:
            missing.append(i)
        else:
            yield i, cached
    if missing:
        cache.require_writable()
        for i, features, digest in computed(missing):
            cache.put(entry_key(digest, recipe), features)
            yield i, features


def meanwhile(work: Callable[[], T], items: Generator[U]) -> tuple[T, Iterator[U]]:
    """Do some work while a thread already takes the first item of a generator.

    Parameters
    ----------
    work : callable
        What to do; if it raises, the generator is closed.
    items : generator
        Gives the items. What taking the first one raises is raised by the iterator that is returned.

    Returns
    -------
    result : object
        What `work` returned.
    items : iterator
        All items.
    """
    context = copy_context()  # the limit of threads is in it
    with ThreadPoolExecutor(1, thread_name_prefix="first") as pool:
        first = pool.submit(context.run, lambda: list(islice(items, 1)))
        try:
            result = work()
        except BaseException:
            pool.shutdown()  # a generator that runs cannot be closed
            items.close()
            raise
    return result, _chained(first, items)


def _chained(first: Future[list[U]], items: Iterator[U]) -> Iterator[U]:
    yield from first.result()
    del first  # it would keep its item, which may be large
    yield from items


def waited(started: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Wait for what was started, one behind: the next is started before one is waited for.

    Parameters
    ----------
    started : iterable of callable
        Taking one starts it; calling it waits.

    Yields
    ------
    object
        What each call returns, in order.

    Raises
    ------
    InputError
        That starting one raised, after what was started before has been waited for.
    """
    iterator, running = iter(started), None
    failure: InputError | None = None
    while failure is None:
        try:
            following = next(iterator, None)
        except InputError as error:
            following, failure = None, error
        if running is not None:
            yield running()
        if following is None:
            break
        running = following
    if failure is not None:
        raise failure


def _finished(
    sources: Sequence[Source],
    where: Sequence[int],
    digests: Sequence[str],
    wait: Callable[[], NDArray[np.float32]],
) -> Iterator[Row]:
    for i, row, digest in zip(where, wait(), digests, strict=True):
        if not np.isfinite(row).all():
            name = source_name(sources[i], i)
            raise InputError(f"{name} gives features that are not finite; check the weights")
        yield i, row, digest
