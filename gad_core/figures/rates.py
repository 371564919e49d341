"""Figures of the chapter on false-positive rates: laws and real distances, obtained rates, working points."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots
from scipy import stats

from gad_core.experiments.generalization import SquaredDistances, hotelling_inflation
from gad_core.experiments.rates import Rule, exceedance
from gad_core.figures.method import distance_histogram
from gad_core.figures.style import ANOMALOUS, MODEL, NEUTRAL, NORMAL, finished
from gad_core.thresholds import conformal_rate_interval, samples_needed

_LOOKS = ((ANOMALOUS, "x", "dash"), (NORMAL, "circle", "solid"), (MODEL, "diamond", "dot"),
          (NEUTRAL, "square", "dashdot"))  # fmt: skip


def laws(distances: SquaredDistances, degrees_of_freedom: int) -> go.Figure:
    """Compare the squared distances of normal images with the chi-square law that they should follow.

    Parameters
    ----------
    distances : SquaredDistances
        Of one Gaussian.
    degrees_of_freedom : int
        Of the law, the number of features.

    Returns
    -------
    plotly.graph_objects.Figure
        Histograms as densities, with bins in common.
    """
    kinds = (
        ("training images", distances.training, NEUTRAL, ""),
        ("held-out images", distances.held_out, NORMAL, "/"),
        ("normal test images", distances.test, ANOMALOUS, "x"),
    )
    edges = np.histogram_bin_edges(np.concatenate([values for _, values, _, _ in kinds]), bins=40)
    bins = {"start": edges[0], "end": edges[-1], "size": edges[1] - edges[0]}
    figure = go.Figure()
    for name, values, colour, pattern in kinds:
        marker = {"color": colour, "pattern": {"shape": pattern}}
        figure.add_histogram(
            x=values, name=name, xbins=bins, histnorm="probability density", marker=marker, opacity=0.7
        )
    x = np.linspace(edges[0], edges[-1], 300)
    density = stats.chi2.pdf(x, degrees_of_freedom)
    figure.add_scatter(x=x, y=density, mode="lines", name="chi-square law", line={"color": MODEL, "width": 3})
    return finished(figure, x="<i>M</i><sup>2</sup>", y="density").update_layout(barmode="overlay")


def inflation(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Draw the mean squared distance per feature against the number of images per feature.

    Parameters
    ----------
    rows : sequence of mapping
        From `gad_core.experiments.generalization.inflation_rows`, of any categories.

    Returns
    -------
    plotly.graph_objects.Figure
        A panel for the unshrunk covariance, with the law for Gaussian features, and one for the shrunk.
    """
    titles = {"empirical": "unshrunk", "ledoit_wolf": "Ledoit-Wolf"}
    figure = make_subplots(
        cols=2, subplot_titles=list(titles.values()), shared_yaxes=True, x_title="images per feature"
    )
    for column, covariance in enumerate(titles, start=1):
        cells = [row for row in rows if row["covariance"] == covariance and row["held_out"] is not None]
        for key, name, colour, symbol in (
            ("held_out", "held-out images", NORMAL, "circle"),
            ("training", "training images", NEUTRAL, "square-open"),
        ):
            figure.add_scatter(
                x=[row["n"] / row["p"] for row in cells],
                y=[row[key] for row in cells],
                text=[f"{row['category']}, {row['predictor']}" for row in cells],
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 9},
                name=name,
                showlegend=column == 1,
                row=1,
                col=column,
            )
    ratio = np.geomspace(1.03, 12, 80)
    law = [hotelling_inflation(ratio_ * 150, 150) for ratio_ in ratio]
    line = {"color": MODEL, "dash": "dash"}
    figure.add_scatter(x=ratio, y=law, mode="lines", line=line, name="Hotelling's law", row=1, col=1)
    figure.add_hline(y=1, line={"color": NEUTRAL, "dash": "dot"})
    figure.update_xaxes(type="log", tickvals=[0.5, 1, 2, 5, 10], range=[-0.3, 1.1])
    figure.update_yaxes(type="log", tickvals=[0.1, 0.2, 0.5, 1, 2, 5, 10, 20])
    finished(figure, height=420).update_layout(margin={"t": 80, "b": 60}, legend_y=1.1)
    return figure.update_yaxes(title="mean <i>M</i><sup>2</sup> per feature", col=1)


def obtained_rates(rows: Sequence[Mapping[str, Any]], by: str = "method") -> go.Figure:
    """Draw the obtained false-positive rate against the chosen one, with intervals.

    Parameters
    ----------
    rows : sequence of mapping
        With ``chosen, fpr, fpr_low, fpr_high``, such as the stored rows of ``rates`` and ``table4``; those
        without a rate are left out.
    by : str
        The key that tells the lines apart.

    Returns
    -------
    plotly.graph_objects.Figure
        Both axes in percent, the chosen rate on a logarithmic one.
    """
    figure = go.Figure()
    names = list(dict.fromkeys(row[by] for row in rows))
    for name, (colour, symbol, dash) in zip(names, itertools.cycle(_LOOKS), strict=False):
        cells = [row for row in rows if row[by] == name and row["fpr"] is not None]
        cells.sort(key=lambda row: row["chosen"])
        percent = [100 * row["fpr"] for row in cells]
        figure.add_scatter(
            x=[100 * row["chosen"] for row in cells],
            y=percent,
            error_y=_bars(cells, "fpr"),
            name=name,
            mode="lines+markers",
            line={"color": colour, "dash": dash},
            marker={"color": colour, "symbol": symbol, "size": 9},
        )
    chosen = [100 * row["chosen"] for row in rows]
    x = np.geomspace(min(chosen), max(chosen), 60)
    line = {"color": NEUTRAL, "dash": "dot"}
    figure.add_scatter(x=x, y=x, mode="lines", line=line, name="as chosen")
    figure.update_xaxes(type="log", tickvals=[0.1, 0.3, 1, 3, 10, 30]).update_yaxes(range=[-3, 103])
    return finished(figure, x="chosen false-positive rate, %", y="obtained rate, %", height=420)


def _bars(cells: Sequence[Mapping[str, Any]], rate: str) -> dict[str, Any]:
    return {
        "array": [100 * (cell[f"{rate}_high"] - cell[rate]) for cell in cells],
        "arrayminus": [100 * (cell[rate] - cell[f"{rate}_low"]) for cell in cells],
        "thickness": 1,
    }


def working_point(rule: Rule, labels: NDArray[np.int64], chosen: float) -> go.Figure:
    """Draw the distances of test images with a threshold, and beside them the rates that it obtains.

    Parameters
    ----------
    rule : Rule
        From `gad_core.experiments.rates.threshold_rules`.
    labels : (m,) array
        1 for anomalies.
    chosen : float
        The false-positive rate to choose the threshold for, a fraction.

    Returns
    -------
    plotly.graph_objects.Figure
        Where there is no threshold, the legend says why; where there are no distances, the title does.
    """
    if rule.distances is None:
        return finished(go.Figure()).update_layout(title=rule.note)
    threshold, note = rule.at(chosen)
    figure = make_subplots(cols=2, column_widths=[0.65, 0.35], horizontal_spacing=0.13)
    figure.add_traces([*distance_histogram(rule.distances, labels).data], rows=1, cols=1)
    top = float(np.histogram(rule.distances, bins=30)[0].max())
    figure.add_trace(_threshold_line(threshold, note, top), row=1, col=1)
    for trace in _rates(threshold, rule.distances, labels, chosen):
        figure.add_trace(trace, row=1, col=2)
    figure.update_xaxes(title="distance", col=1).update_yaxes(title="number of test images", col=1)
    figure.update_yaxes(title="rate, %", range=[-4, 104], col=2).update_xaxes(tickangle=0, col=2)
    return finished(figure).update_layout(barmode="overlay")


def _threshold_line(threshold: float | None, note: str, top: float) -> go.Scatter:
    found = [] if threshold is None else [f"threshold {threshold:.1f}"]
    return go.Scatter(
        x=[threshold, threshold],
        y=[0, top],
        mode="lines",
        name="<br>".join(filter(None, [*found, note.replace(": ", ":<br>")])),
        line={"color": "black", "dash": "dash"},
    )


def _rates(
    threshold: float | None, distances: NDArray[np.float64], labels: NDArray[np.int64], chosen: float
) -> tuple[go.Scatter, go.Scatter]:
    """Draw the obtained rates with their intervals, and the chosen one."""
    found = exceedance(labels, distances, np.inf if threshold is None else threshold)
    cells = [{key: found[f"{kind}{key}"] for key in ("", "_low", "_high")} for kind in ("fpr", "tpr")]
    # Under the marks there is room for the numbers; beside them they meet lines and margins.
    numbers = ["" if threshold is None else f"<br>{100 * cell['']:.0f} %" for cell in cells]
    names = [f"{name}{number}" for name, number in zip(("FPR", "TPR"), numbers, strict=True)]
    wanted = go.Scatter(
        x=names[:1],
        y=[100 * chosen],
        mode="markers",
        marker={"symbol": "line-ew-open", "size": 40, "color": "black", "line_width": 2},
        name="chosen rate",
    )
    obtained = go.Scatter(
        x=names,
        y=[None if threshold is None else 100 * cell[""] for cell in cells],
        # Without a colour of their own, bars take that of the markers, and fail when each has another.
        error_y=_bars(cells, "") | {"color": "black"},
        mode="markers",
        marker={"color": [NORMAL, ANOMALOUS], "symbol": ["circle", "diamond"], "size": 12},
        name="obtained, 95 % interval",
        showlegend=False,
    )
    return wanted, obtained


def guarantee(fpr: float) -> go.Figure:
    """Draw where the false-positive rate of a conformal threshold lies, against the number of images.

    Parameters
    ----------
    fpr : float
        The chosen rate, a fraction.

    Returns
    -------
    plotly.graph_objects.Figure
        A band that holds 95 % of the calibration sets, from the smallest number that gives a threshold.
    """
    counts = np.unique(np.geomspace(samples_needed(fpr), 20000, 150).astype(int))
    low, high = 100 * np.transpose([conformal_rate_interval(count, fpr) for count in counts])
    figure = go.Figure()
    edge = {"color": NORMAL, "width": 1}
    figure.add_scatter(x=counts, y=low, mode="lines", line=edge, name="lower end", showlegend=False)
    figure.add_scatter(
        x=counts, y=high, mode="lines", line=edge, fill="tonexty", name="95 % of calibration sets"
    )
    figure.add_scatter(
        x=[10, 20000],
        y=[100 * fpr] * 2,
        mode="lines",
        line={"color": NEUTRAL, "dash": "dot"},
        name="chosen rate",
    )
    ticks = [10, 100, 1000, 10000]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick}" for tick in ticks], range=[1, 4.3])
    figure.update_yaxes(rangemode="tozero")
    return finished(figure, x="number of held-out normal images", y="false-positive rate, %")
