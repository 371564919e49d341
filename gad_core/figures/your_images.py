"""Figures of the chapter on images of one's own: pictures in the order of their distance, and a threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from gad_core.figures.gallery import Panel
from gad_core.figures.style import ANOMALOUS, NEUTRAL, NORMAL, finished

FRAME = 0.04
"""Width of a frame, of the picture's shorter side."""


def ranked_pictures(
    images: Sequence[NDArray[np.uint8]], distances: NDArray[np.float64], threshold: float
) -> Panel:
    """Show pictures in the order of their distances, those beyond the threshold framed.

    Parameters
    ----------
    images : sequence of (H, W, 3) uint8 array
        The pictures, in any order.
    distances : (m,) array
        The distance of each; it stands below the picture.
    threshold : float
        Pictures with a larger distance get a frame and a cross.

    Returns
    -------
    Panel
        As many in a row as there is room for.
    """
    pictures = []
    for number in np.argsort(distances, kind="stable"):
        beyond = distances[number] > threshold
        picture = _framed(images[number]) if beyond else images[number]
        pictures.append((f"{distances[number]:.1f}{' ✕' if beyond else ''}", picture))
    return Panel(pictures, f"Framed, ✕: beyond the threshold {threshold:.1f}")


def _framed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    width = max(1, round(FRAME * min(image.shape[:2])))
    framed = np.empty_like(image)
    framed[:] = [int(ANOMALOUS[k : k + 2], 16) for k in (1, 3, 5)]
    framed[width:-width, width:-width] = image[width:-width, width:-width]
    return framed


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
