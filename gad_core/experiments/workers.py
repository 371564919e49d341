"""Calls shared among processes, each on one thread of the linear algebra.

The matrices of the experiments are small: threads inside a product gain little, processes side by side a lot.
One thread also makes a number the same whatever the number of processes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

AHEAD = 2
"""Calls prepared for each process, so that none waits and few arguments are in memory."""

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def each_done(
    call: Callable[[Argument], Result], arguments: Iterable[Argument], jobs: int
) -> Iterator[tuple[Argument, Result]]:
    """Call a function on many arguments in processes of their own, and give results as they come.

    Parameters
    ----------
    call : callable
        Of one argument; with more than one process it can be pickled, like its argument and result.
    arguments : iterable
        Taken only shortly before they are needed.
    jobs : int
        Number of processes; 1 stays in this one.

    Yields
    ------
    argument, result : object
        An argument, and what it gave.
    """
    if jobs == 1:
        for argument in arguments:
            yield argument, _on_one_thread(call, argument)
        return
    with processes(jobs) as pool:
        waiting: dict[Future[Result], Argument] = {}
        for argument in arguments:
            waiting[pool.submit(_on_one_thread, call, argument)] = argument
            if len(waiting) >= AHEAD * jobs:
                yield from _finished(waiting)
        while waiting:
            yield from _finished(waiting)


def _finished(waiting: dict[Future[Result], Argument]) -> Iterator[tuple[Argument, Result]]:
    """Wait for at least one call, and take out those that are done."""
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield waiting.pop(future), future.result()


def _on_one_thread(call: Callable[[Argument], Result], argument: Argument) -> Result:
    # Not once for each process: the limit holds for libraries that are loaded, and the call loads them.
    with threadpool_limits(1):
        return call(argument)


@contextmanager
def processes(jobs: int) -> Iterator[Executor]:
    """Open a pool whose processes end at once when the block is left or this process dies.

    Without that, an interrupted run would first finish the work in hand, and a killed one leave processes.
    """
    context = multiprocessing.get_context("spawn")
    ending, open_end = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(ending,))
    try:
        yield pool
    finally:
        open_end.close()
        pool.shutdown(cancel_futures=True)


def _begin(ending: Connection) -> None:
    """Prepare a process of the pool."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # the one that asked for the work is interrupted, and ends it
    threading.Thread(target=_end_with, args=(ending,), daemon=True).start()


def _end_with(ending: Connection) -> None:
    """End this process when the other end of the pipe is closed, by the other process or by its death."""
    ending.poll(None)
    os._exit(1)


def available_jobs() -> int:
    """Count the processors that this process may use, but no more than eight: each process takes memory."""
    usable: Any = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return min(len(usable(0)) if usable else os.cpu_count() or 1, 8)
