"""Memory of a Dask scheduler, and of the process that asks, against the number of images of a fit.

As a program, ``python -m benchmarks.scheduler ADDRESS COUNT`` is the process that asks.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gad_core import FeatureExtractor, GaussianDetector
from gad_core.distributed import connected, fit_images

COUNTS = (200, 2_000, 16_384, 131_072)
"""Numbers of images, the last two in the largest number of tasks; no image exists, see `Trivial`."""

ROOT = Path(__file__).resolve().parents[1]


class Trivial(FeatureExtractor):
    """Draws features by the names of the images: the cost of a fit is that of passing things around."""

    def transform(self, X: object) -> NDArray[np.float32]:
        """Draw the features of each name."""
        assert isinstance(X, Sequence)
        width = sum(self.level_widths.values())
        draws = (np.random.default_rng(zlib.crc32(os.fsencode(name))) for name in X)
        return np.stack([draw.normal(size=width).astype(np.float32) for draw in draws])


class Peaks(NamedTuple):
    """Resident memory in MiB."""

    idle: float
    """Of the scheduler, before the fit."""
    scheduler: float
    """Of the scheduler, at its peak."""
    client: float
    """Of the process that asks, at its peak."""


def fit(address: str, count: int) -> None:
    """Fit to `count` images by the workers of a scheduler."""
    extractor = Trivial("squeezenet1_1", weights="random", levels=[1], size=32, progress=False)
    names = [f"/data/line-3/2024-05-17/camera-1/image_{i:08}.png" for i in range(count)]
    with connected(address) as workers:
        found = fit_images(GaussianDetector(extractor.level_widths), extractor, names, workers)
    assert found.count == count


def mebibytes(pid: int | str, what: str) -> float:
    """Resident memory of a process, now (``VmRSS``) or at its peak (``VmHWM``)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 2**10


def peaks(count: int) -> Peaks:
    """Fit to `count` images with a scheduler and two workers of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with cluster(environment) as (address, pid):
        idle = mebibytes(pid, "VmRSS")
        command = [sys.executable, "-m", "benchmarks.scheduler", address, str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return Peaks(idle, mebibytes(pid, "VmHWM"), float(done.stdout))


@contextlib.contextmanager
def cluster(environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Start a scheduler and two workers, each a process; give the address and the scheduler's process."""
    from distributed import Client

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        file = f"{folder}/scheduler.json"

        def start(what: str, *options: str) -> int:
            command = [sys.executable, "-m", f"distributed.cli.{what}", "--scheduler-file", file, *options]
            log = stack.enter_context(Path(folder, f"{what}.log").open("w"))
            process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process.pid

        pid = start("dask_scheduler", "--port", "0", "--no-dashboard")
        start("dask_worker", "--nthreads", "1", "--nworkers", "2", "--no-dashboard")
        with Client(scheduler_file=file, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            address = client.scheduler.address
        yield address, pid


if __name__ == "__main__":
    fit(sys.argv[1], int(sys.argv[2]))
    print(mebibytes("self", "VmHWM"))
