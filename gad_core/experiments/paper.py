"""The paper's numbers that are known, read from a shipped table; what is not known is not there.

They are quoted from the TIM paper (Tables I, II, V and VIII) and, for the entry "abstract (ICPR)", from the
abstract of the conference version. The column ``certainty`` says whether a number was read in the paper
itself (primary) or in a transcription of it.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from decimal import Decimal

from gad_core.manifest import shipped_file

PLAIN = "mvg, no reduction, no augmentation, 5 folds, mean of 15 categories"
"""Setting of Table I (Mahalanobis distance) and Table II."""

AUGMENTED = "mvg, no reduction, sum of 9 levels, 100x augmentation"
"""Setting of Tables V and VIII without a subspace."""

AUGMENTED_NPCA = "npca 1%, sum of 9 levels, 100x augmentation"
"""Setting of Tables V and VIII with the components of the last 1 % of variance."""


@dataclass(frozen=True)
class PaperValue:
    """One number of the paper.

    Parameters
    ----------
    table : str
        ``"I-II"``, ``"V-VIII"`` or ``"abstract (ICPR)"``.
    backbone : str
        The network.
    setting : str
        What was computed: `PLAIN`, `AUGMENTED` or `AUGMENTED_NPCA`.
    item : str
        ``"level 7"``, ``"sum"``, a category, or ``"mean"`` over the fifteen categories.
    auroc : float
        A fraction.
    sem : float or None
        Standard error over categories, a fraction; None for the value of one category.
    certainty : str
        ``"primary"`` or ``"transcription"``.
    """

    table: str
    backbone: str
    setting: str
    item: str
    auroc: float
    sem: float | None
    certainty: str


@functools.cache
def paper_values() -> tuple[PaperValue, ...]:
    """Give every number of the paper that is known.

    Returns
    -------
    tuple of PaperValue
        In the order of the shipped table.

    Examples
    --------
    >>> sorted({value.table for value in paper_values()})
    ['I-II', 'V-VIII', 'abstract (ICPR)']
    """
    with shipped_file("paper_numbers.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            PaperValue(
                row["table"],
                row["backbone"],
                row["setting"],
                row["item"],
                _fraction(row["auroc_percent"]),
                _fraction(row["sem"]) if row["sem"] else None,
                row["certainty"],
            )
            for row in csv.DictReader(file)
        )


def paper_value(table: str, backbone: str, setting: str, item: str) -> PaperValue | None:
    """Look up one number of the paper.

    Parameters
    ----------
    table, backbone, setting, item : str
        As in `PaperValue`.

    Returns
    -------
    PaperValue or None
        None if the number is not known.

    Examples
    --------
    >>> paper_value("I-II", "efficientnet_b4", PLAIN, "level 7").auroc
    0.967
    >>> paper_value("III", "efficientnet_b4", PLAIN, "level 7") is None
    True
    """
    wanted = (table, backbone, setting, item)
    found = (v for v in paper_values() if (v.table, v.backbone, v.setting, v.item) == wanted)
    return next(found, None)


def _fraction(percent: str) -> float:
    return float(Decimal(percent) / 100)  # the float nearest to 0.967, which 96.7 / 100 is not
