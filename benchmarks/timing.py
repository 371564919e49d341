"""Fair comparison of two ways on a noisy machine: in turn, several times, the ratio pair by pair."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """Seconds of the plain way and of ours, run in turn."""

    name: str
    plain: list[float]
    ours: list[float]
    target: float

    @property
    def ratio(self) -> float:
        """Median over pairs of plain over ours: how many times faster ours is."""
        return float(np.median(np.array(self.plain) / np.array(self.ours)))

    def row(self) -> tuple[str, ...]:
        """Give name, median seconds of both, ratio, target and verdict as text."""
        verdict = "reached" if self.ratio >= self.target else "MISSED"
        plain, ours = np.median(self.plain), np.median(self.ours)
        ratio, target = f"{self.ratio:.3g}x", f"{self.target:.3g}x"
        return (self.name, f"{plain:.3f}", f"{ours:.3f}", ratio, target, verdict)


def compare(
    name: str, plain: Callable[[], object], ours: Callable[[], object], *, target: float, pairs: int = 3
) -> Comparison:
    """Run ours once to warm up, then both in turn, `pairs` times."""
    ours()
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(pairs):
        for which, run in (("plain", plain), ("ours", ours)):
            start = time.perf_counter()
            run()
            seconds[which].append(time.perf_counter() - start)
    return Comparison(name, seconds["plain"], seconds["ours"], target)
