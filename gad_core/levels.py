"""Which columns of a feature matrix belong to which level of the network, and how levels are combined."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gad_core.errors import InputError

Combine = str | int
"""``"sum"`` of the levels' distances, ``"joint"`` Gaussian over all columns, or the number of one level."""


def checked_combine(levels: Mapping[int, int] | None, combine: object) -> Combine:
    """Return `combine`, or raise InputError that lists what these levels allow."""
    if not isinstance(levels, Mapping | None):
        raise InputError(
            f"levels is a mapping of each level to its width, such as extractor.level_widths, not {levels!r}"
        )
    known = ("sum", "joint", *(levels or ()))
    if combine not in known:
        raise InputError(
            f"combine must be one of {', '.join(map(str, known))} for these levels, not {combine!r}"
        )
    return combine  # type: ignore[return-value]  # membership was just checked


def level_columns(levels: Mapping[int, int]) -> dict[int | str, slice]:
    """Columns of each level, for levels of given widths that stand side by side.

    Examples
    --------
    >>> level_columns({1: 48, 2: 24})
    {1: slice(0, 48, None), 2: slice(48, 72, None)}
    """
    ends = np.cumsum(list(levels.values())).tolist()
    return {level: slice(end - levels[level], end) for level, end in zip(levels, ends, strict=True)}


def gaussian_columns(
    levels: Mapping[int, int] | None, combine: Combine, n_features: int
) -> dict[int | str, slice]:
    """Columns of each Gaussian that a predictor uses.

    Parameters
    ----------
    levels : mapping of int to int, or None
        Width of each level in the order of the columns; None: no levels are told apart.
    combine : "sum", "joint" or int
        How the levels become one distance.
    n_features : int
        Number of columns of the matrix.

    Returns
    -------
    dict
        Level, or "joint" for one Gaussian over all columns, to its columns.
    """
    if combine == "joint" or not levels:
        return {"joint": slice(0, n_features)}
    columns = level_columns(levels)
    return columns if combine == "sum" else {combine: columns[combine]}


def parse_levels(text: str) -> tuple[int, ...]:
    """Read the command line's form of levels: numbers and ranges between commas.

    Parameters
    ----------
    text : str
        Such as ``"7"``, ``"1-7"`` or ``"1,3,5-7"``.

    Returns
    -------
    tuple of int
        The levels in ascending order.

    Raises
    ------
    InputError
        If the text has another form, or a level occurs twice.

    Examples
    --------
    >>> parse_levels("1,3,5-7")
    (1, 3, 5, 6, 7)
    """
    levels: list[int] = []
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        ends = (first, last if dash else first)
        if not all(end.isascii() and end.isdigit() and len(end) < 5 for end in ends):
            raise InputError(f'levels "{text}" are not understood: write them as 7, 1-7 or 1,3,5-7')
        levels.extend(range(int(ends[0]), int(ends[1]) + 1))
    if not levels or len(set(levels)) < len(levels):
        raise InputError(
            f'levels "{text}" name {"a level twice" if levels else "none"}: write 7, 1-7 or 1,3,5-7'
        )
    return tuple(sorted(levels))
