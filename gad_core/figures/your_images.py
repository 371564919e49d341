"""Figures of the chapter on images of one's own: pictures in the order of their distance, and a threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gad_core.figures.pictures import small_jpeg
from gad_core.figures.style import ANOMALOUS, NEUTRAL, NORMAL, finished

PICTURE, ROW = 0.9, 1.15
"""Side of a picture and height of a row, where columns lie 1 apart; a number stands in what is left."""

PICTURE_PIXELS = 140


def ranked_pictures(
    images: Sequence[NDArray[np.uint8]], distances: NDArray[np.float64], threshold: float, columns: int = 5
) -> go.Figure:
    """Show pictures row by row in the order of their distances, those beyond the threshold framed.

    Parameters
    ----------
    images : sequence of (H, W, 3) uint8 array
        The pictures, in any order.
    distances : (m,) array
        The distance of each; it stands below the picture.
    threshold : float
        Pictures with a larger distance get a frame and a cross.
    columns : int
        Pictures in a row.

    Returns
    -------
    plotly.graph_objects.Figure
        Without axes.
    """
    order = np.argsort(distances, kind="stable")
    rows = -(-len(order) // columns)
    figure = go.Figure()
    frames: list[tuple[float | None, float | None]] = []
    texts: list[tuple[float, float, str]] = []
    for place, number in enumerate(order):
        x, y = place % columns, -ROW * (place // columns)
        figure.add_layout_image(
            source=small_jpeg(images[number], PICTURE_PIXELS), x=x, y=y, sizex=PICTURE, sizey=PICTURE,
            xref="x", yref="y", xanchor="center", yanchor="middle",
        )  # fmt: skip
        beyond = distances[number] > threshold
        frames += _frame(x, y) if beyond else []
        texts.append((x, y - ROW / 2, f"{distances[number]:.1f}{' ✕' if beyond else ''}"))
    line = {"color": ANOMALOUS, "width": 3}
    name = f"beyond the threshold {threshold:.1f} (✕)"
    figure.add_scatter(**_columns(frames, "x", "y"), mode="lines", line=line, name=name)
    figure.add_scatter(**_columns(texts, "x", "y", "text"), mode="text", showlegend=False)
    figure.update_traces(hoverinfo="skip")
    figure.update_xaxes(visible=False, range=[-0.5, columns - 0.5], constrain="domain")
    low = -ROW * (rows - 0.5) - 0.1
    figure.update_yaxes(
        visible=False, range=[low, 0.5], scaleanchor="x", constrain="domain", constraintoward="top"
    )
    figure = finished(figure, height=60 + 155 * rows)
    return figure.update_layout(margin={"l": 5, "r": 5, "t": 40, "b": 5}, showlegend=bool(frames))


def _columns(rows: Sequence[tuple], *names: str) -> dict[str, list]:
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _frame(x: float, y: float) -> list[tuple[float | None, float | None]]:
    half = PICTURE / 2
    corners = [(-half, -half), (half, -half), (half, half), (-half, half), (-half, -half)]
    return [*((x + dx, y + dy) for dx, dy in corners), (None, None)]


def sorted_distances(
    distances: NDArray[np.float64], labels: NDArray[np.int64], threshold: float
) -> go.Figure:
    """Draw distances in ascending order with a threshold, and say what it finds.

    Parameters
    ----------
    distances : (m,) array
        Of normal and anomalous pictures.
    labels : (m,) array
        1 for anomalies.
    threshold : float
        The legend counts the pictures beyond it.

    Returns
    -------
    plotly.graph_objects.Figure
        Its layout does not depend on the threshold.
    """
    rank = np.empty(len(distances), dtype=int)
    rank[np.argsort(distances, kind="stable")] = np.arange(1, len(distances) + 1)
    figure = go.Figure()
    for name, label, colour, symbol in (("good", 0, NORMAL, "circle"), ("defect", 1, ANOMALOUS, "x")):
        mine = labels == label
        marker = {"color": colour, "symbol": symbol, "size": 9}
        beyond = f"{name}: {np.sum(distances[mine] > threshold)} of {np.sum(mine)} beyond"
        figure.add_scatter(x=rank[mine], y=distances[mine], mode="markers", marker=marker, name=beyond)
    line = {"color": NEUTRAL, "dash": "dash"}
    ends = [0, len(distances) + 1]
    figure.add_scatter(x=ends, y=[threshold] * 2, mode="lines", line=line, name=f"threshold {threshold:.1f}")
    return finished(figure, x="picture, nearest first", y="distance <i>M</i>")
