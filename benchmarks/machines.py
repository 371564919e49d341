"""Set recorded machines beside each other: ``python -m benchmarks.machines TABLE FOLDER [FOLDER ...]``.

How many times faster ours is depends on the processor, too. ``benchmarks.record`` writes such folders.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

from gad_core.outputs import write_csv

RATIOS = {
    "fp32": "efficientnet_b4 1-7, 900 px PNG, fp32",
    "bf16": "efficientnet_b4 1-7, 900 px PNG, bf16",
    "gaussian": "Gaussian: fit 209, score 83, p = 2944",
}
RATES = {"decoding": "decoding and resizing, all cores", "memory_rate": "copying memory"}


def machine_row(folder: Path) -> dict[str, Any]:
    """Read what a machine is, its rates, and the ratios measured on it.

    Parameters
    ----------
    folder : Path
        With ``machine.json``, ``floors.csv`` and ``ratios.csv``.

    Returns
    -------
    dict
        One row of the table; a ratio that could not be measured there is None.
    """
    machine = json.loads((folder / "machine.json").read_text())
    rates = {row["what"]: float(row["amount"]) for row in _rows(folder / "floors.csv")}
    ratios = {row["what"]: row["ratio"] for row in _rows(folder / "ratios.csv")}
    return (
        {"processor": machine["processor"], "model": machine.get("model", ""), "cores": machine["cores"]}
        | {name: rates[what] for name, what in RATES.items()}
        | {name: float(ratios[what]) if ratios.get(what) else None for name, what in RATIOS.items()}
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks.machines", description="Compare machines.")
    parser.add_argument("table", type=Path, help="the CSV file that is written")
    parser.add_argument(
        "folder", type=Path, nargs="+", help="what benchmarks.record wrote, one for each machine"
    )
    given = parser.parse_args()
    if missing := [str(folder) for folder in given.folder if not (folder / "ratios.csv").is_file()]:
        parser.error(
            f"no recorded tables in {', '.join(missing)}: run python -m benchmarks.record there first"
        )
    write_csv(given.table, [machine_row(folder) for folder in given.folder])
