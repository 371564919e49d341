"""A table for a page: rows of results under readable heads, numbers rounded."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows that a notebook shows as an HTML table and a terminal as text.

    Parameters
    ----------
    heads : tuple of str
        Of the columns.
    cells : tuple of tuple of str
        Rows of texts.
    note : str
        Shown below, each line by itself.
    """

    heads: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    note: str = ""

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(each)}</th>' for each in self.heads)
        body = "".join(f"<tr>{_html_row(row)}</tr>" for row in self.cells)
        note = f"<p><em>{'<br>'.join(map(html.escape, self.note.splitlines()))}</em></p>" if self.note else ""
        table = f'<table class="gad-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        return f'<div style="overflow-x: auto">{table}{note}</div>'

    def __repr__(self) -> str:
        lines = [self.heads, *self.cells]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([*text, self.note] if self.note else text)


def _html_row(cells: Sequence[str]) -> str:
    first, *others = map(_kept, cells)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{each}</td>" for each in others)


def _kept(text: str) -> str:
    """Keep a number in one line with its spread and its percent sign; a path may be broken."""
    kept = html.escape(text).replace(" ± ", "&nbsp;±&nbsp;").replace(" %", "&nbsp;%")
    return kept.replace("/", "/<wbr>")


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], digits: int = 1) -> Table:
    """Make a table of some columns of tidy rows.

    Parameters
    ----------
    rows : sequence of mapping
        One or more. A column ``<name>_sem`` beside ``<name>`` is shown with it, after a plus-minus sign.
    columns : mapping of str to str
        Keys of the columns to show, and their heads.
    digits : int
        Decimals of the numbers.

    Returns
    -------
    Table
        With empty cells where a value is None, whole numbers without decimals. If all rows have the same
        ``note``, it stands below; if they differ, they stand there with marks.

    Examples
    --------
    >>> rows = [{"item": "level 7", "paper": 96.7, "paper_sem": 1.0, "ours": None, "note": "of 15"}]
    >>> table(rows, {"item": "", "paper": "paper, %", "ours": "ours, %"})
             paper, %    ours, %
    level 7  96.7 ± 1.0
    of 15
    """
    marks = _marks([row.get("note") or "" for row in rows])
    cells = []
    for row in rows:
        first, *others = (_cell(row, key, digits) for key in columns)
        cells.append((f"{first} {marks[row.get('note') or '']}".rstrip(), *others))
    notes = [f"{mark} {note}".strip() for note, mark in marks.items() if note]
    return Table(tuple(columns.values()), tuple(cells), "\n".join(notes))


def pivot(
    rows: Sequence[Mapping[str, Any]],
    index: str,
    column: str,
    value: str,
    digits: int = 1,
    factor: float = 100,
) -> Table:
    """Make a table with a row for each value of one key and a column for each value of another.

    Parameters
    ----------
    rows : sequence of mapping
        One for each cell.
    index, column : str
        Keys that name row and column.
    value : str
        Key of the number, a fraction.
    digits : int
        Decimals.
    factor : float
        That the number is shown times of; 100 for percent.

    Returns
    -------
    Table
        In the order in which the names first appear; a cell that has no row is empty.

    Examples
    --------
    >>> rows = [{"level": k, "of": c, "auroc": 0.5 + k / 10} for k in (1, 2) for c in ("nut", "wood")]
    >>> pivot(rows, "level", "of", "auroc")
    level  nut   wood
    1      60.0  60.0
    2      70.0  70.0
    """
    names, heads = (list(dict.fromkeys(str(row[key]) for row in rows)) for key in (index, column))
    found = {(str(row[index]), str(row[column])): row[value] for row in rows}
    cells = tuple(
        (name, *(_number(found.get((name, head)), digits, factor) for head in heads)) for name in names
    )
    return Table((index, *heads), cells)


def _marks(notes: Sequence[str]) -> dict[str, str]:
    """Give each note a letter, in the order in which they appear; one that all rows have needs none."""
    found = list(dict.fromkeys(notes))
    if len(found) == 1:
        return {found[0]: ""}
    numbered = filter(None, found)
    # Letters in brackets: a raised number would be read as an exponent.
    return {"": ""} | {note: f"[{mark}]" for note, mark in zip(numbered, ascii_lowercase, strict=False)}


def _cell(row: Mapping[str, Any], key: str, digits: int) -> str:
    value, spread = row[key], row.get(f"{key}_sem")
    text = _number(value, digits) if isinstance(value, float | None) else str(value)
    return f"{text} ± {_number(spread, digits)}" if spread is not None else text


def _number(value: float | None, digits: int, factor: float = 1) -> str:
    return "" if value is None else f"{factor * value:.{digits}f}"
