import gc
import weakref
from threading import Event

import numpy as np
import pytest

from gad_core.errors import InputError
from gad_core.extraction import computed_rows, meanwhile, waited
from gad_core.stages import StageTimes
from gad_core.threads import limited_threads, thread_count

SIZE = 4
BATCHES = [[0, 1], [2, 3], [4]]


def images(count=5):
    return [np.full((SIZE, SIZE, 3), 10 * i, dtype=np.uint8) for i in range(count)]


class Recorder:
    """A network whose feature is the first pixel; it notes what happens when."""

    def __init__(self):
        self.events = []

    def __call__(self, batch):
        values = batch[:, 0, 0, :1].astype(np.float32)
        self.events.append(("start", *values[:, 0]))

        def wait():
            self.events.append(("wait", *values[:, 0]))
            return values

        return wait


def test_rows_come_in_order_with_their_digests():
    rows = list(computed_rows(images(), BATCHES, SIZE, Recorder, with_digests=True))
    assert [i for i, _, _ in rows] == [0, 1, 2, 3, 4]
    assert [float(row[0]) for _, row, _ in rows] == [0, 10, 20, 30, 40]
    assert len({digest for _, _, digest in rows}) == 5
    assert not any(d for _, _, d in computed_rows(images(), BATCHES, SIZE, Recorder, with_digests=False))


def test_the_next_batch_is_started_before_one_is_waited_for():
    recorder = Recorder()
    list(computed_rows(images(), BATCHES, SIZE, lambda: recorder, with_digests=False))
    assert [event[:2] for event in recorder.events] == [
        ("start", 0), ("start", 20), ("wait", 0), ("start", 40), ("wait", 20), ("wait", 40),
    ]  # fmt: skip


def test_batches_before_an_unreadable_image_are_handed_over():
    sources = [*images(4), np.zeros(3)]
    rows = computed_rows(sources, BATCHES, SIZE, Recorder, with_digests=False)
    assert [next(rows)[0] for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(InputError, match="image array 4"):
        next(rows)


def test_features_that_are_not_finite_name_the_image():
    def start(batch):
        features = batch[:, 0, 0, :1].astype(np.float32)
        features[features == 30] = np.nan
        return lambda: features

    rows = computed_rows(images(), BATCHES, SIZE, lambda: start, with_digests=False)
    assert [next(rows)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InputError, match="image array 3 gives features that are not finite"):
        next(rows)


def test_the_first_item_is_taken_while_the_work_is_done():
    taken = Event()

    def items():
        taken.set()
        yield from "abc"

    result, every = meanwhile(lambda: taken.wait(60), items())
    assert result is True
    assert list(every) == ["a", "b", "c"]
    assert list(meanwhile(lambda: None, iter_of(()))[1]) == []


def iter_of(items):
    yield from items


def test_an_error_of_the_first_item_waits_for_its_turn():
    def items():
        raise InputError("unreadable")
        yield

    result, every = meanwhile(lambda: "loaded", items())
    assert result == "loaded"
    with pytest.raises(InputError, match="unreadable"):
        next(every)


def test_work_that_fails_closes_the_generator():
    closed = Event()

    def items():
        try:
            yield from "abc"
        finally:
            closed.set()

    def work():
        raise InputError("no such weights")

    generator = items()  # held, so that it is not closed for want of a reference
    with pytest.raises(InputError, match="no such weights"):
        meanwhile(work, generator)
    assert closed.is_set()


def test_the_first_item_is_taken_under_the_same_limit_of_threads():
    def items():
        yield thread_count()

    with limited_threads(1):
        _, every = meanwhile(lambda: None, items())
    assert list(every) == [1]


def test_the_first_item_is_not_kept():
    class Item:
        pass

    _, every = meanwhile(lambda: None, iter_of(Item() for _ in range(3)))
    first = weakref.ref(next(every))
    next(every)
    gc.collect()
    assert first() is None


def test_waiting_is_one_behind_starting():
    events = []

    def started():
        for i in range(3):
            events.append(f"start {i}")
            yield lambda i=i: events.append(f"wait {i}") or i

    assert list(waited(started())) == [0, 1, 2]
    assert events == ["start 0", "start 1", "wait 0", "start 2", "wait 1", "wait 2"]
    assert list(waited([])) == []


def test_the_stages_are_timed():
    times = StageTimes()
    list(computed_rows(images(), BATCHES, SIZE, Recorder, with_digests=True, times=times))
    assert set(times.work) == {"read and hash", "decode", "resize"}
