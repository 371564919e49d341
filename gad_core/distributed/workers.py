"""Where the calls of a fit run: in this process, or on the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gad_core.distributed.asking import Answer, answering
from gad_core.distributed.versions import Versions, library_versions, refusal, require_same_versions
from gad_core.errors import InputError
from gad_core.threads import limited_threads

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 2
"""How often a call that raised is tried again; calls of workers that died are tried again anyway."""


class WorkersDiedError(InputError):
    """Workers died of the same call, one after another."""


class Workers(Protocol):
    """Something that runs calls; what `submit` gives can be an argument of later calls."""

    def submit(self, call: Callable[..., Any], *args: Any) -> Any:
        """Begin a call, and give what stands for its result."""

    def each_done(self, submitted: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Give position and result of each call as it ends."""

    def result(self, submitted: Any) -> Any:
        """Wait for a call, and bring its result to this process."""

    def answering(self, answer: Answer) -> AbstractContextManager[Answer]:
        """Give what calls can ask this process with, inside the block; it can be an argument of theirs."""


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

    def answering(self, answer: Answer) -> AbstractContextManager[Answer]:
        """Give `answer` itself."""
        return contextlib.nullcontext(answer)


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
        self.versions = library_versions()

    def submit(self, call: Callable[..., Any], *args: Any) -> Any:
        """Send a call to the scheduler; the result stays on the worker as long as the future is held."""
        key = f"{call.__name__}-{uuid.uuid4().hex}"
        return self.client.submit(
            on_same_versions, self.versions, call, *args, key=key, retries=RETRIES, pure=False, **self.options
        )

    def each_done(self, submitted: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Give position and result of each call as it ends."""
        from distributed import as_completed

        positions = {future: i for i, future in enumerate(submitted)}
        for future in as_completed(list(positions), loop=self.client.loop):
            yield positions.pop(future), self.result(future)

    def result(self, submitted: Any) -> Any:
        """Wait for a call.

        Raises
        ------
        InputError
            If workers die of it again and again, one has other versions, or the scheduler is gone.
        """
        from distributed import CancelledError, KilledWorker

        try:
            found = submitted.result()
        except CancelledError as error:
            raise InputError(
                "the connection to the Dask scheduler is lost: start it and run again"
            ) from error
        except KilledWorker as error:
            raise WorkersDiedError(
                f"workers died one after another at the same call ({error.task}), most likely for want of "
                "memory: start fewer workers on each machine, or give smaller batches (--batch-size)"
            ) from error
        except (ImportError, AttributeError):
            require_same_versions(self.client)  # a worker that came later may lack the call itself
            raise
        if isinstance(found, Refused):
            raise InputError(found.reason)
        return found

    def answering(self, answer: Answer) -> AbstractContextManager[Answer]:
        """Answer in a thread of this process; questions and answers go by the scheduler."""
        return answering(self.client, answer)


class Refused(NamedTuple):
    """Stands for the result of a call on a worker whose numbers may differ, and for all that follows."""

    reason: str


def on_same_versions(versions: Versions, call: Callable[..., Any], *args: Any) -> Any:
    """Make a call on a worker, unless it has other versions: it may have come when the work had begun.

    A refusal is no exception, because Dask would make the call again, and maybe again there.
    """
    from distributed import get_worker

    refused = next((argument for argument in args if isinstance(argument, Refused)), None)
    if refused is None and (reason := refusal(versions, get_worker())):
        refused = Refused(reason)
    return on_one_thread(call, *args) if refused is None else refused


def on_one_thread(call: Callable[..., Any], *args: Any) -> Any:
    """Make a call with one thread of the network and the linear algebra, so that its rounding is fixed."""
    with limited_threads(1):
        return call(*args)
