"""Figures of what things cost: ratios to the plain way, and how the cost grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gad_core.figures.style import ANOMALOUS, MODEL, NEUTRAL, NORMAL, finished

ROW, TEXT_ABOVE, MARK = 76, 30, 26
"""Pixels: height of a comparison, of its text above the bar's middle, and of the mark."""

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
        One bar a comparison, its name and value written above it, and a mark where the target is.
    """
    shown = [row for row in rows if row["ratio"] is not None][::-1]
    places = np.arange(len(shown))
    figure = go.Figure()
    figure.add_bar(
        x=[row["ratio"] for row in shown],
        y=places,
        width=0.4,
        orientation="h",
        marker={"color": NORMAL},
        name="measured",
    )
    figure.add_scatter(
        x=[row["target"] for row in shown],
        y=places,
        mode="markers",
        marker={"color": ANOMALOUS, "symbol": "line-ns-open", "size": MARK, "line": {"width": 3}},
        name="asked for",
    )
    # In a line of its own, where neither bar nor mark can cover it, however long they are.
    figure.add_scatter(
        x=[1] * len(shown),
        y=places + TEXT_ABOVE / ROW,
        mode="text",
        text=[f"{names[row['what']]}: <b>{row['ratio']:.3g} times</b>" for row in shown],
        textposition="middle right",
        textfont={"size": 14},
        showlegend=False,
        hoverinfo="skip",
    )
    finished(figure, x="times faster than the plain way", height=90 + ROW * len(shown) + TEXT_ABOVE // 2)
    most = max(max(row["ratio"], row["target"]) for row in shown)
    figure.update_xaxes(
        type="log",
        dtick=1,
        ticks="outside",
        tickcolor=NEUTRAL,
        showgrid=False,
        range=[0, np.log10(1.3 * most)],
    )
    figure.update_yaxes(visible=False, range=[-0.5, len(shown) - 0.5 + TEXT_ABOVE // 2 / ROW])
    return figure.update_layout(margin={"l": 20})


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
