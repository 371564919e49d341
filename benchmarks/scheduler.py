"""Memory of a Dask scheduler and of the process that asks: what a distributed fit costs them an image."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core import FeatureExtractor, GaussianDetector
from gad_core.distributed import connected, fit_images

COUNTS = (200, 2_000, 20_000, 200_000)
"""Numbers of images; none of them exists, see `Trivial`."""


class Trivial(FeatureExtractor):
    """Makes features up from the names of the images, so that 200,000 take a minute."""

    def transform(self, X: object) -> NDArray[np.float32]:
        """Draw the features of each name."""
        assert isinstance(X, Sequence)
        width = sum(self.level_widths.values())
        draws = (np.random.default_rng(zlib.crc32(os.fsencode(name))) for name in X)
        return np.stack([draw.normal(size=width).astype(np.float32) for draw in draws])


def fit(address: str, count: int) -> None:
    """Fit to `count` images by the workers of a scheduler."""
    extractor = Trivial("squeezenet1_1", weights="random", levels=[1], size=32, progress=False)
    names = [f"/data/line-3/2024-05-17/camera-1/image_{i:08}.png" for i in range(count)]
    with connected(address) as workers:
        fit = fit_images(GaussianDetector(extractor.level_widths), extractor, names, workers)
    assert fit.count == count


def memory_mib(pid: int | str, what: str) -> float:
    """Resident memory of a process, now (``VmRSS``) or at its peak (``VmHWM``)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 2**10


@contextlib.contextmanager
def dask_cluster(settings: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Start a scheduler and two workers as processes of their own; give its address and process."""
    environment = {**os.environ, **settings, "PYTHONPATH": str(Path(__file__).parents[1])}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        file = Path(folder) / "scheduler.json"

        def start(module: str, *options: str) -> subprocess.Popen[bytes]:
            command = [
                sys.executable,
                "-m",
                f"distributed.cli.{module}",
                "--scheduler-file",
                str(file),
                *options,
            ]
            log = stack.enter_context((Path(folder) / f"{module}.log").open("w"))
            process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        scheduler = start("dask_scheduler", "--port", "0", "--no-dashboard")
        start("dask_worker", "--nthreads", "1", "--nworkers", "2", "--no-dashboard")
        with connected_file(file) as address:
            yield address, scheduler.pid


@contextlib.contextmanager
def connected_file(file: Path) -> Iterator[str]:
    """Wait for the scheduler of a file and its two workers."""
    from distributed import Client

    with Client(scheduler_file=str(file), timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
        address = client.scheduler.address
    yield address


def scheduler_rows(counts: Sequence[int] = COUNTS, **settings: str) -> Iterator[dict[str, Any]]:
    """Measure each number of images with a scheduler and a process that asks of its own."""
    for count in counts:
        with dask_cluster(settings) as (address, pid):
            before = memory_mib(pid, "VmRSS")
            command = [sys.executable, "-m", "benchmarks.scheduler", address, str(count)]
            client = subprocess.run(command, check=True, capture_output=True, text=True)
            yield {
                "images": count,
                "scheduler_idle_mib": before,
                "scheduler_after_mib": memory_mib(pid, "VmRSS"),
                "scheduler_peak_mib": memory_mib(pid, "VmHWM"),
                "client_peak_mib": float(client.stdout.split()[-2]),
                "seconds": float(client.stdout.split()[-1]),
            }


if __name__ == "__main__":
    import time

    start = time.perf_counter()
    fit(sys.argv[1], int(sys.argv[2]))
    print(memory_mib("self", "VmHWM"), time.perf_counter() - start)
