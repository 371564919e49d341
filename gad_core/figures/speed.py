"""Figures of what things cost: ratios to the plain way, and how the cost grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gad_core.figures.style import ANOMALOUS, MODEL, NEUTRAL, NORMAL, finished

_LOOKS = ((NORMAL, "solid", "circle"), (ANOMALOUS, "dash", "square"), (MODEL, "dot", "diamond"))


def ratios(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> go.Figure:
    """Draw how many times faster the library is than the plain way, on a logarithmic axis.

    Parameters
    ----------
    rows : sequence of mapping
        With ``what``, ``ratio`` and ``target``; those without a ratio are left out.
    names : mapping of str to str
        What each ``what`` is called in the figure.

    Returns
    -------
    plotly.graph_objects.Figure
        One bar a comparison, its value written beside it, and a mark where the target is.
    """
    shown = [row for row in rows if row["ratio"] is not None][::-1]
    labels = [names[row["what"]] for row in shown]
    figure = go.Figure()
    figure.add_bar(
        x=[row["ratio"] for row in shown],
        y=labels,
        orientation="h",
        marker={"color": NORMAL},
        text=[f"{row['ratio']:.3g} times" for row in shown],
        textposition="outside",
        textangle=0,
        name="measured",
    )
    figure.add_scatter(
        x=[row["target"] for row in shown],
        y=labels,
        mode="markers",
        marker={"color": ANOMALOUS, "symbol": "line-ns-open", "size": 26, "line": {"width": 3}},
        name="asked for",
    )
    finished(figure, x="times faster than the plain way", height=120 + 60 * len(shown))
    most = max(max(row["ratio"], row["target"]) for row in shown)
    figure.update_xaxes(type="log", dtick=1, range=[0, np.log10(4 * most)])  # with room for the text
    return figure.update_layout(margin={"l": 190})


def growth(rows: Sequence[Mapping[str, Any]], grows: str) -> go.Figure:
    """Draw the cost against the size of what grows, both logarithmic, with the fitted exponents.

    Parameters
    ----------
    rows : sequence of mapping
        With ``grows``, ``what``, ``size``, ``seconds`` and ``exponent``.
    grows : str
        Which of them to draw.

    Returns
    -------
    plotly.graph_objects.Figure
        A line for each thing measured; its name ends with the exponent. A grey line grows in proportion.
    """
    chosen = [row for row in rows if row["grows"] == grows]
    figure = go.Figure()
    for what, (colour, dash, symbol) in zip(
        dict.fromkeys(row["what"] for row in chosen), _LOOKS, strict=False
    ):
        own = [row for row in chosen if row["what"] == what]
        figure.add_scatter(
            x=[row["size"] for row in own],
            y=[row["seconds"] for row in own],
            mode="lines+markers",
            line={"color": colour, "dash": dash},
            marker={"symbol": symbol, "size": 9},
            name=f"{what}: exponent {own[0]['exponent']:.2f}",
        )
    sizes = np.array(sorted({row["size"] for row in chosen}), dtype=float)
    figure.add_scatter(
        x=sizes,
        y=min(row["seconds"] for row in chosen) * sizes / sizes[0],
        mode="lines",
        line={"color": NEUTRAL, "dash": "longdash", "width": 1},
        name="in proportion",
    )
    finished(figure, x="size of what grows", y="seconds", height=470)
    figure.update_xaxes(type="log")
    return figure.update_yaxes(type="log")
