"""Where the calls of a fit run: in this process, or on the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import signal
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from gad_core import __version__
from gad_core.errors import InputError
from gad_core.experiments.workers import available_jobs
from gad_core.threads import limited_threads

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 2
"""How often a call that raised is tried again; calls of workers that died are tried again anyway."""

CONNECT_SECONDS = 20
"""How long a scheduler and its first worker are waited for."""

_LIBRARIES = ("numpy", "scipy", "torch", "torchvision", "openvino", "pillow")


class Workers(Protocol):
    """Something that runs calls; what `submit` gives can be an argument of later calls."""

    def submit(self, call: Callable[..., Any], *args: Any) -> Any:
        """Begin a call, and give what stands for its result."""

    def each_done(self, submitted: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Give position and result of each call as it ends."""

    def result(self, submitted: Any) -> Any:
        """Wait for a call, and bring its result to this process."""


class Here:
    """Run calls in this process, one after another."""

    def submit(self, call: Callable[..., Any], *args: Any) -> Any:
        """Make a call."""
        return on_one_thread(call, *args)

    def each_done(self, submitted: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Give the results in order, each as soon as it is there."""
        return enumerate(submitted)

    def result(self, submitted: Any) -> Any:
        """Give the result itself."""
        return submitted


class OnCluster:
    """Run calls on the workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
        Connected to the scheduler.
    **options
        Of ``client.submit``, such as ``workers``.
    """

    def __init__(self, client: Client, **options: Any) -> None:
        self.client = client
        self.options = options

    def submit(self, call: Callable[..., Any], *args: Any) -> Any:
        """Send a call to the scheduler; the result stays on the worker as long as the future is held."""
        key = f"{call.__name__}-{uuid.uuid4().hex}"
        return self.client.submit(
            on_one_thread, call, *args, key=key, retries=RETRIES, pure=False, **self.options
        )

    def each_done(self, submitted: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Give position and result of each call as it ends."""
        from distributed import as_completed

        positions = {future: i for i, future in enumerate(submitted)}
        for future in as_completed(list(positions), loop=self.client.loop):
            yield positions.pop(future), self.result(future)

    def result(self, submitted: Any) -> Any:
        """Wait for a call; InputError if workers die of it again and again, or the scheduler is gone."""
        from distributed import CancelledError, KilledWorker

        try:
            return submitted.result()
        except CancelledError as error:
            raise InputError(
                "the connection to the Dask scheduler is lost: start it and run again"
            ) from error
        except KilledWorker as error:
            raise InputError(
                f"workers died one after another at the same call ({error.task}), most likely for want of "
                "memory: start fewer workers on each machine, or give smaller batches (--batch-size)"
            ) from error


def on_one_thread(call: Callable[..., Any], *args: Any) -> Any:
    """Make a call with one thread of the network and the linear algebra, so that its rounding is fixed."""
    with limited_threads(1):
        return call(*args)


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
        If Dask is not installed, nothing answers, there is no worker, or one has several threads or other
        versions of the libraries that decide the numbers.
    """
    kind, _, count = scheduler.partition(":")
    local = kind == "local"
    if local and count and not (count.isdecimal() and int(count)):
        raise InputError(
            f'"{scheduler}" is no scheduler: write local, local:2 for two workers, or an address'
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
        _require_same_versions(client)
        yield OnCluster(client)


@contextlib.contextmanager
def _own_cluster(n_workers: int) -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",  # any free port; a fixed one may be taken, of which Dask warns
        silence_logs=logging.CRITICAL,
    ) as cluster:
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


def _versions() -> dict[str, str]:
    return {"gad-core": __version__, **{name: _version(name) for name in _LIBRARIES}}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _require_same_versions(client: Client) -> None:
    threads = {name: worker["nthreads"] for name, worker in client.scheduler_info()["workers"].items()}
    if max(threads.values()) > 1:
        name = max(threads, key=threads.__getitem__)
        raise InputError(
            f"worker {name} has {threads[name]} threads, and limits of threads hold for whole processes: "
            "start dask worker ADDRESS --nthreads 1, and several of them with --nworkers"
        )
    here = _versions()
    try:
        there = client.run(_versions)
    except ImportError as error:
        raise InputError(
            f"a worker lacks a module ({error}): install gad-core {__version__} there"
        ) from error
    for worker, versions in there.items():
        for name, version in versions.items():
            if version != here[name]:
                raise InputError(
                    f"worker {worker} has {name} {version}, this process {here[name]}, and numbers may "
                    "differ: install the same version"
                )
