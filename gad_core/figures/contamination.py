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
_PANELS = {"auroc": "AUROC, %", "fpr": "obtained FPR, %", "tpr": "obtained TPR, %"}


def by_share(rows: Sequence[Mapping[str, Any]], chosen: str, fpr: float = 0.05) -> go.Figure:
    """Draw AUROC and obtained rates against the share of anomalies, with a menu for the category.

    Parameters
    ----------
    rows : sequence of mapping
        Of `gad_core.experiments.contamination.contamination_summary`, for one network and predictor.
    chosen : str
        The category that is shown first.
    fpr : float
        The false-positive rate that was chosen, a fraction; drawn as a line.

    Returns
    -------
    plotly.graph_objects.Figure
        A panel for each of AUROC, FPR and TPR; error bars are standard errors over draws.
    """
    figure = make_subplots(cols=len(_PANELS), subplot_titles=list(_PANELS.values()), horizontal_spacing=0.07)
    categories = list(dict.fromkeys(row["category"] for row in rows))
    for category in categories:
        for estimate, look in _ESTIMATES.items():
            cells = [r for r in rows if (r["category"], r["estimate"]) == (category, estimate)]
            for column, quantity in enumerate(_PANELS, start=1):
                line = _line(cells, quantity, estimate, look)
                line.update(visible=category == chosen, showlegend=column == 1)
                figure.add_trace(line, row=1, col=column)
    each = len(figure.data) // len(categories)
    buttons = [
        {
            "label": category,
            "method": "restyle",
            "args": [{"visible": [shown == category for shown in categories for _ in range(each)]}],
        }
        for category in categories
    ]
    menu = {"buttons": buttons, "active": categories.index(chosen), "x": 1, "xanchor": "right", "y": 1.35}
    figure.add_hline(y=100 * fpr, line={"dash": "dot", "color": NEUTRAL}, row=1, col=2)
    figure.update_yaxes(rangemode="tozero", row=1, col=2).update_yaxes(range=[0, 103], row=1, col=3)
    finished(figure, x="share of anomalies, %", height=430)
    return figure.update_layout(updatemenus=[menu], margin={"t": 120}, legend={"y": 1.15})


def _line(cells: Sequence[Mapping[str, Any]], quantity: str, name: str, look: tuple) -> go.Scatter:
    colour, dash, symbol = look
    return go.Scatter(
        x=[100 * cell["share"] for cell in cells],
        y=[100 * cell[quantity] for cell in cells],
        error_y={"array": [100 * (cell[f"{quantity}_sem"] or 0) for cell in cells], "thickness": 1},
        mode="lines+markers",
        name=name,
        legendgroup=name,
        line={"color": colour, "dash": dash},
        marker={"color": colour, "symbol": symbol, "size": 8},
    )


def training_histogram(
    held_out: NDArray[np.float64], injected: NDArray[np.bool_], threshold: float
) -> go.Figure:
    """Draw the held-out distances of training images, the anomalies among them apart.

    Parameters
    ----------
    held_out : (n,) array
        Distances M, each to the Gaussian without the image's fold.
    injected : (n,) array of bool
        Which training images are anomalies.
    threshold : float
        Drawn as a line.

    Returns
    -------
    plotly.graph_objects.Figure
        Both histograms share their bins and are stacked.
    """
    figure = go.Figure(_bars(held_out, injected, _edges([held_out])))
    figure.add_vline(x=threshold, line={"dash": "dash"}, annotation_text="threshold")
    return _stacked(figure)


def training_histograms(
    draws: Mapping[float, tuple[NDArray[np.float64], NDArray[np.bool_], float]],
) -> go.Figure:
    """Draw `training_histogram` for several shares of anomalies, with a slider for the share.

    Parameters
    ----------
    draws : mapping of float to (array, array, float)
        For each share, a fraction, the arguments of `training_histogram`.

    Returns
    -------
    plotly.graph_objects.Figure
        All shares have the same bins and axes; the first is shown.
    """
    edges = _edges([held_out for held_out, _, _ in draws.values()])
    bars = {share: _bars(held_out, injected, edges) for share, (held_out, injected, _) in draws.items()}
    highest = max(sum(np.asarray(bar.y) for bar in each).max() for each in bars.values())
    figure = go.Figure([*next(iter(bars.values())), _threshold(next(iter(draws.values()))[2], highest)])
    steps = [
        {
            "label": f"{100 * share:g} %",
            "method": "restyle",
            "args": [
                {
                    "x": [*[list(bar.x) for bar in bars[share]], [threshold, threshold]],
                    "y": [*[list(bar.y) for bar in bars[share]], [0, highest]],
                }
            ],
        }
        for share, (_, _, threshold) in draws.items()
    ]
    slider = {
        "steps": steps,
        "currentvalue": {"prefix": "share of anomalies in training: "},
        "pad": {"t": 50},
    }
    figure.update_xaxes(range=[edges[0], edges[-1]]).update_yaxes(range=[0, 1.05 * highest])
    return _stacked(figure, 500).update_layout(sliders=[slider])


def _threshold(value: float, height: float) -> go.Scatter:
    line = {"dash": "dash", "color": NEUTRAL}
    return go.Scatter(x=[value, value], y=[0, height], mode="lines", line=line, name="threshold")


def _edges(distances: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.histogram_bin_edges(np.concatenate(distances), bins=40)


def _bars(
    held_out: NDArray[np.float64], injected: NDArray[np.bool_], edges: NDArray[np.float64]
) -> list[go.Bar]:
    centres = (edges[:-1] + edges[1:]) / 2
    kinds = (("normal", ~injected, NORMAL, ""), ("anomalies among them", injected, ANOMALOUS, "/"))
    return [
        go.Bar(
            x=centres,
            y=np.histogram(held_out[which], edges)[0],
            name=name,
            marker={"color": colour, "pattern": {"shape": pattern}},
        )
        for name, which, colour, pattern in kinds
    ]


def _stacked(figure: go.Figure, height: int = 400) -> go.Figure:
    finished(figure, x="held-out distance <i>M</i> of a training image", y="number of training images")
    return figure.update_layout(barmode="stack", bargap=0, height=height)


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
        name = f"<i>M</i> = {distance:g} without contamination"
        figure.add_scatter(x=100 * shares, y=seen, line=line, name=name)
    bound = 1 / np.sqrt(shares * (1 - shares))
    figure.add_scatter(x=100 * shares, y=bound, line={"color": NEUTRAL, "dash": "dot"}, name="bound")
    figure.update_yaxes(type="log")
    return finished(figure, x="share of anomalies, %", y="<i>M</i> of the anomalies")
