"""Figures of the chapter on results: networks side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from gad_core.figures.style import ANOMALOUS, MODEL, NEUTRAL, NORMAL, finished

_LOOKS = ((NEUTRAL, "circle-open"), (NORMAL, "square"), (MODEL, "diamond"), (ANOMALOUS, "star"))


def networks(rows: Sequence[Mapping[str, Any]], chosen: str = "joint") -> go.Figure:
    """Compare the AUROC of networks on each category, with a menu for the way levels are combined.

    Parameters
    ----------
    rows : sequence of mapping
        With ``network``, ``category``, ``combine`` and, as fractions, ``auroc``, ``auroc_low`` and
        ``auroc_high``. At most four networks.
    chosen : str
        The entry of ``combine`` that is shown first.

    Returns
    -------
    plotly.graph_objects.Figure
        Categories are along the x axis; the bars are intervals.
    """
    combines = list(dict.fromkeys(row["combine"] for row in rows))
    names = list(dict.fromkeys(row["network"] for row in rows))
    figure = go.Figure()
    for combine in combines:
        for name, (colour, symbol) in zip(names, _LOOKS, strict=False):
            cells = [row for row in rows if (row["network"], row["combine"]) == (name, combine)]
            figure.add_trace(_points(cells, name, colour, symbol).update(visible=combine == chosen))
    buttons = [
        {
            "label": combine,
            "method": "restyle",
            "args": [{"visible": [shown == combine for shown in combines for _ in names]}],
        }
        for combine in combines
    ]
    figure.update_layout(
        scattermode="group",
        updatemenus=[
            {"buttons": buttons, "active": combines.index(chosen), "x": 1, "xanchor": "right", "y": 1.2}
        ],
    )
    figure.add_hline(y=50, line={"dash": "dot", "color": NEUTRAL}, annotation_text="guessing")
    figure.update_yaxes(range=[0, 103])
    return finished(figure, x="category", y="AUROC, %", height=450)


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
