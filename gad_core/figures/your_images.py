"""Figures of the chapter on the reader's own images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from gad_core.figures.pictures import small_jpeg
from gad_core.figures.style import finished


def ranked(
    images: Sequence[NDArray[np.uint8]],
    distances: ArrayLike,
    threshold: float,
    rows: int = 2,
    columns: int = 5,
) -> go.Figure:
    """Show some images in the order of their distances, and which lie beyond the threshold.

    Parameters
    ----------
    images : sequence of (H, W, 3) uint8 arrays
        The images.
    distances : (m,) array
        Of the images.
    threshold : float
        A distance above it gets a cross, one below a dot.
    rows, columns : int
        How many are shown, evenly from the nearest to the furthest.

    Returns
    -------
    plotly.graph_objects.Figure
        From left to right and top to bottom.
    """
    distances = np.asarray(distances)
    order = np.argsort(distances)
    chosen = order[np.linspace(0, len(order) - 1, rows * columns).round().astype(int)]
    titles = [f"{'✕' if distances[i] > threshold else '·'} {distances[i]:.1f}" for i in chosen]
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=titles, horizontal_spacing=0.01, vertical_spacing=0.1
    )
    for place, number in enumerate(chosen):
        picture = go.Image(source=small_jpeg(images[number]), hoverinfo="skip")
        figure.add_trace(picture, row=place // columns + 1, col=place % columns + 1)
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return finished(figure, height=190 * rows).update_layout(margin={"l": 5, "r": 5, "t": 35, "b": 5})
