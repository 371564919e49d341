import threading

import pytest

from gad_core.stages import StageTimes, staged


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_busy_is_the_time_with_at_least_one_inside():
    clock = Clock()
    times = StageTimes(clock)
    for now, change in ((0, times.begin), (1, times.begin), (3, times.end), (7, times.end)):
        clock.now = now
        change("network")
    clock.now = 10
    times.begin("network")
    clock.now = 12
    times.end("network")
    assert times.busy == {"network": 9}


def test_a_block_counts_for_busy_and_for_work_even_if_it_fails():
    times = StageTimes()
    with pytest.raises(KeyError), times.stage("decode"):
        dict.fromkeys(range(200_000)).pop("absent")
    assert 0 < times.work["decode"] <= times.busy["decode"] + 1e-3  # by two clocks


def test_threads_add_their_work():
    times = StageTimes()
    workers = [threading.Thread(target=times.add_work, args=("resize", 1.5)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert times.work == {"resize": 6}


def test_without_clocks_a_block_is_not_timed():
    with staged(None, "decode"):
        pass
    times = StageTimes()
    with staged(times, "decode"):
        pass
    assert list(times.busy) == ["decode"]
