"""Whether a worker computes the same numbers: the same libraries, and one thread."""

from __future__ import annotations

import functools
import importlib.metadata
from typing import TYPE_CHECKING

from gad_core import __version__
from gad_core.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, Worker

Versions = dict[str, str]
"""Name of a library to its version."""

_LIBRARIES = ("numpy", "scipy", "torch", "torchvision", "openvino", "pillow")


def library_versions() -> Versions:
    """List the versions of what decides the numbers in this process."""
    return {"gad-core": __version__, **{name: _version(name) for name in _LIBRARIES}}


@functools.cache  # each task is checked, and metadata are files
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def refusal(expected: Versions, dask_worker: Worker) -> str:
    """Say why a worker's numbers may differ; empty text if they do not. It runs there.

    Parameters
    ----------
    expected : dict of str to str
        `library_versions` of the process that asks.
    dask_worker : distributed.Worker
        The worker; ``client.run`` gives it under this name.

    Returns
    -------
    str
        One line that names the worker.
    """
    name, threads = dask_worker.address, dask_worker.state.nthreads
    if threads > 1:
        return (
            f"worker {name} has {threads} threads, and limits of threads hold for whole "
            "processes: start dask worker ADDRESS --nthreads 1, and several of them with --nworkers"
        )
    here = library_versions()
    other = [
        f"{library} {here.get(library)}, this process {version}"
        for library, version in expected.items()
        if here.get(library) != version
    ]
    if other:
        return f"worker {name} has {', and '.join(other)}, and numbers may differ: install the same versions"
    return ""


def require_same_versions(client: Client) -> None:
    """Raise InputError if a worker is not like this process, or the scheduler cannot pass our calls on."""
    try:
        client.run_on_scheduler(library_versions)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"the scheduler lacks a module ({error}): install gad-core {__version__} there, too"
        ) from error
    try:
        reasons = client.run(refusal, library_versions())
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"a worker lacks a module ({error}): install gad-core {__version__} there"
        ) from error
    for reason in reasons.values():
        if reason:
            raise InputError(reason)
