"""Figures of the reproduction report: the paper's values and ours in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from gad_core.figures.style import ANOMALOUS, MODEL, NEUTRAL, NORMAL, finished

_LOOKS = ((NORMAL, "square"), (MODEL, "diamond"), (ANOMALOUS, "star"))


def beside_means(compared: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Draw the paper's means over fifteen categories, and our value of each category that is here.

    Parameters
    ----------
    compared : sequence of mapping
        Printed table of one setting, with ``item``, ``paper`` and ``paper_sem`` in percent.
    rows : sequence of mapping
        Tidy rows of the same setting, with ``category``, ``predictor`` and the fraction ``auroc``.

    Returns
    -------
    plotly.graph_objects.Figure
        Error bars are the paper's standard errors over categories.
    """
    known = [row for row in compared if row["paper"] is not None]
    bars = {"array": [row["paper_sem"] for row in known]}
    items = [_short(row["item"]) for row in known]
    figure = go.Figure()
    figure.add_scatter(
        x=items,
        y=[row["paper"] for row in known],
        error_y=bars,
        mode="lines+markers",
        line={"color": NEUTRAL, "dash": "dash"},
        marker={"size": 9, "symbol": "circle-open"},
        name="paper, mean of 15",
    )
    for category, (colour, symbol) in zip(_categories(rows), _LOOKS, strict=False):
        values = {_short(row["predictor"]): 100 * row["auroc"] for row in rows if row["category"] == category}
        figure.add_scatter(
            x=[item for item in items if item in values],
            y=[values[item] for item in items if item in values],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 10},
            name=category,
        )
    return finished(figure, x="level, or how levels are combined", y="AUROC, %")


def beside_categories(compared: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> go.Figure:
    """Draw the paper's value and ours of the same category beside each other.

    Parameters
    ----------
    compared : sequence of mapping
        Printed table with ``setting``, ``item`` (the category), ``paper`` and ``ours`` in percent.
    names : mapping of str to str
        The settings to show, and what to call them.

    Returns
    -------
    plotly.graph_objects.Figure
        Open markers are the paper's, filled ones ours.
    """
    figure = go.Figure()
    for (setting, name), (colour, symbol) in zip(names.items(), _LOOKS, strict=False):
        cells = [row for row in compared if row["setting"] == setting]
        for whose, suffix in (("paper", "-open"), ("ours", "")):
            figure.add_scatter(
                x=[row["item"] for row in cells],
                y=[row[whose] for row in cells],
                mode="markers",
                marker={"color": colour, "symbol": f"{symbol}{suffix}", "size": 12},
                name=f"{name}, {whose}",
                offsetgroup=f"{name}{whose}",
            )
    lowest = min(min(trace.y) for trace in figure.data)
    figure.update_yaxes(range=[lowest - 5, 101])
    return finished(figure, x="category", y="AUROC, %").update_layout(scattermode="group")


def _short(predictor: str) -> str:
    return predictor.removeprefix("level ")  # on a phone there is room for a digit


def _categories(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["category"] for row in rows))
