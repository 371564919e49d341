"""Dask clusters: connecting to one, or starting one on this machine."""

from __future__ import annotations

import contextlib
import logging
import re
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gad_core.distributed.versions import require_same_versions
from gad_core.distributed.workers import OnCluster
from gad_core.errors import InputError
from gad_core.experiments.workers import available_jobs

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 20
"""How long a scheduler and its first worker are waited for."""

_ADDRESS = re.compile(r"((tcp|tls|ws|wss)://)?(\[[0-9A-Fa-f:.%]+\]|[\w.-]+):(?P<port>\d{1,5})|inproc://\S+")


@contextlib.contextmanager
def connected(scheduler: str) -> Iterator[OnCluster]:
    """Connect to workers inside the block.

    Parameters
    ----------
    scheduler : str
        ``local`` or ``local:N`` starts N worker processes on this machine (by default one for each processor)
        and ends them with the block; else the address of a scheduler, such as ``tcp://host:8786``.

    Yields
    ------
    OnCluster
        To give to `fit_images`.

    Raises
    ------
    InputError
        If `scheduler` is neither, Dask is not installed, nothing answers, there is no worker, or one has
        several threads or other versions of the libraries that decide the numbers.
    """
    kind, _, count = scheduler.partition(":")
    local = kind == "local"
    if not (_counts_workers(scheduler) if local else _is_address(scheduler)):
        raise InputError(
            f'"{scheduler}" is no scheduler: write local, local:2 for two workers, or an address such as '
            "tcp://HOST:8786"
        )
    try:
        import distributed  # noqa: F401 - only to see whether it is there
    except ImportError as error:
        raise InputError(
            'Dask is not installed, which shares work among workers: pip install "gad-core[dask]"'
        ) from error
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(_own_cluster(int(count or available_jobs()))) if local else scheduler
        client = stack.enter_context(_client(address))
        if local:
            client.register_worker_callbacks(_ignore_interrupts)
        require_same_versions(client)
        yield OnCluster(client)


def _counts_workers(scheduler: str) -> bool:
    """Tell whether a text is ``local``, or ``local:N`` with a number of workers."""
    _, colon, count = scheduler.partition(":")
    return not colon or (count.isdecimal() and int(count) > 0)


def _is_address(scheduler: str) -> bool:
    """Tell whether a text is an address; Dask refuses others late, and leaves a traceback."""
    found = _ADDRESS.fullmatch(scheduler)
    return found is not None and 0 < int(found["port"] or 1) < 2**16


@contextlib.contextmanager
def _own_cluster(n_workers: int) -> Iterator[Any]:
    import dask
    from distributed import LocalCluster

    # A worker that dies is started anew; one that is not back in time, Dask would give up for good.
    patience = dask.config.set({"distributed.deploy.lost-worker-timeout": "10 minutes"})
    with (
        patience,
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # any free port; a fixed one may be taken, of which Dask warns
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        yield cluster


@contextlib.contextmanager
def _client(address: Any) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # no answer; no address
        raise InputError(
            f"no Dask scheduler answers at {address}: start one with dask scheduler, and workers with dask "
            "worker ADDRESS --nthreads 1; or use --scheduler local"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            raise InputError(
                f"the Dask scheduler {address} has no worker: start one with dask worker ADDRESS --nthreads 1"
            ) from error
        yield client


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which reaches all processes of a terminal, to the one that asked for the work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
