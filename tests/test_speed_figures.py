"""The figures of what things cost, and the stored measurements that they draw."""

import numpy as np
import pytest

from benchmarks.machines import RATES, RATIOS, machine_row
from benchmarks.record import ratio_rows
from benchmarks.timing import Comparison
from gad_core.experiments.results import stored_provenance, stored_rows
from gad_core.figures.speed import growth, ratios
from gad_core.outputs import write_csv, write_json

GROWTH = [
    {"grows": "samples", "what": what, "size": size, "seconds": factor * size, "exponent": 1.0}
    for what, factor in (("fit", 2.0), ("score", 0.5))
    for size in (1, 10, 100)
] + [{"grows": "features", "what": "fit", "size": 4, "seconds": 3.0, "exponent": 2.0}]


def test_growth_draws_what_was_chosen_with_its_exponent_and_a_line_in_proportion():
    figure = growth(GROWTH, "samples")
    fit, score, line = figure.data
    assert (fit.name, score.name) == ("fit: exponent 1.00", "score: exponent 1.00")
    assert list(score.y) == [0.5, 5, 50]
    assert list(line.y) == [0.5, 5, 50]
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert growth(GROWTH, "features").data[0].name == "fit: exponent 2.00"


def test_ratios_leave_out_what_was_not_measured():
    rows = [
        {"what": "a", "ratio": 4.0, "target": 3.0},
        {"what": "b", "ratio": None, "target": None},
        {"what": "c", "ratio": 80.0, "target": 20.0},
    ]
    bars, targets, texts = ratios(rows, {"a": "first", "c": "second"}).data
    # Drawn from below, so the first comparison is on top.
    assert list(texts.text) == ["second: <b>80 times</b>", "first: <b>4 times</b>"]
    assert list(bars.x) == [80, 4]
    assert list(targets.x) == [20, 3]


def test_neither_bar_nor_mark_can_cover_a_number():
    rows = [{"what": what, "ratio": 4.0, "target": 4.2} for what in "abc"]
    figure = ratios(rows, dict(zip("abc", "xyz", strict=True)))
    bars, targets, texts = figure.data
    low, high = figure.layout.yaxis.range
    margin = figure.layout.margin
    pixels = (figure.layout.height - margin.t - margin.b) / (high - low)  # of one comparison
    covered = np.array([max(targets.marker.size, bars.width * pixels) / 2, texts.textfont.size])
    gap = pixels * np.array(texts.y)[:, None] - pixels * np.array(targets.y)
    assert np.abs(gap).min() > covered.sum()
    assert figure.layout.yaxis.range[1] > max(texts.y)


@pytest.mark.parametrize(
    "name",
    [
        "ratios",
        "precision",
        "blocks",
        "floors",
        "activations",
        "machines",
        "network_share",
        "gaussian_stage",
        "growth",
        "memory",
    ],
)
def test_measurements_ship_with_their_machine(name):
    assert stored_rows(name, tier="speed")
    assert stored_provenance("machine", tier="speed")["cores"] >= 1


def test_the_first_machine_is_the_one_of_the_other_tables():
    first, *others = stored_rows("machines", tier="speed")
    ratios = {row["what"]: row["ratio"] for row in stored_rows("ratios", tier="speed")}
    rates = {row["what"]: row["amount"] for row in stored_rows("floors", tier="speed")}
    assert [first[name] for name in RATIOS] == [ratios[what] for what in RATIOS.values()]
    assert [first[name] for name in RATES] == [rates[what] for what in RATES.values()]
    assert first["model"] == stored_provenance("machine", tier="speed")["model"]
    assert others


def test_a_recorded_folder_becomes_a_row_even_if_it_has_no_bfloat16(tmp_path):
    write_json(tmp_path / "machine.json", {"processor": "P", "cores": 4})
    write_csv(tmp_path / "floors.csv", [{"what": what, "amount": 2.5} for what in RATES.values()])
    measured = [Comparison(RATIOS[name], [7.0], [2.0], target=1) for name in ("fp32", "gaussian")]
    write_csv(tmp_path / "ratios.csv", ratio_rows([*measured, "bf16: skipped, this processor has none"]))
    assert machine_row(tmp_path) == {
        "processor": "P", "model": "", "cores": 4, "decoding": 2.5, "memory_rate": 2.5,
        "fp32": 3.5, "bf16": None, "gaussian": 3.5,
    }  # fmt: skip


def test_what_was_asked_for_and_measured_is_said():
    """A ratio that could not be measured has its reason instead."""
    rows = stored_rows("ratios", tier="speed")
    assert all((row["ratio"] is None) == bool(row["note"]) for row in rows)
    (share,) = stored_rows("network_share", tier="speed")
    assert share["share"] == pytest.approx(share["network"] / share["seconds"])
