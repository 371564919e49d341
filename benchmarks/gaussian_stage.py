"""How near the Gaussian stage is to the matrix products it consists of."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.machine import best_seconds, product_rate
from benchmarks.statistics import features
from gad_core import Moments, fit_gaussian
from gad_core.backbones import get_backbone
from gad_core.components import components_from_moments
from gad_core.gaussian import Gaussian, gaussian_from_components

ROWS = 20_000
MILLION = 1_000_000


def shares() -> list[dict[str, Any]]:
    """Rate of the products in summing and scoring, as a share of the measured peak in float64."""
    widths = get_backbone("efficientnet_b4").level_widths()
    p = sum(widths.values())
    X = features(ROWS, widths, 0)
    gaussian = gaussian_from_components(components_from_moments(Moments.from_data(X)), "ledoit_wolf")
    # The peak before and after, because the machine is not equally fast all the time.
    peak = product_rate(np.float64)
    # A symmetric product needs half of the operations; scoring projects on all p axes.
    moments = ROWS * p**2 / best_seconds(lambda: Moments.from_data(X), 3)
    scoring = 2 * ROWS * p**2 / best_seconds(lambda: gaussian.mahalanobis(X), 3)
    peak = max(peak, product_rate(np.float64))
    return [
        {"what": f"sums of {ROWS} samples, p = {p}", "gflops": moments / 1e9, "share": moments / peak},
        {"what": f"scores of {ROWS} samples, p = k = {p}", "gflops": scoring / 1e9, "share": scoring / peak},
        {"what": "matrix products, float64", "gflops": peak / 1e9, "share": 1.0},
    ]


def million() -> dict[str, Any]:
    """Score a million samples of level 7 from a file; give seconds and allocated memory."""
    import tempfile
    import tracemalloc

    widths = {7: get_backbone("efficientnet_b4").widths[6]}
    gaussian: Gaussian = fit_gaussian(features(209, widths, 0))
    with tempfile.TemporaryDirectory() as folder:
        rows = np.lib.format.open_memmap(
            f"{folder}/rows.npy", mode="w+", dtype=np.float32, shape=(MILLION, widths[7])
        )
        part = features(10_000, widths, 1)
        for start in range(0, MILLION, len(part)):
            rows[start : start + len(part)] = part
        rows.flush()
        del rows
        mapped = np.load(f"{folder}/rows.npy", mmap_mode="r")
        start = time.perf_counter()
        found = gaussian.mahalanobis(mapped)
        seconds = time.perf_counter() - start
        tracemalloc.start()  # the file's own pages are not allocated; slower, so not in the run that is timed
        gaussian.mahalanobis(mapped)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_allclose(found[:100], gaussian.mahalanobis(part[:100]))
    return {"rows": MILLION, "p": widths[7], "seconds": seconds, "allocated_mb": peak / 1e6}
