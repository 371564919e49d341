"""The loss of a training run as a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gad_core.figures.style import ANOMALOUS, NORMAL, finished
from gad_core.files import replacing


def loss_figure(log: Sequence[Mapping[str, Any]], window: int = 50) -> go.Figure:
    """Draw the training loss, a running mean over `window` steps, and the validation loss.

    Parameters
    ----------
    log : sequence of mapping
        Rows with ``step``, ``loss`` and ``validation`` (empty where it was not measured).
    window : int
        Steps to average over.

    Returns
    -------
    plotly.graph_objects.Figure
        With logarithmic axes.
    """
    steps, losses = np.array([row["step"] + 1 for row in log]), np.array([float(row["loss"]) for row in log])
    width = min(window, len(losses))
    smooth = np.convolve(losses, np.full(width, 1 / width), mode="valid")
    checked = [(row["step"] + 1, float(row["validation"])) for row in log if row["validation"] != ""]
    figure = go.Figure()
    figure.add_scatter(x=steps[width - 1 :], y=smooth, name="training", line={"color": NORMAL})
    figure.add_scatter(
        x=[step for step, _ in checked], y=[loss for _, loss in checked], name="held-out pictures",
        mode="lines+markers", line={"color": ANOMALOUS, "dash": "dash"},
    )  # fmt: skip
    figure.update_xaxes(type="log").update_yaxes(type="log")
    return finished(figure, x="update", y="loss")


def write_plot(log: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write `loss_figure` as an HTML page that needs no network."""
    with replacing(path) as temporary:
        loss_figure(log).write_html(temporary, include_plotlyjs=True)
