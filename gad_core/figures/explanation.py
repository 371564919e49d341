"""Figures of the chapter on what the detector looks at: maps on images, AUROC before and after a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from gad_core.figures.pictures import SIDE, small_jpeg
from gad_core.figures.style import ANOMALOUS, MODEL, NEUTRAL, NORMAL, finished


def explained(
    image: NDArray[np.uint8], overlay: NDArray[np.uint8], mask: NDArray[np.bool_], title: str = ""
) -> go.Figure:
    """Show an image, its score map and its mask side by side.

    Parameters
    ----------
    image, overlay : (H, W, 3) uint8 arrays
        The image, and the map laid over it (`gad_core.explain.overlay.overlay`).
    mask : (H, W) bool array
        Where the defect is.
    title : str
        Shown below the map.

    Returns
    -------
    plotly.graph_objects.Figure
        Three pictures.
    """
    names = ("image", "score map", "mask")
    figure = make_subplots(cols=3, subplot_titles=names, horizontal_spacing=0.02)
    white = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    for column, picture in enumerate((image, overlay, white), start=1):
        figure.add_trace(go.Image(source=small_jpeg(picture), hoverinfo="skip"), row=1, col=column)
    # A trace, and no title, so that a menu can change it.
    text = {"x": [SIDE / 2], "y": [SIDE + 14], "text": [title], "mode": "text", "showlegend": False}
    figure.add_trace(go.Scatter(**text, hoverinfo="skip", cliponaxis=False), row=1, col=2)
    # On a phone the pictures are small, and have to stay below their names.
    figure.update_xaxes(visible=False, range=[0, SIDE], constrain="domain")
    figure.update_yaxes(visible=False, range=[SIDE + 24, 0], constrain="domain", constraintoward="top")
    return finished(figure, height=265).update_layout(margin={"l": 5, "r": 5, "t": 35, "b": 5})


def before_and_after(rows: Sequence[Mapping[str, Any]], change: str) -> go.Figure:
    """Draw the AUROC of each predictor before and after a change of all images.

    Parameters
    ----------
    rows : sequence of mapping
        With ``predictor`` and, as fractions, ``before``, ``after`` and their intervals ``<name>_low`` and
        ``<name>_high``.
    change : str
        What was changed, for the legend.

    Returns
    -------
    plotly.graph_objects.Figure
        The bars are intervals.
    """
    figure = go.Figure()
    looks = (("before", "as they are", ANOMALOUS, "x"), ("after", change, NORMAL, "circle"))
    for name, label, colour, symbol in looks:
        values = np.array([[100 * row[f"{name}{end}"] for end in ("", "_low", "_high")] for row in rows])
        figure.add_scatter(
            x=[row["predictor"].removeprefix("level ") for row in rows],
            y=values[:, 0],
            error_y={
                "array": values[:, 2] - values[:, 0],
                "arrayminus": values[:, 0] - values[:, 1],
                "thickness": 1,
            },
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 11},
            name=label,
            offsetgroup=name,
        )
    figure.add_hline(y=50, line={"dash": "dot", "color": NEUTRAL}, annotation_text="guessing")
    figure.update_yaxes(range=[-3, 103]).update_xaxes(tickfont={"size": 12})  # else two meet on a phone
    return finished(figure, x="level, or how levels are combined", y="AUROC, %", height=440).update_layout(
        scattermode="group"
    )


def exchange_curves(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Draw how the distance changes while pixels are exchanged in the order of a map, and of a wrong one.

    Parameters
    ----------
    rows : sequence of mapping
        With ``curve`` ("deletion" or "insertion"), ``map``, ``share`` and ``score`` with its interval
        ``score_low``, ``score_high``, as fractions.

    Returns
    -------
    plotly.graph_objects.Figure
        A panel for each kind of curve, a line for each map; the bars are intervals.
    """
    kinds, maps = (list(dict.fromkeys(row[key] for row in rows)) for key in ("curve", "map"))
    # One title for all x axes: on a phone two would lie on each other.
    figure = make_subplots(
        cols=len(kinds),
        subplot_titles=kinds,
        x_title="pixels exchanged, %",
        shared_yaxes=True,
        horizontal_spacing=0.04,
    )
    looks = ((ANOMALOUS, "solid", "circle"), (NEUTRAL, "dash", "x"))
    for column, kind in enumerate(kinds, start=1):
        for name, (colour, dash, symbol) in zip(maps, looks, strict=True):
            chosen = [row for row in rows if (row["curve"], row["map"]) == (kind, name)]
            keys = ("share", "score", "score_low", "score_high")
            share, score, low, high = (100 * np.array([row[key] for row in chosen]) for key in keys)
            errors = {"array": high - score, "arrayminus": score - low, "thickness": 1}
            line, marker = {"color": colour, "dash": dash}, {"symbol": symbol, "size": 8}
            figure.add_scatter(x=share, y=score, error_y=errors, line=line, marker=marker, name=name,
                               legendgroup=name, showlegend=column == 1, row=1, col=column)  # fmt: skip
    figure.update_yaxes(rangemode="tozero")
    finished(figure, height=400).update_yaxes(title="distance, %", col=1)
    return figure.update_layout(legend={"y": 1.1})


def decomposition_bars(parts: Mapping[str, Sequence[float]], names: Sequence[str]) -> go.Figure:
    """Draw how the squared distance of some images is made up.

    Parameters
    ----------
    parts : mapping of str to sequence of float
        For each image the terms that add up to its squared distance.
    names : sequence of str
        Of the terms.

    Returns
    -------
    plotly.graph_objects.Figure
        A bar for each image and term, in percent of the image's squared distance.
    """
    figure = go.Figure()
    looks = ((NORMAL, ""), (ANOMALOUS, "/"), (MODEL, "x"))
    for (image, terms), (colour, pattern) in zip(parts.items(), looks, strict=False):
        marker = {"color": colour, "pattern": {"shape": pattern}}
        percent = 100 * np.asarray(terms) / np.sum(terms)
        figure.add_bar(x=list(names), y=percent, name=image, marker=marker)
    return finished(figure, y="share of <i>M</i><sup>2</sup>, %", height=360)
