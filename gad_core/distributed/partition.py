"""How images are cut into blocks and tasks, and the order in which the parts are put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from gad_core.errors import InputError

BLOCK = 64
"""Images in a block: the unit whose numbers are computed at one go, and so never depend on the partition."""

MOST_TASKS = 256
"""Largest number of tasks that the images are cut into; so a scheduler's memory does not grow with them."""

T = TypeVar("T")


def pairwise_total(parts: Iterable[T | None], add: Callable[[T, T], T | None]) -> T | None:
    """Add parts up along a fixed binary tree: neighbours first, then neighbouring pairs, and so on.

    A run of 2^k parts that starts at a multiple of 2^k is a subtree. So the totals of such runs, added up the
    same way, give the same result to the last bit, wherever the parts are cut into runs of that length.

    Parameters
    ----------
    parts : iterable
        They are taken one by one, and no more than log2(n) sums are held. None counts as nothing.
    add : callable
        Adds two parts; it need not be associative, which in floating point it is not.

    Returns
    -------
    object or None
        The total; None if there is no part but None.

    Examples
    --------
    >>> pairwise_total("abcdefg", lambda left, right: f"({left}{right})")
    '(((ab)(cd))((ef)g))'
    """

    def added(left: T | None, right: T | None) -> T | None:
        if left is None or right is None:
            return right if left is None else left
        return add(left, right)

    sums: list[tuple[int, T | None]] = []  # of 2^k parts each, k descending, like the bits of their number
    for part in parts:
        size, total = 1, part
        while sums and sums[-1][0] == size:
            total, size = added(sums.pop()[1], total), 2 * size
        sums.append((size, total))
    total = None
    while sums:
        total = added(sums.pop()[1], total)
    return total


def blocks_in_task(n_images: int) -> int:
    """Choose how many blocks a task has: the smallest power of two that keeps to `MOST_TASKS` tasks.

    Examples
    --------
    >>> blocks_in_task(1000), blocks_in_task(100_000)
    (1, 8)
    """
    blocks = -(-n_images // BLOCK)
    return 1 << max(0, -(-blocks // MOST_TASKS) - 1).bit_length()


def image_runs(n_images: int, blocks_per_task: int | None = None) -> list[range]:
    """Cut images into runs, one for each task.

    Parameters
    ----------
    n_images : int
        How many there are.
    blocks_per_task : int, optional
        Blocks in a task, a power of two; by default `blocks_in_task`.

    Returns
    -------
    list of range
        Positions of the images of each task.

    Raises
    ------
    InputError
        If `blocks_per_task` is no power of two.
    """
    blocks = blocks_in_task(n_images) if blocks_per_task is None else blocks_per_task
    if not isinstance(blocks, int) or blocks < 1 or blocks & (blocks - 1):
        raise InputError(f"blocks_per_task must be a power of two, such as 1 or 8, not {blocks!r}")
    step = BLOCK * blocks
    return [range(start, min(start + step, n_images)) for start in range(0, n_images, step)]
