"""The stored results are what the library gives now."""

import csv

import pytest

import gad_core as gad
from gad_core.experiments.catalogue import EXPERIMENTS
from gad_core.experiments.results import stored_rows
from gad_core.manifest import DATA

FOLDER = DATA / "results" / "embedded"
STORED = sorted(path.stem for path in FOLDER.glob("*.json"))
QUICK = ("table1", "table2", "table3", "rates")
TOLERANCE = 1e-6


def same(stored, computed):
    """Compare two rows, numbers within the tolerance."""
    assert stored.keys() == computed.keys()
    for key, value in computed.items():
        if isinstance(value, float):
            assert stored[key] == pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE), (key, computed)
        else:
            assert stored[key] == value, (key, computed)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("category", ["bottle", "transistor"])
def test_rows_of_a_category_are_those_that_the_library_gives(name, category):
    features = gad.embedded_features(category, "efficientnet_b4")
    computed = EXPERIMENTS[name].compute(features)
    stored = stored_rows(name, category=category, backbone="efficientnet_b4")
    assert len(stored) == len(computed)
    for one, other in zip(stored, computed, strict=True):
        same(one, other)


@pytest.mark.parametrize("name", STORED)
def test_the_table_of_a_result_is_the_one_of_its_rows(name):
    stored = stored_rows(f"{name}.comparison")
    computed = EXPERIMENTS[name].compare(stored_rows(name))
    assert len(stored) == len(computed) > 0
    for one, other in zip(stored, computed, strict=True):
        same(one, {key: value if value != "" or key == "note" else None for key, value in other.items()})


@pytest.mark.parametrize("name", STORED)
def test_results_name_no_value_of_the_paper_that_is_not_known(name):
    with (FOLDER / f"{name}.comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["paper"]:
            assert name in ("table1", "table2", "table5", "table7")
            assert row["difference"] == "" or name == "table5"
            assert row["note"]
