"""Calls shared among processes: every result comes, and no process outlives the one that asked."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import scipy.linalg  # noqa: F401 - loads the linear algebra of numpy and scipy in every process
from threadpoolctl import threadpool_info

from gad_core.experiments.workers import available_jobs, each_done

ROOT = Path(__file__).resolve().parents[1]


def square(number):
    return number**2


def blas_threads(_):
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def fail(number):
    raise ValueError(f"number {number}")


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_argument_comes_once_with_its_result(jobs):
    assert sorted(each_done(square, range(20), jobs)) == [(number, number**2) for number in range(20)]


def test_arguments_are_taken_shortly_before_they_are_needed():
    taken = []
    arguments = (taken.append(number) or number for number in range(100))
    results = each_done(square, arguments, 2)
    next(results)
    assert len(taken) < 10
    results.close()


@pytest.mark.parametrize("jobs", [1, 2])
def test_linear_algebra_has_one_thread_whatever_the_number_of_processes(jobs):
    ((_, threads),) = each_done(blas_threads, [0], jobs)
    assert threads
    assert set(threads) == {1}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_a_call_is_raised_here(jobs):
    with pytest.raises(ValueError, match="number 3"):
        list(each_done(fail, [3], jobs))


def test_there_is_a_processor():
    assert 1 <= available_jobs() <= 8


SLEEPING = """
import os, time
from pathlib import Path
from gad_core.experiments.workers import processes

def sleep(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    import sys
    with processes(1) as pool:
        pool.submit(sleep, sys.argv[1]).result()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_no_process_outlives_a_run_that_was(ending, tmp_path):
    script, told = tmp_path / "sleeping.py", tmp_path / "pid"
    script.write_text(SLEEPING, "utf-8")
    run = subprocess.Popen(
        [sys.executable, script, told], env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
    )
    worker = int(wait_for(lambda: told.exists() and told.read_text()))
    run.send_signal(ending)
    run.wait(timeout=30)
    assert wait_for(lambda: not alive(worker))


def wait_for(condition, seconds=60):
    """Give the condition's value as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise TimeoutError(condition)


def alive(pid):
    """Whether a process runs; one that ended and waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
