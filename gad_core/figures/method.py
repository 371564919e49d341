"""Figures of the chapter on the method: images, ellipses of equal distance, spectrum, distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from gad_core.components import PrincipalComponents, principal_components
from gad_core.figures.pictures import small_jpeg
from gad_core.figures.style import ANOMALOUS, MODEL, NEUTRAL, NORMAL, finished
from gad_core.gaussian import Gaussian


def equal_distance(
    gaussian: Gaussian, normal: NDArray, others: Mapping[str, NDArray], distances: Sequence[float] = (1, 2, 3)
) -> go.Figure:
    """Draw two features with the ellipses of equal Mahalanobis distance.

    Parameters
    ----------
    gaussian : Gaussian
        Of two features, with both principal axes.
    normal : (n, 2) array
        The samples that it was fitted to.
    others : mapping of str to (2,) array
        Named points to compare; each gets a marker of its own.
    distances : sequence of float
        Distances M to draw.

    Returns
    -------
    plotly.graph_objects.Figure
        Both axes have one scale, so Euclidean distances can be seen as they are.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=normal[:, 0], y=normal[:, 1], mode="markers", name="normal", marker={"color": NEUTRAL, "size": 5}
    )
    angle = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for distance, dash in zip(distances, ("solid", "dash", "dot"), strict=False):
        x, y = (gaussian.location + distance * (circle * np.sqrt(gaussian.variances)) @ gaussian.components).T
        line = {"color": MODEL, "dash": dash}
        figure.add_scatter(x=x, y=y, mode="lines", line=line, name=f"M = {distance:g}")
    for (name, point), symbol in zip(others.items(), ("diamond", "x", "square", "star"), strict=False):
        marker = {"color": ANOMALOUS, "size": 12, "symbol": symbol}
        figure.add_scatter(x=[point[0]], y=[point[1]], mode="markers", marker=marker, name=name)
    figure.update_yaxes(scaleanchor="x")
    return finished(figure, x="feature 1", y="feature 2", height=440)


def playground(normal: NDArray, others: Mapping[str, NDArray], shrinkage: float) -> go.Figure:
    """Draw the ellipses of equal distance for a chosen shrinkage, and the distances of some points.

    Parameters
    ----------
    normal : (n, 2) array
        Samples of two features.
    others : mapping of str to (2,) array
        Named points; the legend gives their distances.
    shrinkage : float
        0 for the sample covariance, 1 for a multiple of the identity.

    Returns
    -------
    plotly.graph_objects.Figure
        Its axes do not depend on the points and the shrinkage.
    """
    fitted = principal_components(normal)
    variances = (1 - shrinkage) * fitted.variances + shrinkage * fitted.variances.mean()
    gaussian = Gaussian(fitted.location, fitted.components, variances, np.inf, 2, shrinkage)
    named = {
        f"{name}: <i>M</i> = {gaussian.mahalanobis(np.reshape(point, (1, 2)))[0]:.2f}": np.asarray(point)
        for name, point in others.items()
    }
    reach = 1.15 * np.abs(normal - fitted.location).max()
    low, high = fitted.location - reach, fitted.location + reach
    figure = equal_distance(gaussian, normal, named)
    figure.update_xaxes(range=[low[0], high[0]], constrain="domain")
    return figure.update_yaxes(range=[low[1], high[1]])


def image_row(images: Mapping[str, NDArray[np.uint8]], height: int = 190) -> go.Figure:
    """Show images side by side, each under its name.

    Parameters
    ----------
    images : mapping of str to (H, W, 3) uint8 array
        Names and images.
    height : int
        Of the figure in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        Without axes.
    """
    figure = make_subplots(cols=len(images), subplot_titles=list(images), horizontal_spacing=0.01)
    for column, image in enumerate(images.values(), start=1):
        figure.add_trace(go.Image(source=small_jpeg(image), hoverinfo="skip"), row=1, col=column)
    # On a narrow page, where the images get smaller, they stay under their names.
    figure.update_xaxes(visible=False).update_yaxes(visible=False, constrain="domain", constraintoward="top")
    return finished(figure, height=height).update_layout(margin={"l": 5, "r": 5, "t": 35, "b": 5})


def spectrum(fitted: PrincipalComponents, gaussian: Gaussian) -> go.Figure:
    """Draw the variance along each principal component before and after shrinkage.

    Parameters
    ----------
    fitted : PrincipalComponents
        Of the training features.
    gaussian : Gaussian
        Fitted to them with all components.

    Returns
    -------
    plotly.graph_objects.Figure
        With a logarithmic variance axis.
    """
    order = np.arange(1, len(fitted.variances) + 1)
    figure = go.Figure()
    figure.add_scatter(
        x=order, y=fitted.variances, name="sample covariance", line={"color": NORMAL, "dash": "dash"}
    )
    figure.add_scatter(x=order, y=gaussian.variances, name="after shrinkage", line={"color": MODEL})
    figure.update_yaxes(type="log", exponentformat="power")
    return finished(figure, x="principal component", y="variance")


def distance_histogram(
    distances: NDArray[np.float64], labels: NDArray[np.int64], threshold: float | None = None
) -> go.Figure:
    """Draw the distances of normal and anomalous test images as two histograms.

    Parameters
    ----------
    distances : (m,) array
        Mahalanobis distances, or their sum over levels.
    labels : (m,) array
        1 for anomalies.
    threshold : float, optional
        Drawn as a line.

    Returns
    -------
    plotly.graph_objects.Figure
        Both histograms share their bins.
    """
    edges = np.histogram_bin_edges(distances, bins=30)
    bins = {"start": edges[0], "end": edges[-1], "size": edges[1] - edges[0]}
    figure = go.Figure()
    kinds = (("normal", 0, NORMAL, ""), ("anomalous", 1, ANOMALOUS, "/"))
    for name, label, colour, pattern in kinds:
        marker = {"color": colour, "pattern": {"shape": pattern}}
        figure.add_histogram(x=distances[labels == label], name=name, xbins=bins, marker=marker, opacity=0.75)
    if threshold is not None:
        figure.add_vline(x=threshold, line={"dash": "dash", "color": NEUTRAL}, annotation_text="threshold")
    return finished(figure, x="distance", y="number of test images").update_layout(barmode="overlay")
