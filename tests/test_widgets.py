"""Controls of figures: the live widget, and its samples in a page without a kernel."""

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import pytest

from gad_core.figures.controls import sampled
from gad_core.widgets import explorer


def draw(kind="sine", power=1):
    """Two traces, one of which depends on both arguments."""
    x = np.linspace(0, 1, 5)
    y = (np.sin(x) if kind == "sine" else x) ** power
    fixed = go.Scatter(x=x, y=x)
    return go.Figure([fixed, go.Scatter(x=x, y=y, name=f"{kind}, {power}", error_y={"array": y})])


def y_of(figure):
    return np.asarray(figure.data[1].y)


# --- the live widget --------------------------------------------------------------------------------------


def test_a_moved_control_draws_the_figure_of_its_value():
    live = explorer(draw, kind=["sine", "line"], power=(1, 4, 1))
    assert isinstance(live.controls["kind"], ipywidgets.Dropdown)
    assert isinstance(live.controls["power"], ipywidgets.IntSlider)
    live.controls["power"].value = 3
    live.controls["kind"].value = "line"
    assert np.array_equal(y_of(live.figure), y_of(draw("line", 3)))


def test_controls_stand_above_the_figure_and_say_their_names():
    live = explorer(lambda number_of_parts: draw(power=number_of_parts), number_of_parts=(1, 4, 1))
    assert list(live.widget.children) == [live.controls["number_of_parts"], live.output]
    assert live.controls["number_of_parts"].description == "number of parts"
    assert "application/vnd.jupyter.widget-view+json" in live._repr_mimebundle_()


def test_a_given_widget_is_used_as_it_is():
    given = ipywidgets.FloatLogSlider(value=0.1, min=-3, max=-0.5, description="rate")
    live = explorer(lambda power: draw(power=power), power=given)
    assert live.controls["power"] is given
    assert given.description == "rate"
    given.value = 0.01
    assert np.array_equal(y_of(live.figure), y_of(draw(power=0.01)))


def test_an_error_of_a_moved_control_is_not_swallowed_and_does_not_stay():
    live = explorer(lambda power: draw(power=1 / power), power=ipywidgets.IntSlider(value=1, min=0, max=2))
    with pytest.raises(ZeroDivisionError):
        live.controls["power"].value = 0
    assert live.figure is None
    live.controls["power"].value = 2
    assert np.array_equal(y_of(live.figure), y_of(draw(power=0.5)))


IN_A_KERNEL = """
import ipywidgets, plotly.graph_objects as go, plotly.io
from gad_core.widgets import explorer
plotly.io.renderers.default = "plotly_mimetype"
moved, failing = (
    explorer(lambda power: go.Figure(go.Bar(y=[8 / power])), power=ipywidgets.IntSlider(value=1, min=0))
    for _ in range(2)
)
moved.controls["power"].value = 2
failing.controls["power"].value = 0
"""


@pytest.fixture(scope="module")
def executed():
    """A notebook after its kernel has run, and what its widgets have sent to who executed it."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    from nbclient.output_widget import OutputWidget

    sent = []
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(IN_A_KERNEL)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OutputWidget, "send", lambda *args, **_: sent.append(args))
        nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return notebook, sent


def test_a_notebook_shows_the_last_figure_or_the_error_and_nothing_besides(executed):
    notebook, _ = executed
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    shown = [state["state"]["outputs"] for state in states if state["model_name"] == "OutputModel"]
    assert sorted(len(each) for each in shown) == [1, 1]
    by_type = {each["output_type"]: each for (each,) in shown}
    assert by_type["display_data"]["data"]["application/vnd.plotly.v1+json"]["data"][0]["y"] == [4.0]
    assert by_type["error"]["ename"] == "ZeroDivisionError"


def test_a_moved_control_asks_nothing_of_who_executes_the_notebook(executed):
    # What nbclient sends while it waits for a cell's end can make it miss that end; the cell then times out.
    _, sent = executed
    assert sent == []


def test_an_error_of_the_first_drawing_is_raised():
    with pytest.raises(ZeroDivisionError):
        explorer(lambda power: draw(power=1 / power), power=ipywidgets.IntSlider(value=0))


def test_what_is_no_control_is_named():
    with pytest.raises(ValueError, match="no control for power"):
        explorer(draw, power=object())


# --- its samples ------------------------------------------------------------------------------------------


def moved_to(figure, step):
    """Do what the browser does at a step of the slider."""
    changes, traces = figure.layout.sliders[0].steps[step].args
    moved = go.Figure(figure)  # a copy
    for path, values in changes.items():
        for number, value in zip(traces, values, strict=True):
            moved.data[number][path] = value
    return moved


def chosen_from(figure, number):
    """Traces that the browser shows after a choice from the menu."""
    (changes,) = figure.layout.updatemenus[0].buttons[number].args
    return [trace for trace, visible in zip(figure.data, changes["visible"], strict=True) if visible]


def same(trace, other):
    return (
        np.allclose(trace.x, other.x, rtol=1e-3)
        and np.allclose(trace.y, other.y, rtol=1e-3)
        and trace.name == other.name
        and (trace.error_y.array is None or np.allclose(trace.error_y.array, other.error_y.array, rtol=1e-3))
    )


@pytest.mark.parametrize("active", [0, 2])
def test_every_choice_and_step_shows_what_the_function_draws(active):
    kinds, powers = ["sine", "line"], [1, 2, 3]
    figure = sampled(draw, menu={"kind": kinds}, slider={"power": powers}, active=active)
    assert [trace.visible for trace in figure.data] == [True, True, False, False]
    assert all(same(a, b) for a, b in zip(figure.data, draw("sine", powers[active]).data, strict=False))
    for step, power in enumerate(powers):
        moved = moved_to(figure, step)
        for number, kind in enumerate(kinds):
            found = chosen_from(moved, number)
            assert all(same(a, b) for a, b in zip(found, draw(kind, power).data, strict=True))


def test_traces_that_do_not_change_are_not_sent_again():
    figure = sampled(draw, slider={"power": [1, 2]})
    changes, traces = figure.layout.sliders[0].steps[0].args
    assert tuple(traces) == (1,)
    assert set(changes) == {"y", "name", "error_y.array"}


def test_choices_may_differ_in_their_number_of_traces():
    figure = sampled(lambda count: go.Figure([go.Bar(y=[1])] * count), menu={"count": [1, 3]})
    assert [len(chosen_from(figure, number)) for number in (0, 1)] == [1, 3]


def test_steps_say_their_values_and_the_slider_its_argument():
    slider = {"false_alarms": {"10 %": 0.1, "25 %": 0.25}}
    figure = sampled(lambda false_alarms: draw(power=false_alarms), slider=slider)
    assert [step.label for step in figure.layout.sliders[0].steps] == ["10 %", "25 %"]
    assert figure.layout.sliders[0].currentvalue.prefix == "false alarms: "
    assert same(moved_to(figure, 1).data[1], draw(power=0.25).data[1])


def test_what_the_browser_could_not_follow_is_refused():
    with pytest.raises(ValueError, match="layout"):
        sampled(lambda title: go.Figure(layout={"title": title}), menu={"title": ["a", "b"]})
    with pytest.raises(ValueError, match="number of traces"):
        sampled(lambda count: go.Figure([go.Bar(y=[1])] * count), slider={"count": [1, 3]})
