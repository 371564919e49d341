"""The paper's values and ours side by side, with a note on whatever keeps the two from being the same thing.

Values here are those of a printed table: rates and AUROC in percent. A cell without a number is None; the
paper's cell is filled from its known numbers only. A difference is given only where both numbers are means
over the same categories (or values of one category) of the same predictor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gad_core.backbones import get_backbone
from gad_core.datasets.download import CATEGORIES
from gad_core.evaluation import sem
from gad_core.experiments.paper import PLAIN, PaperValue, paper_value

Rows = Sequence[Mapping[str, Any]]

COLUMNS = ("backbone", "setting", "item", "quantity", "paper", "paper_sem", "ours", "ours_sem", "difference",
           "note")  # fmt: skip


def compare_levels(rows: Rows) -> list[dict[str, Any]]:
    """Set the means over categories of Tables I, II, III and VII beside the paper's.

    Parameters
    ----------
    rows : sequence of dict
        From `gad_core.experiments.tables`.

    Returns
    -------
    list of dict
        With the keys `COLUMNS`; one for each level of the network, of which the features may lack some, and
        one for the sum.
    """
    compared = []
    for (backbone, method, reduce), group in grouped(rows, "backbone", "method", "reduce").items():
        cells = grouped(group, "predictor")
        setting = method if reduce == "none" else f"{method}, {reduce}"
        plain = method == "Mahalanobis" and reduce == "none"
        depth = len(get_backbone(backbone).widths)
        items = [f"level {level}" for level in range(1, depth + 1)]
        levels = [item for item in items if (item,) in cells]
        for item in (*items, *(["sum"] if ("sum",) in cells else [])):
            paper = paper_value("I-II", backbone, PLAIN, item) if plain else None
            found = cells.get((item,), [])
            lacking = found and item == "sum" and len(levels) < depth
            note = f"ours: sum of {len(levels)} levels of {depth}" if lacking else ""
            note = note if found else "this level is not in the features"
            compared.append(_cell(backbone, setting, item, "AUROC %", paper, found, "auroc", note))
    return compared


def summarise(
    rows: Rows, setting: Sequence[str], item: Sequence[str], quantities: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Average over categories what the paper has no known values for.

    Parameters
    ----------
    rows : sequence of dict
        Of an experiment, with ``category`` and ``backbone``.
    setting, item : sequence of str
        Keys that together name a cell.
    quantities : mapping of str to str
        Key of each value to the name that it is printed under; a name that ends in "%" makes it percent.

    Returns
    -------
    list of dict
        With the keys `COLUMNS`.
    """
    return [
        _cell(backbone, _named(setting, names), _named(item, names[len(setting) :]), name, None, group, key)
        for (backbone, *names), group in grouped(rows, "backbone", *setting, *item).items()
        for key, name in quantities.items()
    ]


def percent(rows: Rows, key: str) -> list[dict[str, Any]]:
    """Write a fraction that names a cell as a text in percent.

    Examples
    --------
    >>> percent([{"share": 0.05, "fpr": 0.1}], "share")
    [{'share': 'share 5 %', 'fpr': 0.1}]
    """
    return [{**row, key: f"{key} {100 * row[key]:.3g} %"} for row in rows]


def compare_category(
    row: Mapping[str, Any], setting: str, paper: PaperValue | None, value: str, note: str
) -> dict[str, Any]:
    """Set one category's AUROC beside the paper's.

    Parameters
    ----------
    row : mapping
        With ``category``, ``backbone`` and the value.
    setting : str
        What was computed.
    paper : PaperValue or None
        The paper's value for the category.
    value : str
        Key of the value, a fraction.
    note : str
        How the two computations differ.

    Returns
    -------
    dict
        With the keys `COLUMNS`.
    """
    ours, theirs = _scaled(row[value], 100), _scaled(paper.auroc if paper else None, 100)
    return dict(
        zip(
            COLUMNS,
            (row["backbone"], setting, row["category"], "AUROC %", theirs, None, ours, None,
             _difference(ours, theirs), note),
            strict=True,
        )
    )  # fmt: skip


def grouped(rows: Rows, *keys: str) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    """Rows by their values of some keys, in the order in which these first appear."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def category_note(categories: Iterable[str]) -> str:
    """Say which categories a mean is over; empty for the fifteen of MVTec AD."""
    names = sorted(set(categories))
    if names == sorted(CATEGORIES):
        return ""
    return f"mean of {len(names)} categories: {', '.join(names)}" if len(names) > 1 else f"of {names[0]}"


def _cell(
    backbone: str,
    setting: str,
    item: str,
    quantity: str,
    paper: PaperValue | None,
    group: Rows,
    key: str,
    note: str = "",
) -> dict[str, Any]:
    percent = 100 if quantity.endswith("%") else 1
    values, without = _by_category(group, key)
    over = category_note(values) if values else ""
    if paper and over:
        over += "; the paper's mean is of 15"
    undefined = f"undefined for {', '.join(without)}" if without else ""
    notes = [text for text in (note, over, undefined) if text]
    ours = _scaled(float(np.mean(list(values.values()))) if values else None, percent)
    spread = _scaled(sem(list(values.values())) if len(values) > 1 else None, percent)
    theirs = _scaled(paper.auroc if paper else None, percent)
    return {
        "backbone": backbone,
        "setting": setting,
        "item": item,
        "quantity": quantity,
        "paper": theirs,
        "paper_sem": _scaled(paper.sem if paper else None, percent),
        "ours": ours,
        "ours_sem": spread,
        "difference": None if notes else _difference(ours, theirs),
        "note": "; ".join(notes),
    }


def _by_category(group: Rows, key: str) -> tuple[dict[str, float], list[str]]:
    """Mean of each category's rows, which are several where draws are repeated; those with an empty one."""
    cells = {category: [row[key] for row in rows] for (category,), rows in grouped(group, "category").items()}
    without = [category for category, values in cells.items() if None in values]
    return {c: float(np.mean(values)) for c, values in cells.items() if c not in without}, without


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def _named(keys: Sequence[str], values: Sequence[Any]) -> str:
    """Join the values of some keys to a name: texts as they are, numbers with their key."""
    texts = (v if isinstance(v, str) else f"{k} {v:g}" for k, v in zip(keys, values, strict=False))
    return ", ".join(texts)


def _difference(ours: float | None, theirs: float | None) -> float | None:
    """Subtract where both are known."""
    return None if ours is None or theirs is None else ours - theirs
