"""Questions that calls on workers put to the process that asked for the work.

A Dask scheduler keeps each call, with its arguments, as long as the result may be lost and be computed again.
What belongs to single images is therefore no argument: the call asks for it, bit by bit, and the scheduler
passes it on without keeping it.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gad_core.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, Queue

Question = tuple[Any, ...]
"""What the process that asks for the work is asked: numbers and texts."""

Answer = Callable[[Question], Any]
"""Gives the answer to a question."""

ANSWER_SECONDS = 60
"""How long a worker waits for an answer before it gives its call up; the other side may have gone."""


@dataclass(frozen=True)
class Ask:
    """Put questions from a task on a worker; it can be an argument of the task."""

    name: str
    """Name of the queue of questions."""

    def __call__(self, question: Question) -> Any:
        """Wait for the answer; InputError if none comes."""
        from distributed import get_client

        client = get_client()
        box = f"{self.name}-{uuid.uuid4().hex}"
        with _queue(client, box) as answers, _queue(client, self.name) as questions:
            questions.put([box, question])
            try:
                return answers.get(timeout=ANSWER_SECONDS)
            except TimeoutError as error:
                raise InputError(
                    f"the process that began the fit did not answer a worker for {ANSWER_SECONDS} s: was it "
                    "stopped, or is its machine overloaded? run again"
                ) from error


@contextlib.contextmanager
def answering(client: Client, answer: Answer) -> Iterator[Answer]:
    """Answer the questions of tasks inside the block, in a thread of this process."""
    with _queue(client, f"questions-{uuid.uuid4().hex}") as questions:
        thread = threading.Thread(target=_answer_each, args=(client, questions, answer), daemon=True)
        thread.start()
        try:
            yield Ask(questions.name)
        finally:
            # No scheduler any more, or a new one in its place: then the thread ends by itself.
            with contextlib.suppress(OSError, KeyError, AttributeError):
                questions.put(None)
            thread.join(ANSWER_SECONDS)


def _answer_each(client: Client, questions: Queue, answer: Answer) -> None:
    from distributed.protocol import to_serialize

    with contextlib.suppress(OSError):  # the connection is lost, as whoever waits for the work will say
        while (asked := questions.get()) is not None:
            box, question = asked
            with _queue(client, box) as answers:
                answers.put(to_serialize(answer(tuple(question))))


@contextlib.contextmanager
def _queue(client: Client, name: str) -> Iterator[Queue]:
    from distributed import Queue

    queue = Queue(name, client)
    try:
        yield queue
    finally:
        queue.close()
