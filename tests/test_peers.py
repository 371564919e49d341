"""Numbers of other methods: as in the tables they were taken from, and each drawn where it belongs."""

import csv

import numpy as np
import pytest

from gad_core.datasets.download import CATEGORIES
from gad_core.experiments.peers import PAPER, measured_peers, published_peers
from gad_core.figures.controls import sampled
from gad_core.figures.results import peers
from gad_core.manifest import DATA


def test_published_numbers_are_those_of_the_specification(shared):
    assert (DATA / "peers.csv").read_bytes() == (shared / "paper" / "peers.csv").read_bytes()


def test_measured_numbers_are_those_of_the_specification(shared):
    text = (shared / "paper" / "peers_measured.md").read_text("utf-8")
    for start in ("| PaDiM (layers", "| PatchCore (layers", "| DFM (layer", "| common re-implementation of"):
        line = next(each for each in text.splitlines() if each.startswith(start))
        cells = [[float(v) for v in cell.split("/")] for cell in line.split("|")[2:5]]
        method = start.strip("| (").split()[0].replace("common", "this paper")
        rows = [row for row in measured_peers() if row["method"].startswith(method)]
        assert [row["category"] for row in rows] == ["bottle", "screw", "transistor"]
        for row, cell in zip(rows, cells, strict=True):
            found = [row["image_auroc"], row["pixel_auroc"]]
            assert [100 * v for v in found if v is not None] == pytest.approx(cell)


def test_each_method_has_every_category_and_their_mean():
    rows = published_peers()
    for method in {row["method"] for row in rows}:
        cells = {row["item"]: row["auroc"] for row in rows if row["method"] == method}
        assert set(cells) == {*CATEGORIES, "mean"}
        mean = np.mean([cells[name] for name in CATEGORIES])
        assert cells["mean"] == pytest.approx(mean, abs=0.0011), method  # three digits were published
        assert all(0.5 < value <= 1 for value in cells.values())


def test_every_number_says_where_it_comes_from():
    assert all(row["source"] for row in published_peers() + measured_peers())
    with (DATA / "peers.csv").open(encoding="utf-8", newline="") as file:
        count = len(list(csv.DictReader(file)))
    assert len({row["method"] for row in published_peers()}) == count + 1
    assert PAPER in {row["method"] for row in published_peers()}


ROWS = [
    {"method": "a", "item": "mean", "auroc": 0.8, "group": "old"},
    {"method": "b", "item": "mean", "auroc": 0.9, "group": "new"},
    {"method": "a", "item": "nut", "auroc": 0.95, "group": "old"},
    {"method": "c", "item": "nut", "auroc": 0.7, "group": "new"},
]


def test_methods_stand_in_the_order_of_their_means_and_lack_what_is_not_known():
    old, new = peers(ROWS, "nut").data
    assert old.y == new.y == ("c", "a", "b")
    assert old.x == (None, 95.0, None)
    assert new.x == (70.0, None, None)
    assert old.marker.symbol != new.marker.symbol


def test_the_menu_goes_through_the_items():
    figure = sampled(lambda item: peers(ROWS, item), menu={"item": ["mean", "nut"]})
    assert [trace.x for trace in figure.data if trace.visible] == [(None, 80.0, None), (None, None, 90.0)]
    (changes,) = figure.layout.updatemenus[0].buttons[1].args
    shown = [trace.x for trace, v in zip(figure.data, changes["visible"], strict=True) if v]
    assert shown == [(None, 95.0, None), (70.0, None, None)]
