"""Figures with a menu and a slider that work without a kernel, sampled from a pure function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

Choices = Sequence[Any] | Mapping[str, Any]

DIGITS = 4
"""Significant digits of the numbers that a slider holds; more cannot be seen."""


def sampled(
    draw: Callable[..., go.Figure],
    *,
    menu: Mapping[str, Choices] | None = None,
    slider: Mapping[str, Choices] | None = None,
    active: int = 0,
) -> go.Figure:
    """Draw a figure for every choice of a menu and every step of a slider, and put them into one.

    Menu and slider act independently of each other in the browser. So all the figures must have one layout:
    what changes has to be a trace. Along the slider the traces keep their number and kind, and their data
    change.

    Parameters
    ----------
    draw : callable
        Takes the arguments that `menu` and `slider` name, and returns a figure. The live widget
        `gad_core.widgets.explorer` takes the same function.
    menu, slider : mapping of one str to a sequence or mapping, optional
        The argument, and its values, or its values by the names that the control shows for them.
    active : int
        The step of the slider that is shown first.

    Returns
    -------
    plotly.graph_objects.Figure
        The first choice of the menu is shown.

    Raises
    ------
    ValueError
        If two of the figures differ in their layout, or in the number of traces along the slider.

    Examples
    --------
    >>> figure = sampled(lambda power: go.Figure(go.Scatter(y=[2**power])), slider={"power": [1, 2, 3]})
    >>> figure.layout.sliders[0].steps[2].args[0]
    {'y': [[8]]}
    """
    (chosen, choices), (moved, steps) = _named(menu), _named(slider)
    grid = [
        [
            draw(**({chosen: choice} if menu else {}), **({moved: step} if slider else {}))
            for step in steps.values()
        ]
        for choice in choices.values()
    ]
    figure = _stacked(grid, active)
    # Below the plot, where no legend gets in their way, however narrow the page.
    below = 55
    if menu:
        control = _menu(list(choices), [len(row[active].data) for row in grid])
        figure.update_layout(updatemenus=[control | {"pad": {"t": below}}])
        below += 50
    if slider:
        control = _slider(moved.replace("_", " "), list(steps), grid, active)
        figure.update_layout(sliders=[control | {"pad": {"t": below, "b": 10, "r": 15}}])
        below += 80
    return figure.update_layout(height=(figure.layout.height or 450) + below - 55)


def _named(control: Mapping[str, Choices] | None) -> tuple[str, Mapping[str, Any]]:
    if not control:
        return "", {"": None}
    ((name, values),) = control.items()
    return name, values if isinstance(values, Mapping) else {str(value): value for value in values}


def _stacked(grid: Sequence[Sequence[go.Figure]], active: int) -> go.Figure:
    layout = grid[0][0].layout
    if any(each.layout != layout for row in grid for each in row):
        raise ValueError("the figures differ in their layout: draw what changes as a trace")
    figure = go.Figure(layout=layout)
    for number, row in enumerate(grid):
        figure.add_traces([go.Figure(trace).data[0].update(visible=not number) for trace in row[active].data])
    return figure


def _menu(labels: Sequence[str], counts: Sequence[int]) -> dict[str, Any]:
    owners = np.repeat(np.arange(len(labels)), counts)
    buttons = [
        {"label": label, "method": "restyle", "args": [{"visible": (owners == number).tolist()}]}
        for number, label in enumerate(labels)
    ]
    # Opened downwards, the list would be cut off by the figure's end.
    return {"buttons": buttons, "direction": "up", "x": 0, "xanchor": "left", "y": 0, "yanchor": "top"}


def _slider(
    name: str, labels: Sequence[str], grid: Sequence[Sequence[go.Figure]], active: int
) -> dict[str, Any]:
    flat = [[_flat(trace) for row in grid for trace in row[step].data] for step in range(len(labels))]
    if len(set(map(len, flat))) > 1:
        raise ValueError("the figures along the slider differ in their number of traces")
    changed = [_differing(traces) for traces in zip(*flat, strict=True)]
    moving = [number for number, paths in enumerate(changed) if paths]
    paths = sorted(set().union(*changed))
    steps = [
        {
            "label": label,
            "method": "restyle",
            "args": [{path: [traces[number].get(path) for number in moving] for path in paths}, moving],
        }
        for label, traces in zip(labels, flat, strict=True)
    ]
    return {
        "steps": steps,
        "active": active,
        "currentvalue": {"prefix": f"{name}: "},
        "y": 0,
        "yanchor": "top",
    }


def _differing(traces: Sequence[Mapping[str, Any]]) -> set[str]:
    return {path for trace in traces for path in trace if any(t.get(path) != trace[path] for t in traces)}


def _flat(trace: Any, path: str = "") -> dict[str, Any]:
    """Give the properties of a trace by their dotted paths, numbers rounded."""
    found: dict[str, Any] = {}
    for name, value in (trace if path else trace.to_plotly_json()).items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{path}{name}.")
        else:
            found[f"{path}{name}"] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(each) for each in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
