"""The files of an experiment's results, written and read: tidy rows, the printed table, provenance.

``NAME.csv`` has the rows, ``NAME.comparison.csv`` the table with the paper's values beside ours, and
``NAME.json`` says what they were computed from and how. Nothing in them depends on when or where that was.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gad_core.errors import InputError
from gad_core.manifest import shipped_file
from gad_core.outputs import write_csv, write_json


@dataclass(frozen=True)
class Result:
    """What an experiment gave.

    Parameters
    ----------
    name, title : str
        Of the experiment.
    rows : list of dict
        Tidy rows of all categories and networks.
    comparison : list of dict
        The printed table.
    provenance : dict
        What the rows were computed from, as JSON can write it.
    """

    name: str
    title: str
    rows: list[dict[str, Any]]
    comparison: list[dict[str, Any]]
    provenance: dict[str, Any]


def write_result(folder: Path, result: Result) -> None:
    """Write the three files of a result into a folder.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is not there.
    result : Result
        What to write.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    write_csv(folder / f"{result.name}.csv", result.rows)
    write_csv(folder / f"{result.name}.comparison.csv", [_short(row) for row in result.comparison])
    write_json(folder / f"{result.name}.json", result.provenance)


def read_rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """Read the rows, or the printed table, of a result.

    Parameters
    ----------
    folder : pathlib.Path
        Where `write_result` wrote it, such as ``results/embedded``.
    name : str
        Of the experiment, or with ``.comparison`` behind it.

    Returns
    -------
    list of dict
        Numbers as int or float, empty cells as None except in ``note``.

    Raises
    ------
    InputError
        If there is no such result.
    """
    path = folder / f"{name}.csv"
    if not path.is_file():
        raise InputError(f"no result {path}: make it with gad reproduce {name.partition('.')[0]}")
    return _read(path)


def stored_rows(name: str, tier: str = "embedded", **where: Any) -> list[dict[str, Any]]:
    """Read the rows, or the printed table, of a result that ships with the package.

    They are what ``gad reproduce all`` gives on the features that ship, in ``explain`` what ``gad audit``
    gave on MVTec AD, and in ``speed`` what the benchmarks measured on one machine.

    Parameters
    ----------
    name : str
        As in `read_rows`.
    tier : str
        Folder of the results: "embedded", "explain" or "speed".
    **where
        Only the rows that have these values.

    Returns
    -------
    list of dict
        As `read_rows` gives them.

    Raises
    ------
    InputError
        If no such result ships, or its file is damaged.

    Examples
    --------
    >>> rows = stored_rows("table1", category="bottle", backbone="efficientnet_b4", method="Mahalanobis")
    >>> [row["predictor"] for row in rows][-2:]
    ['level 7', 'sum']
    """
    rows = _read(shipped_file(f"results/{tier}/{name}.csv"))
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def stored_provenance(name: str, tier: str = "embedded") -> dict[str, Any]:
    """Read what a result that ships with the package was computed from.

    Parameters
    ----------
    name : str
        Of the experiment.
    tier : str
        As in `stored_rows`; "speed" has the file "machine".

    Returns
    -------
    dict
        Title, command, tier, versions, and of each network and category the features with their provenance.

    Raises
    ------
    InputError
        If no such result ships, or its file is damaged.
    """
    found: dict[str, Any] = json.loads(shipped_file(f"results/{tier}/{name}.json").read_text("utf-8"))
    return found


def _read(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: _parsed(key, text) for key, text in row.items()} for row in csv.DictReader(file)]


def _parsed(key: str, text: str) -> Any:
    if not text:
        return "" if key == "note" else None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    """Round numbers to six decimals, so that 96.7 does not become 96.70000000000002."""
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in row.items()}


def table_lines(comparison: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Give the cells of a printed table as text, numbers with their standard errors."""
    return [
        (
            str(row["backbone"]),
            str(row["setting"]),
            str(row["item"]),
            str(row["quantity"]),
            _with_error(row["paper"], row["paper_sem"]),
            _with_error(row["ours"], row["ours_sem"]),
            "" if row["difference"] is None else f"{row['difference']:+.2f}",
            str(row["note"]),
        )
        for row in comparison
    ]


def _with_error(value: float | None, error: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if error is None else f"{value:.2f} ± {error:.2f}"
