import gc
import threading
import time
import weakref
from collections import Counter
from threading import Event

import numpy as np
import pytest
from PIL import Image

from gad_core import decoding
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


def look_up_of(found):
    """Look up by the first pixel."""

    def look_up(image):
        value = int(image[0, 0, 0])
        return f"entry {value}", np.array([found[value]], np.float32) if value in found else None

    return look_up


def test_rows_come_in_order_with_the_names_to_keep_them_under():
    rows = list(computed_rows(images(), BATCHES, SIZE, Recorder, look_up=look_up_of({})))
    assert [i for i, _, _ in rows] == [0, 1, 2, 3, 4]
    assert [float(row[0]) for _, row, _ in rows] == [0, 10, 20, 30, 40]
    assert [name for _, _, name in rows] == ["entry 0", "entry 10", "entry 20", "entry 30", "entry 40"]
    assert not any(name for _, _, name in computed_rows(images(), BATCHES, SIZE, Recorder))


def test_what_is_found_is_not_computed_and_keeps_its_place():
    recorder = Recorder()
    look_up = look_up_of({0: -1, 20: -2, 30: -3})
    rows = list(computed_rows(images(), BATCHES, SIZE, lambda: recorder, look_up=look_up))
    assert [(i, float(row[0]), name) for i, row, name in rows] == [
        (0, -1, ""), (1, 10, "entry 10"), (2, -2, ""), (3, -3, ""), (4, 40, "entry 40"),
    ]  # fmt: skip
    assert [event for event in recorder.events if event[0] == "start"] == [("start", 10), ("start", 40)]


def test_the_network_is_loaded_once_and_only_if_needed():
    loaded = []

    def load():
        loaded.append(1)
        return Recorder()

    found = dict.fromkeys(range(0, 50, 10), 0)
    assert len(list(computed_rows(images(), BATCHES, SIZE, load, look_up=look_up_of(found)))) == 5
    assert not loaded
    del found[20], found[40]
    assert len(list(computed_rows(images(), BATCHES, SIZE, load, look_up=look_up_of(found)))) == 5
    assert loaded == [1]


def test_the_network_is_loaded_while_the_first_images_are_decoded_if_the_first_needs_it():
    loaded = []

    def load():
        loaded.append(1)
        return Recorder()

    def look_up(image):
        if image[0, 0, 0]:  # not the first image, whose look-up decides
            assert within(60, lambda: loaded)
        return "entry", None

    assert len(list(computed_rows(images(), BATCHES, SIZE, load, look_up=look_up))) == 5


def within(seconds, condition):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    return condition()


def test_no_file_but_the_first_is_read_twice(tmp_path, monkeypatch):
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, image in zip(paths, images(), strict=True):
        Image.fromarray(image).save(path)
    read = Counter()
    monkeypatch.setattr(decoding, "read_bytes", lambda path: (read.update([path.name]), path.read_bytes())[1])
    list(computed_rows(paths, BATCHES, SIZE, Recorder, look_up=lambda _: ("entry", None)))
    assert read == {"0.png": 2, "1.png": 1, "2.png": 1, "3.png": 1, "4.png": 1}


def test_a_network_that_cannot_be_loaded_ends_the_threads():
    def load():
        raise InputError("no such weights")

    rows = computed_rows(images(), BATCHES, SIZE, load, look_up=look_up_of({0: 0, 10: 0}))
    assert [next(rows)[0], next(rows)[0]] == [0, 1]
    with pytest.raises(InputError, match="no such weights"):
        next(rows)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_the_next_batch_is_started_before_one_is_waited_for():
    recorder = Recorder()
    list(computed_rows(images(), BATCHES, SIZE, lambda: recorder))
    assert [event[:2] for event in recorder.events] == [
        ("start", 0), ("start", 20), ("wait", 0), ("start", 40), ("wait", 20), ("wait", 40),
    ]  # fmt: skip


def test_batches_before_an_unreadable_image_are_handed_over():
    sources = [*images(4), np.zeros(3)]
    rows = computed_rows(sources, BATCHES, SIZE, Recorder)
    assert [next(rows)[0] for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(InputError, match="image array 4"):
        next(rows)


def test_features_that_are_not_finite_name_the_image():
    def start(batch):
        features = batch[:, 0, 0, :1].astype(np.float32)
        features[features == 30] = np.nan
        return lambda: features

    rows = computed_rows(images(), BATCHES, SIZE, lambda: start)
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
    list(computed_rows(images(), BATCHES, SIZE, Recorder, times=times))
    assert set(times.work) == {"read and hash", "decode", "resize"}
