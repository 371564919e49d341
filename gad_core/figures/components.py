"""Figures of the chapter on components: where anomalies differ, and what subspaces make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from gad_core.evaluation import auroc
from gad_core.experiments.components import ComponentEffects, SubspaceCurves
from gad_core.figures.method import distance_histogram
from gad_core.figures.style import ANOMALOUS, MODEL, NEUTRAL, NORMAL, finished

NEIGHBOURS = 15
"""Components over which the lines of effects are averaged."""


def spectrum_and_effects(effects: ComponentEffects, shares: Sequence[float]) -> go.Figure:
    """Draw the spectrum of normal data and, below, the squared z-scores of test samples along it.

    Parameters
    ----------
    effects : ComponentEffects
        Of one category and level.
    shares : sequence of float
        Shares of the variance; a line stands at the component at which each is exceeded.

    Returns
    -------
    plotly.graph_objects.Figure
        Both panels have logarithmic y axes and share the x axis. Dots are single components, lines means over
        `NEIGHBOURS` of them, and the symbols at the right the directions outside, each on average.
    """
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.4, 0.6])
    order = np.arange(1, len(effects.variances) + 1)
    dashed = {"color": NORMAL, "dash": "dash"}
    figure.add_scatter(x=order, y=effects.variances, name="sample variance", line=dashed, row=1, col=1)
    figure.add_scatter(x=order, y=effects.shrunk, name="after shrinkage", line={"color": MODEL}, row=1, col=1)
    for name, scores, outside, colour, symbol, dash in (
        ("normal", effects.normal, effects.outside_normal, NORMAL, "circle", "dot"),
        ("anomalous", effects.anomalous, effects.outside_anomalous, ANOMALOUS, "x", "solid"),
    ):
        dots = {"color": colour, "symbol": symbol, "size": 4, "opacity": 0.5}
        figure.add_scatter(
            x=order, y=scores, name=name, mode="markers", marker=dots, showlegend=False, row=2, col=1
        )
        line = {"color": colour, "width": 3, "dash": dash}
        figure.add_scatter(x=order, y=running_mean(scores), name=name, mode="lines", line=line, row=2, col=1)
        if effects.outside:
            figure.add_scatter(
                x=[len(order) + 12],
                y=[outside / effects.outside],
                mode="markers+text",
                text="outside",
                textposition="top center",
                name=name,
                marker={"color": colour, "symbol": symbol, "size": 11},
                showlegend=False,
                row=2,
                col=1,
            )
    figure.add_traces([*_share_lines(effects.variances, shares)], rows=1, cols=1)
    figure.update_yaxes(type="log", exponentformat="power", dtick=1).update_yaxes(title="variance", row=1)
    figure.update_yaxes(title="mean squared z-score", tickvals=[0.1, 0.3, 1, 3, 10, 30, 100], row=2)
    figure.update_xaxes(title="principal component", row=2)
    return finished(figure, height=600).update_layout(margin_r=40)


def running_mean(values: NDArray[np.float64], width: int = NEIGHBOURS) -> NDArray[np.float64]:
    """Mean over a window around each value, (k,); at the ends over as much of it as there is."""
    window = np.ones(width)
    return np.convolve(values, window, "same") / np.convolve(np.ones_like(values), window, "same")


def _share_lines(variances: NDArray[np.float64], shares: Sequence[float]) -> Iterator[go.Scatter]:
    exceeding = np.searchsorted(np.cumsum(variances) / variances.sum(), shares, side="right") + 1
    for share, component in zip(shares, exceeding, strict=True):
        # Every other label stands lower: on a narrow page the last lines are close together.
        lower = shares.index(share) % 2
        label = f" {100 * share:g} %"
        yield go.Scatter(
            x=[component] * 3,
            y=variances[0] * (variances[-1] / variances[0]) ** np.array([0, 1 / 6, 1]),
            mode="lines+text",
            text=["", label, ""] if lower else [label, "", ""],
            textposition="middle right",
            textfont={"size": 12},
            cliponaxis=False,
            line={"color": NEUTRAL, "dash": "dot", "width": 1},
            name="share of the variance",
            showlegend=share == shares[0],
        )


def subspace_curves(
    curves: SubspaceCurves, whole: float, marks: Mapping[str, Sequence[tuple[float, float, float]]]
) -> go.Figure:
    """Draw the AUROC against the number of components kept, of most or of least variance.

    Parameters
    ----------
    curves : SubspaceCurves
        Of one category and level.
    whole : float
        AUROC without a subspace.
    marks : mapping of str to sequence of (share, count, auroc)
        Under ``"pca"`` and ``"npca"`` the subspaces of the paper: share of the variance, number of components
        kept, AUROC. Shares and AUROCs are fractions.

    Returns
    -------
    plotly.graph_objects.Figure
        The y axis is the same for all categories and levels. The legend has the shares of the marks in their
        order from left to right; beside the marks, which can be close together, they would cover each other.
    """
    figure = go.Figure()
    looks = (("pca", "most variance (PCA)", NORMAL, "dash", "circle"),
             ("npca", "least variance (NPCA)", ANOMALOUS, "solid", "diamond"))  # fmt: skip
    for kind, name, colour, dash, symbol in looks:
        values = 100 * getattr(curves, kind)
        figure.add_scatter(
            x=curves.counts, y=values, mode="lines", name=name, line={"color": colour, "dash": dash}
        )
        shares, counts, found = zip(*sorted(marks[kind], key=itemgetter(1)), strict=True)
        figure.add_scatter(
            x=counts,
            y=[100 * value for value in found],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 10},
            name=f"{kind.upper()} {', '.join(f'{100 * share:g}' for share in shares)} %",
        )
    ends = [curves.counts[0], curves.counts[-1]]
    line = {"color": NEUTRAL, "dash": "dot"}
    figure.add_scatter(x=ends, y=[100 * whole] * 2, mode="lines", name="no subspace", line=line)
    figure.update_yaxes(range=[-3, 108]).update_xaxes(rangemode="tozero")
    return finished(figure, x="number of components kept", y="AUROC, %", height=440)


def separation(distances: NDArray[np.float64], labels: NDArray[np.int64]) -> go.Figure:
    """Draw the distances of normal and anomalous test images, and name their AUROC.

    Parameters
    ----------
    distances : (m,) array
        Distances M.
    labels : (m,) array
        1 for anomalies.

    Returns
    -------
    plotly.graph_objects.Figure
        The AUROC is in the legend, as a trace can change with a slider and a title cannot.
    """
    figure = distance_histogram(distances, labels)
    name = f"<b>AUROC {100 * auroc(labels, distances):.1f} %</b>"
    # A line without a colour: a marker without one still leaves a dot in the legend.
    figure.add_scatter(x=[None], y=[None], mode="lines", line={"color": "rgba(0,0,0,0)"}, name=name)
    return figure
