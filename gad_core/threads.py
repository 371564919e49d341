"""How many threads may be used: what the machine allows, or a limit that is set around a call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import joblib
from threadpoolctl import threadpool_limits

_limit: ContextVar[int | None] = ContextVar("threads", default=None)


def thread_count() -> int:
    """Count the threads to use: what affinity and container limits allow, or `limited_threads`."""
    return _limit.get() or joblib.cpu_count()


@contextlib.contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Limit decoding, the network and the linear algebra to a number of threads, inside the block only.

    A sum that is shared among threads is rounded in another order for each number of them. With one thread a
    number is the same on every machine of one kind, however many processors it has.

    Examples
    --------
    >>> with limited_threads(1):
    ...     thread_count()
    1
    """
    token = _limit.set(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        _limit.reset(token)
