"""Live widgets: a pure function that draws a figure, and controls for its arguments."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any


class Explorer:
    """Controls above the figure that they draw; made by `explorer`.

    Attributes
    ----------
    controls : dict
        The ipywidgets by the name of the argument that they set.
    figure : plotly.graph_objects.Figure or None
        The figure (or what else `draw` returns) drawn last; None while the last call failed.
    output : ipywidgets.Output
        Shows the figure, or the error of the last call.
    widget : ipywidgets.VBox
        The whole.
    """

    def __init__(self, draw: Callable[..., Any], controls: dict[str, Any]) -> None:
        import ipywidgets

        self.draw = draw
        self.controls = {name: _control(name, given) for name, given in controls.items()}
        self.output = ipywidgets.Output()
        self.widget = ipywidgets.VBox([*self.controls.values(), self.output])
        for control in self.controls.values():
            control.observe(lambda _: self._update(), names="value")
        # Here an error is raised: a cell whose figure fails has to fail.
        self.figure: Any = self._drawn()
        self._show()

    def _drawn(self) -> Any:
        return self.draw(**{name: control.value for name, control in self.controls.items()})

    def _update(self) -> None:
        self.figure = None
        try:
            self.figure = self._drawn()
        except Exception as error:
            if not _in_notebook():
                raise
            self.output.outputs = (_error(error),)
        else:
            self._show()

    def _show(self) -> None:
        # Not display() inside of the output: whoever executes a notebook without a browser (nbclient) answers
        # each such output over the channel on which it waits for the cell's end, and can miss that end.
        if _in_notebook():
            self.output.outputs = (_shown(self.figure),)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)


def explorer(draw: Callable[..., Any], **controls: Any) -> Explorer:
    """Show controls, and below them the figure that a function draws from their values.

    Needs a running kernel. For a page without one, `gad_core.figures.controls.sampled` samples the same
    function.

    Parameters
    ----------
    draw : callable
        Takes the controls' values by name and returns a figure, or anything else that a notebook shows;
        pure, so that the order in which the controls are moved does not matter.
    **controls
        A widget of ipywidgets for each argument, or its abbreviation: ``(min, max, step)`` is a slider, a
        list a menu, a bool a checkbox.

    Returns
    -------
    Explorer
        It shows itself as the last value of a cell.

    Raises
    ------
    ValueError
        For a control that is neither a widget nor an abbreviation of one.
    Exception
        Whatever `draw` raises. When a moved control makes it fail in a notebook, the error is shown in place
        of the figure.

    Examples
    --------
    >>> import plotly.graph_objects as go
    >>> moving = explorer(lambda height: go.Figure(go.Bar(y=[height])), height=(1, 5, 1))
    >>> moving.controls["height"].value = 4
    >>> moving.figure.data[0].y
    (4,)
    """
    return Explorer(draw, controls)


def _in_notebook() -> bool:
    from IPython import get_ipython

    return get_ipython() is not None


def _shown(figure: Any) -> dict[str, Any]:
    """Give what an Output widget shows for a figure, or for another object that shows itself."""
    from IPython import get_ipython

    # IPython's formatter would display a plotly figure at once.
    bundle = getattr(figure, "_repr_mimebundle_", None)
    data = bundle() if bundle else get_ipython().display_formatter.format(figure)[0]
    return {"output_type": "display_data", "data": data, "metadata": {}}


def _error(error: Exception) -> dict[str, Any]:
    lines = traceback.format_exception(error)
    return {
        "output_type": "error",
        "ename": type(error).__name__,
        "evalue": str(error),
        "traceback": "".join(lines).splitlines(),
    }


def _control(name: str, given: Any) -> Any:
    import ipywidgets

    if isinstance(given, ipywidgets.ValueWidget):
        control = given
    else:
        control = ipywidgets.interactive.widget_from_abbrev(given)
        if control is None:
            raise ValueError(f"no control for {name} from {given!r}: give a widget, (min, max, step), a list")
    control.description = control.description or name.replace("_", " ")
    control.style.description_width = "initial"
    if control.has_trait("continuous_update"):
        control.continuous_update = False  # a figure takes longer than a step of the mouse
    return control
