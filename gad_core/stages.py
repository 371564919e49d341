"""Where the time goes: seconds of each stage from image files to scores, measured while it runs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

STAGES = ("loading", "read and hash", "decode", "resize", "network", "pooling", "statistics")
"""Loading the network, then the stages in the order of the way. OpenVINO pools inside the network."""


class StageTimes:
    """Clocks of the stages, used by several threads at once.

    Attributes
    ----------
    busy : dict of str to float
        Wall-clock seconds in which at least one thread was in the stage. Stages overlap, so their sum can
        exceed the time that passed.
    work : dict of str to float
        Processor seconds that the stage took, over all threads, where they can be told.

    Examples
    --------
    >>> times = StageTimes()
    >>> with times.stage("decode"):
    ...     sum(range(1000))
    499500
    >>> list(times.busy)
    ['decode']
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.busy: dict[str, float] = {}
        self.work: dict[str, float] = {}
        self._clock = clock
        self._lock = threading.Lock()
        self._inside: dict[str, int] = {}
        self._since: dict[str, float] = {}

    def begin(self, name: str) -> None:
        """Note that one more thread, or asynchronous request, is in a stage."""
        with self._lock:
            inside = self._inside.get(name, 0)
            if not inside:
                self._since[name] = self._clock()
            self._inside[name] = inside + 1

    def end(self, name: str) -> None:
        """Note that one has left it."""
        with self._lock:
            self._inside[name] -= 1
            if not self._inside[name]:
                self.busy[name] = self.busy.get(name, 0.0) + self._clock() - self._since[name]

    def add_work(self, name: str, seconds: float) -> None:
        """Add processor seconds to a stage."""
        with self._lock:
            self.work[name] = self.work.get(name, 0.0) + seconds

    @contextlib.contextmanager
    def busy_with(self, name: str) -> Iterator[None]:
        """Time a block that threads of its own compute, whose processor seconds cannot be told."""
        self.begin(name)
        try:
            yield
        finally:
            self.end(name)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block that one thread computes by itself."""
        with self.busy_with(name):
            start = time.thread_time()
            try:
                yield
            finally:
                self.add_work(name, time.thread_time() - start)


def staged(
    times: StageTimes | None, name: str, *, threaded: bool = False
) -> contextlib.AbstractContextManager[None]:
    """Time a block if there are clocks: `StageTimes.stage`, or `StageTimes.busy_with` if it is threaded."""
    if times is None:
        return contextlib.nullcontext()
    return times.busy_with(name) if threaded else times.stage(name)
