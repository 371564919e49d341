"""Small made-up features, and a run of ``reproduce`` on them that is killed again and again.

As a program: ``python made_up.py OUT SEED`` prints how often the run was killed until it ended.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from gad_core.experiments.catalogue import chosen_experiments
from gad_core.experiments.reproduce import UNITS, reproduce
from gad_core.experiments.sources import Source
from gad_core.feature_file import CategoryFeatures

EXPERIMENTS = ("table1", "table2", "table3", "rates")


def made_up(
    category="nut", backbone="squeezenet1_1", widths=None, n=30, normal=12, anomalous=14, seed=0, shift=0.7
):
    """Features of correlated columns; anomalies are shifted in every column."""
    widths = widths or {1: 4, 2: 6}
    p = sum(widths.values())
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(1).normal(size=(p, p))
    draw = rng.normal(size=(n + normal + anomalous, p)) @ mixing
    draw[n + normal :] += shift
    draw = draw.astype(np.float32)
    defects = ("good",) * normal + ("hole",) * anomalous
    return CategoryFeatures(
        category,
        backbone,
        widths,
        draw[:n],
        draw[n:],
        tuple(f"train/good/{i:03}.png" for i in range(n)),
        tuple(f"test/{defect}/{i:03}.png" for i, defect in enumerate(defects)),
        defects,
        {"weights_sha256": "0" * 64},
    )


def sources():
    """Two networks on three categories each."""
    cells = [(c, b) for b in ("squeezenet1_1", "efficientnet_b4") for c in ("chip", "nut", "wood")]
    return [Source(c, b, lambda c=c, b=b, i=i: made_up(c, b, seed=i)) for i, (c, b) in enumerate(cells)]


def run(out, jobs=1):
    """Reproduce some tables on the made-up features."""
    experiments = chosen_experiments([*EXPERIMENTS])
    return list(reproduce(experiments, sources(), out, "embedded", jobs=jobs, progress=False))


def finished(out):
    """Count the pieces of work that are stored."""
    return sum(1 for _ in (out / UNITS).glob("[!.]*.json"))


def kill_and_continue(out, rng):
    """Start the same run in a child process until one ends by itself; give the number of kills.

    A child is killed at a random moment after it has finished a few more pieces.
    """
    kills = 0
    while True:
        goal = finished(out) + int(rng.integers(0, 4))
        child = os.fork()
        if not child:
            run(out)
            os._exit(0)
        status = wait_or_kill(child, lambda goal=goal: finished(out) >= goal, rng.uniform(0, 0.05))
        if status == 0:
            return kills
        assert status == signal.SIGKILL, status
        kills += 1


def wait_or_kill(child, reached, delay):
    """Wait until a child ends, or kill it some time after a goal is reached; give its exit status."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if reached():
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1]
        time.sleep(0.001)


if __name__ == "__main__":
    print(kill_and_continue(Path(sys.argv[1]), np.random.default_rng(int(sys.argv[2]))))
