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

from gad_core.cache import FeatureCache
from gad_core.decoding import Batch, LookedUp, LookUp, decoded_batches, found_rows, source_name
from gad_core.errors import InputError
from gad_core.images import Source
from gad_core.stages import StageTimes

T = TypeVar("T")
U = TypeVar("U")

StartFeatures = Callable[[NDArray[np.uint8]], Callable[[], NDArray[np.float32]]]
"""Starts to compute the features of (b, s, s, 3) images; what it returns waits for them."""

Row = tuple[int, NDArray[np.float32], str]
"""Position of an image among the sources, its features, and the name to keep them under if they are not."""


def computed_rows(
    sources: Sequence[Source],
    batches: Iterable[Sequence[int]],
    size: int,
    load: Callable[[], StartFeatures],
    *,
    look_up: LookUp | None = None,
    times: StageTimes | None = None,
) -> Iterator[Row]:
    """Decode images and compute their features, but for those that are kept.

    While the network is loaded, the first batches are decoded; while it computes on one batch, the next is
    decoded and started, and the one before it is handed over: neither waits for the other.

    Parameters
    ----------
    sources, batches, size, look_up, times
        As in `gad_core.decoding.decoded_batches`.
    load : callable
        Loads the network, and gives what starts it on a batch. It is called at once if the first image needs
        it, else when one does; so without need torch is not even imported.

    Yields
    ------
    (int, (p,) float32 array, str)
        Position and features of each image, and the name that `look_up` gave, empty if they were found.

    Raises
    ------
    InputError
        For the first image that cannot be read, or whose features are not finite; it names the image. The
        images of the batches before it are handed over first.
    """
    decoded = decoded_batches(sources, batches, size, look_up=look_up, times=times)
    at_once = look_up is None or next(found_rows(sources[:1], look_up)) is None
    for rows in waited(_started(sources, decoded, load, at_once=at_once)):
        yield from rows


def _started(
    sources: Sequence[Source],
    decoded: Generator[Batch],
    load: Callable[[], StartFeatures],
    *,
    at_once: bool,
) -> Iterator[Callable[[], Iterator[Row]]]:
    """Start the network on those of each batch that need it; load it at once, or when the first one does."""
    start: StartFeatures | None = None
    rest: Iterator[Batch] = decoded
    if at_once:
        start, rest = meanwhile(load, decoded)
    while (batch := next(rest, None)) is not None:
        where, images, looked_up = batch
        missing = [i for i, (_, features) in enumerate(looked_up) if features is None]
        if missing and start is None:
            start, rest = meanwhile(load, decoded)
        wait = start(images if len(missing) == len(where) else images[missing]) if missing and start else None
        yield partial(_finished, sources, where, looked_up, wait)


def kept_rows(
    cache: FeatureCache, recipe: Mapping[str, object], width: int, computed: Callable[[LookUp], Iterable[Row]]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Give the features of images from a cache where they are, and put the others there.

    Parameters
    ----------
    cache : FeatureCache
        Where they are kept.
    recipe, width
        As in `gad_core.cache.FeatureCache.look_up`.
    computed : callable
        Given the function that looks an image up, computes what it does not find, as `computed_rows`.

    Yields
    ------
    (int, (width,) float32 array)
        Position and features of each image.

    Raises
    ------
    InputError
        If the cache cannot be written, and as `computed` does.
    """
    for i, features, name in computed(lambda image: cache.look_up(image, recipe, width)):
        if name:
            cache.put(name, features)
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
    looked_up: Sequence[LookedUp],
    wait: Callable[[], NDArray[np.float32]] | None,
) -> Iterator[Row]:
    computed = iter(() if wait is None else wait())
    for i, (name, found) in zip(where, looked_up, strict=True):
        if found is not None:
            yield i, found, ""
            continue
        row = next(computed)
        if not np.isfinite(row).all():
            raise InputError(
                f"{source_name(sources[i], i)} gives features that are not finite; check the weights"
            )
        yield i, row, name
