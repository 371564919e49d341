"""Figures of the chapter on contaminated training data: accuracy and rates by share, one draw in detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from gad_core.figures.style import ANOMALOUS, MODEL, NEUTRAL, NORMAL, finished

_ESTIMATES = {
    "clean": (NEUTRAL, "dot", "circle-open"),
    "plain": (ANOMALOUS, "solid", "x"),
    "trimmed": (NORMAL, "dash", "square"),
    "robust": (MODEL, "dashdot", "diamond"),
}
_PANELS = {"auroc": "AUROC, %", "tpr": "TPR, %"}


def by_share(rows: Sequence[Mapping[str, Any]], lowest: float = 50) -> go.Figure:
    """Draw AUROC and the share of detected anomalies against the share of anomalies in training.

    Parameters
    ----------
    rows : sequence of mapping
        Of `gad_core.experiments.contamination.contamination_summary`, for one category and predictor.
    lowest : float
        AUROC at which its axis begins, in percent.

    Returns
    -------
    plotly.graph_objects.Figure
        A panel for each quantity, a line for each estimate; error bars are standard errors over draws.
    """
    titles = list(_PANELS.values())
    # One title for both x axes: on a phone two would lie on each other.
    figure = make_subplots(
        cols=2, subplot_titles=titles, x_title="anomalies in training, %", horizontal_spacing=0.12
    )
    for estimate, (colour, dash, symbol) in _ESTIMATES.items():
        cells = [row for row in rows if row["estimate"] == estimate]
        for column, quantity in enumerate(_PANELS, start=1):
            figure.add_scatter(
                x=[100 * cell["share"] for cell in cells],
                y=[100 * cell[quantity] for cell in cells],
                error_y={"array": [100 * (cell[f"{quantity}_sem"] or 0) for cell in cells], "thickness": 1},
                name=estimate,
                legendgroup=estimate,
                showlegend=column == 1,
                line={"color": colour, "dash": dash},
                marker={"color": colour, "symbol": symbol, "size": 8},
                mode="lines+markers",
                row=1,
                col=column,
            )
    figure.update_yaxes(range=[lowest, 100.5], col=1).update_yaxes(range=[0, 103], col=2)
    finished(figure, height=420)
    return figure.update_layout(legend={"y": 1.12}, margin={"t": 90})


def training_histogram(
    held_out: NDArray[np.float64],
    injected: NDArray[np.bool_],
    threshold: float,
    edges: NDArray[np.float64],
) -> go.Figure:
    """Draw the held-out distances of training images, and which of them are anomalies.

    Parameters
    ----------
    held_out : (n,) array
        Distances M, each to the Gaussian without the image's fold.
    injected : (n,) array of bool
        Which training images are anomalies.
    threshold : float
        Drawn as a line.
    edges : (k,) array
        Of the bins; a distance beyond the last is counted in the last bin.

    Returns
    -------
    plotly.graph_objects.Figure
        The histograms are stacked.
    """
    figure, top = go.Figure(), 0.2 * len(held_out)
    within = np.clip(held_out, edges[0], edges[-1])
    kinds = (("normal", ~injected, NORMAL, ""), ("anomalies that nobody marked", injected, ANOMALOUS, "/"))
    for name, which, colour, pattern in kinds:
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=np.histogram(within[which], edges)[0],
            name=name,
            marker={"color": colour, "pattern": {"shape": pattern}},
        )
    line = {"dash": "dash", "color": "black"}
    figure.add_scatter(x=[threshold] * 2, y=[0, top], mode="lines", line=line, name="threshold")
    figure.update_xaxes(range=[edges[0], edges[-1]]).update_yaxes(rangemode="tozero")
    figure.update_layout(barmode="stack", bargap=0)
    return finished(figure, x="held-out distance <i>M</i>", y="training images")


def masking(shares: NDArray[np.float64], distances: Mapping[float, NDArray[np.float64]]) -> go.Figure:
    """Draw how far equal anomalies lie from a Gaussian that was fitted with them, against their share.

    Parameters
    ----------
    shares : (k,) array
        Shares of anomalies, fractions.
    distances : mapping of float to (k,) array
        For each distance M to the Gaussian of the normal samples alone, the distance at each share.

    Returns
    -------
    plotly.graph_objects.Figure
        With the bound that no distance exceeds.
    """
    figure = go.Figure()
    looks = ((NORMAL, "solid"), (MODEL, "dash"), (ANOMALOUS, "dashdot"))
    for (distance, seen), (colour, dash) in zip(distances.items(), looks, strict=False):
        line = {"color": colour, "dash": dash}
        name = f"<i>M</i> = {distance:g} without them"
        figure.add_scatter(x=100 * shares, y=seen, line=line, name=name)
    bound = np.sqrt((1 - shares) / shares)
    figure.add_scatter(x=100 * shares, y=bound, line={"color": NEUTRAL, "dash": "dot"}, name="bound")
    figure.update_yaxes(type="log", tickvals=[1, 2, 3, 5, 10, 20, 30])
    return finished(figure, x="share of anomalies, %", y="<i>M</i> of the anomalies")
