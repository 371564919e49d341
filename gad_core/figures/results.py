"""Figures of the chapter on results: networks side by side."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from gad_core.figures.style import ANOMALOUS, MODEL, NEUTRAL, NORMAL, finished

_LOOKS = ((NEUTRAL, "circle-open"), (NORMAL, "square"), (MODEL, "diamond"), (ANOMALOUS, "star"))


def networks(rows: Sequence[Mapping[str, Any]], predictor: str = "joint") -> go.Figure:
    """Compare the AUROC of networks on each category.

    Parameters
    ----------
    rows : sequence of mapping
        With ``network``, ``category``, ``predictor`` and, as fractions, ``auroc``, ``auroc_low`` and
        ``auroc_high``.
    predictor : str
        The entry of ``predictor`` that is shown.

    Returns
    -------
    plotly.graph_objects.Figure
        Categories are along the x axis; the bars are intervals.
    """
    names = list(dict.fromkeys(row["network"] for row in rows))
    figure = go.Figure()
    for name, (colour, symbol) in zip(names, itertools.cycle(_LOOKS), strict=False):
        cells = [row for row in rows if (row["network"], row["predictor"]) == (name, predictor)]
        figure.add_trace(_points(cells, name, colour, symbol))
    figure.add_hline(y=50, line={"dash": "dot", "color": NEUTRAL}, annotation_text="guessing")
    figure.update_yaxes(range=[0, 103])
    return finished(figure, x="category", y="AUROC, %", height=430).update_layout(scattermode="group")


def peers(rows: Sequence[Mapping[str, Any]], item: str) -> go.Figure:
    """Set methods side by side on one category, or on the mean over all.

    Parameters
    ----------
    rows : sequence of mapping
        With ``method``, ``item``, ``auroc`` (a fraction) and ``group``, which gives colour and marker. The
        methods are ordered by their ``"mean"``; those without one stand below.
    item : str
        What is shown.

    Returns
    -------
    plotly.graph_objects.Figure
        One line a method, without a point where there is no value.
    """
    means = {row["method"]: row["auroc"] for row in rows if row["item"] == "mean"}
    methods = sorted(dict.fromkeys(row["method"] for row in rows), key=lambda name: means.get(name, 0))
    groups = dict.fromkeys(row["group"] for row in rows)
    figure = go.Figure()
    for group, (colour, symbol) in zip(groups, _LOOKS[1:], strict=False):
        cells = {row["method"]: row for row in rows if (row["group"], row["item"]) == (group, item)}
        figure.add_scatter(
            x=[100 * cells[name]["auroc"] if name in cells else None for name in methods],
            y=["<br>".join(textwrap.wrap(name, 22)) for name in methods],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 11},
            name=group,
        )
    figure.update_xaxes(range=[60, 101.5])
    figure.update_yaxes(showgrid=True, automargin=True, tickfont={"size": 11})
    return finished(figure, x="AUROC, %", height=200 + 34 * len(methods))


def _points(cells: Sequence[Mapping[str, Any]], name: str, colour: str, symbol: str) -> go.Scatter:
    percent = [100 * cell["auroc"] for cell in cells]
    return go.Scatter(
        x=[cell["category"] for cell in cells],
        y=percent,
        error_y={
            "array": [100 * cell["auroc_high"] - value for cell, value in zip(cells, percent, strict=True)],
            "arrayminus": [
                value - 100 * cell["auroc_low"] for cell, value in zip(cells, percent, strict=True)
            ],
            "thickness": 1,
        },
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 11},
        name=name,
        offsetgroup=name,
    )


def levels(predictors: Sequence[int | str], table: Mapping[str, Sequence[float]]) -> go.Figure:
    """Draw the AUROC of each level and of the ways to combine them, one line a category.

    Parameters
    ----------
    predictors : sequence of int or str
        Levels, then ``"sum"`` and ``"joint"``.
    table : mapping of str to sequence of float
        For each category the AUROC, a fraction, of each predictor.

    Returns
    -------
    plotly.graph_objects.Figure
        Levels are joined by lines; the combined predictors stand apart.
    """
    names = [f"level {p}" if isinstance(p, int) else p for p in predictors]
    single = sum(isinstance(p, int) for p in predictors)
    figure = go.Figure()
    dashes = itertools.cycle(("solid", "dash", "dot"))
    looks = zip(table.items(), itertools.cycle(_LOOKS[1:]), dashes, strict=False)
    for (category, values), (colour, symbol), dash in looks:
        percent = [100 * value for value in values]
        marker = {"color": colour, "symbol": symbol, "size": 10}
        for where, mode in ((slice(single), "lines+markers"), (slice(single, None), "markers")):
            figure.add_scatter(
                x=names[where],
                y=percent[where],
                mode=mode,
                name=category,
                legendgroup=category,
                showlegend=mode != "markers",
                line={"color": colour, "dash": dash},
                marker=marker,
            )
    figure.add_hline(y=50, line={"dash": "dot", "color": NEUTRAL}, annotation_text="guessing")
    figure.update_yaxes(range=[-3, 103])
    return finished(figure, x="predictor", y="AUROC, %")
