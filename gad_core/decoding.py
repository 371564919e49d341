"""Decode and resize batches of images in threads, one batch ahead of whoever computes on them."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from gad_core.cache import FeatureCache, entry_key, image_digest
from gad_core.errors import InputError
from gad_core.images import Source, decode_image, read_bytes, read_image
from gad_core.resize import resize_bilinear
from gad_core.stages import StageTimes, staged
from gad_core.threads import thread_count

Batch = tuple[Sequence[int], NDArray[np.uint8], list[str]]
"""Positions of b images among the sources, the (b, s, s, 3) images, and the digests of their content."""


def as_sources(X: object) -> list[Source]:
    """List the images that a caller gave in any of the accepted forms.

    Parameters
    ----------
    X : path-like, array, or iterable of them
        A path or an array (H, W) or (H, W, 3 or 4) of numbers is one image; an array of paths, or one with
        four axes, is a sequence.

    Returns
    -------
    list of path-like or array
        At least one image.

    Raises
    ------
    InputError
        If there is none.
    """
    if isinstance(X, str | os.PathLike):
        return [X]
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OUS" and X.ndim < 4:
        return [X]
    if not isinstance(X, Iterable):
        raise InputError(f"images must be paths or arrays, not {type(X).__name__}")
    sources = list(X)
    if not sources:
        raise InputError("there is no image to compute features of; check the paths")
    return sources


def source_name(source: Source, position: int) -> str:
    """Name an image for messages: its path, or its position among those given."""
    return f"image array {position}" if isinstance(source, np.ndarray) else os.fspath(source)


def cached_rows(
    cache: FeatureCache, sources: Sequence[Source], recipe: Mapping[str, object], width: int
) -> Iterator[NDArray[np.float32] | None]:
    """Look the features of images up; hashing and reading run in threads.

    Parameters
    ----------
    cache : FeatureCache
        Where to look.
    sources : sequence of path-like or array
        The images.
    recipe : mapping
        As in `gad_core.cache.entry_key`.
    width : int
        Number of features in an entry.

    Yields
    ------
    (width,) float32 array or None
        For each image its features, or None if they are not in the cache.
    """

    def look_up(position: int) -> NDArray[np.float32] | None:
        source = sources[position]
        content = source if isinstance(source, np.ndarray) else read_bytes(_path(source, position))
        return cache.get(entry_key(image_digest(content), recipe), width)

    with ThreadPoolExecutor(thread_count(), thread_name_prefix="hash") as pool:
        try:
            yield from pool.map(look_up, range(len(sources)))
        finally:
            pool.shutdown(cancel_futures=True)


def _path(source: object, position: int) -> str | os.PathLike[str]:
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"image {position} must be a path or an array, not {type(source).__name__}")
    return source


def decoded_batches(
    sources: Sequence[Source],
    batches: Iterable[Sequence[int]],
    size: int,
    *,
    with_digests: bool,
    times: StageTimes | None = None,
) -> Generator[Batch]:
    """Decode and resize images, keeping one batch ahead.

    While the caller works on a batch, threads decode the next; only these exist, and a third while the caller
    waits, however many images there are.

    Parameters
    ----------
    sources : sequence of path-like or array
        All images.
    batches : iterable of sequences of int
        Positions of the images of each batch.
    size : int
        Side of the resized images in pixels.
    with_digests : bool
        Whether to hash the content; it is that of the very bytes that were decoded.
    times : StageTimes or None
        Clocks of the stages.

    Yields
    ------
    (sequence of int, (b, size, size, 3) uint8 array, list of str)
        Positions, images and digests of a batch; digests are empty text if they were not asked for.

    Raises
    ------
    InputError
        For the first image of a batch that cannot be read; it names the image.
    """
    with ThreadPoolExecutor(thread_count(), thread_name_prefix="decode") as pool:

        def submit(where: Sequence[int]) -> tuple[Sequence[int], NDArray[np.uint8], list[Future[str]]]:
            images = np.empty((len(where), size, size, 3), dtype=np.uint8)
            futures = [
                pool.submit(_decode_into, image, sources[i], i, with_digests, times)
                for image, i in zip(images, where, strict=True)
            ]
            return where, images, futures

        waiting = map(submit, batches)
        try:
            ahead = next(waiting, None)
            while ahead is not None:
                where, images, futures = ahead
                ahead = next(waiting, None)  # before the wait: no thread is idle for the last of a batch
                yield where, images, [future.result() for future in futures]
        finally:
            # On an error or interrupt, what is still queued would only delay the message.
            pool.shutdown(wait=True, cancel_futures=True)


def _decode_into(
    target: NDArray[np.uint8], source: Source, position: int, with_digest: bool, times: StageTimes | None
) -> str:
    content: bytes | NDArray
    with staged(times, "read and hash"):
        content = source if isinstance(source, np.ndarray) else read_bytes(_path(source, position))
        digest = image_digest(content) if with_digest else ""
    with staged(times, "decode"):
        image = _decoded(content, source_name(source, position))
    with staged(times, "resize"):
        target[...] = resize_bilinear(image, target.shape[0])
    return digest


def _decoded(content: bytes | NDArray, name: str) -> NDArray[np.uint8]:
    if isinstance(content, bytes):
        return decode_image(content, name)
    try:
        return read_image(content)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
