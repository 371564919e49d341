"""Colours and layout that all figures share: safe for the colour-blind, readable on light and dark pages."""

from __future__ import annotations

import plotly.graph_objects as go

NORMAL, ANOMALOUS, MODEL, NEUTRAL = "#0072B2", "#D55E00", "#009E73", "#8C8C8C"
"""Okabe and Ito's blue, vermilion and green, and a grey; a dash, pattern or marker always goes with them."""


def finished(figure: go.Figure, *, x: str = "", y: str = "", height: int = 400) -> go.Figure:
    """Give a figure the book's look and its axes their titles.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        The figure; it is changed and returned.
    x, y : str
        Titles of the axes, with units.
    height : int
        In pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        The same figure.
    """
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        font={"size": 14},
    )
    # Without a tick, a bar at the end of the axis touches the numbers beside it.
    figure.update_yaxes(ticks="outside", ticklen=4, tickcolor="rgba(0,0,0,0)")
    if x:
        figure.update_xaxes(title=x)
    if y:
        figure.update_yaxes(title=y)
    return figure
