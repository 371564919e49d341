"""Figures of the chapter on explanations: score maps over images, and what a distance is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from scipy import ndimage

from gad_core.explain.masks import checked_mask
from gad_core.explain.overlay import SCALE, overlay
from gad_core.explain.resample import resample
from gad_core.figures.method import png_address
from gad_core.figures.style import ANOMALOUS, NORMAL, finished

OUTLINE = (213, 94, 0)
"""The style's vermilion, as a colour of pixels."""


def map_overlay(
    image: NDArray[np.uint8],
    relevance: NDArray,
    mask: NDArray[np.bool_] | None = None,
    *,
    threshold: float | None = None,
    height: int = 380,
) -> go.Figure:
    """Lay a score map over its image, with the defect's outline.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        The image.
    relevance : (h, w) array
        Its score map, at any resolution.
    mask : (H, W) bool array, optional
        True on the defect; its outline is drawn.
    threshold : float, optional
        Of the detector: sets the scale of the colours, see `gad_core.explain.overlay.overlay`. None: the
        scale ends at the map's largest value.
    height : int
        Of the figure in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        Without axes; hovering shows the relevance.

    Raises
    ------
    InputError
        If the mask is empty or of another size than the image.
    """
    at_image = resample(relevance, image.shape[:2])
    if threshold is None:
        threshold = (float(at_image.max()) if at_image.max() > 0 else 1.0) / SCALE
    shown = overlay(image, at_image, threshold)
    if mask is not None:
        shown[_outline(checked_mask(mask, image))] = OUTLINE
    figure = go.Figure(go.Image(source=png_address(shown), hoverinfo="skip"))
    # Of a heat map that cannot be seen, so that hovering tells the values.
    figure.add_heatmap(z=at_image.round(2), opacity=0, showscale=False, hovertemplate="%{z}<extra></extra>")
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    return finished(figure, height=height).update_layout(margin={"l": 5, "r": 5, "t": 5, "b": 5})


def decomposition_bars(
    parts: Mapping[str, Sequence[float]], names: Sequence[str], *, height: int = 360
) -> go.Figure:
    """Compare what the squared distances of some images are made of, in percent.

    Parameters
    ----------
    parts : mapping of str to sequence of float
        For each image its parts, such as a row of `gad_core.explain.decomposition.level_parts`; not all zero.
    names : sequence of str
        Of the parts.
    height : int
        Of the figure in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        A group of bars for each part, a bar for each image; below zero where a part makes the image more
        normal.
    """
    looks = ((NORMAL, ""), (ANOMALOUS, "/"), ("#009E73", "x"), ("#CC79A7", "."))
    figure = go.Figure()
    for (image, values), (colour, pattern) in zip(parts.items(), looks, strict=False):
        shares = 100 * np.asarray(values, dtype=np.float64) / np.sum(values)
        marker = {"color": colour, "pattern": {"shape": pattern, "fgcolor": "white"}}
        figure.add_bar(x=list(names), y=shares, name=image, marker=marker)
    return finished(figure, y="share of M² in %", height=height).update_layout(barmode="group")


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels just outside of a mask, two deep."""
    return ndimage.binary_dilation(mask, iterations=2) & ~mask
