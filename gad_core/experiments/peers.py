"""Other methods on the same data: numbers that others published or measured, quoted with their source.

Nothing here is computed. The published table is that of anomalib, a library which has implemented all of its
methods anew; the numbers of their own papers differ somewhat. The paper's own values per category stand
beside them (Table VIII: NPCA of the last 1 % of variance, 100 augmented passes).
"""

from __future__ import annotations

import csv
from typing import Any

from gad_core.experiments.paper import AUGMENTED_NPCA, paper_values
from gad_core.manifest import shipped_file

PAPER = "the paper, NPCA 1 %"
"""Name of the paper's own method among its peers."""


def published_peers() -> list[dict[str, Any]]:
    """Give the published image AUROC of each method, on each category and on average.

    Returns
    -------
    list of dict
        With ``method``, ``item`` (a category, or ``"mean"`` over the fifteen), ``auroc`` (a fraction) and
        ``source``.

    Examples
    --------
    >>> [row["auroc"] for row in published_peers() if row["method"] == PAPER and row["item"] == "mean"]
    [0.958]
    """
    others = [
        {"method": row["method"], "item": item, "auroc": float(value), "source": row["source"]}
        for row in _rows("peers.csv")
        for item, value in row.items()
        if item not in ("method", "source")
    ]
    own = [
        {"method": PAPER, "item": value.item, "auroc": value.auroc, "source": f"the paper, {value.table}"}
        for value in paper_values()
        if value.setting == AUGMENTED_NPCA
    ]
    return others + own


def measured_peers() -> list[dict[str, Any]]:
    """Give what the project's owner measured with other software on the images behind the shipped features.

    Returns
    -------
    list of dict
        With ``method``, ``category``, ``image_auroc``, ``pixel_auroc`` (fractions; None where not measured)
        and ``source``, which says the conditions.
    """
    return [
        {
            "method": row["method"],
            "category": row["category"],
            "image_auroc": _fraction(row["image_auroc_percent"]),
            "pixel_auroc": _fraction(row["pixel_auroc_percent"]),
            "source": row["source"],
        }
        for row in _rows("peers_measured.csv")
    ]


def _rows(name: str) -> list[dict[str, str]]:
    with shipped_file(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _fraction(percent: str) -> float | None:
    return float(percent) / 100 if percent else None
