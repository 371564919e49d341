"""Run what the book shows and write it as tables: ``python -m benchmarks.record FOLDER``.

The tables that ship lie in gad_core/data/results/speed; the chapter draws them. All of a table is from one
run, because only then may its numbers be divided by each other.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.activations import activations
from benchmarks.blocks import blocks
from benchmarks.gaussian_stage import million, shares
from benchmarks.growth import growth
from benchmarks.machine import describe
from benchmarks.memory import memory
from benchmarks.pipeline import floors, network_share, pipeline, stages
from benchmarks.precision import precisions
from benchmarks.statistics import grid, one_gaussian
from benchmarks.timing import Comparison
from gad_core.outputs import write_csv, write_json


def ratio_rows(comparisons: list[Comparison | str]) -> list[dict[str, Any]]:
    """Tidy rows of comparisons; one that could not be made has its reason instead of numbers."""
    rows: list[dict[str, Any]] = []
    for each in comparisons:
        if isinstance(each, str):
            name, _, reason = each.partition(": ")
            rows.append({"what": name, "plain": None, "ours": None, "ratio": None, "target": None,
                         "note": reason})  # fmt: skip
            continue
        rows.append({"what": each.name, "plain": float(np.median(each.plain)),
                     "ours": float(np.median(each.ours)), "ratio": each.ratio, "target": each.target,
                     "note": ""})  # fmt: skip
    return rows


PARTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "ratios": lambda: ratio_rows([*pipeline(), one_gaussian(), grid()]),
    "precision": lambda: list(precisions()),
    "blocks": lambda: ratio_rows(list(blocks())),
    "floors": floors,
    "activations": lambda: list(activations()),
    "stages": stages,
    "network_share": lambda: [network_share()],
    "gaussian_stage": shares,
    "million": lambda: [million()],
    "growth": growth,
    "memory": lambda: [dict(zip(("what", "peak", "bound"), row, strict=True)) for row in memory()],
}


def main(folder: Path, names: list[str]) -> None:
    """Write the named tables, or all, and the machine that they are from."""
    for name in names or PARTS:
        rows = PARTS[name]()
        write_csv(folder / f"{name}.csv", rows)
        print(f"wrote {name}.csv", *rows, sep="\n  ")
    if not names:  # tables of one part alone may be from another machine
        write_json(folder / "machine.json", describe())


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks.record", description="Measure, and write tables.")
    parser.add_argument("folder", type=Path, help="where the tables are written")
    parser.add_argument("table", nargs="*", help=f"all, or some of: {', '.join(PARTS)}")
    given = parser.parse_args()
    if unknown := set(given.table) - set(PARTS):
        parser.error(f"there is no table {', '.join(sorted(unknown))}; the tables are {', '.join(PARTS)}")
    main(given.folder, given.table)
