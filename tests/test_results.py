"""The stored results are what the library gives now."""

import csv

import pytest

import gad_core as gad
from gad_core.datasets.embedded import embedded_augmented
from gad_core.experiments.catalogue import EXPERIMENTS
from gad_core.experiments.contamination import contamination_rows, contamination_summary
from gad_core.experiments.injection import ESTIMATES
from gad_core.experiments.paper import AUGMENTED, AUGMENTED_NPCA, paper_value
from gad_core.experiments.results import stored_rows
from gad_core.manifest import DATA

FOLDER = DATA / "results" / "embedded"
STORED = sorted(path.stem for path in FOLDER.glob("*.json"))
TOLERANCE = 1e-6


def same(stored, computed):
    """Compare two rows, numbers within the tolerance."""
    assert stored.keys() == computed.keys()
    for key, value in computed.items():
        if isinstance(value, float):
            assert stored[key] == pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE), (key, computed)
        else:
            assert stored[key] == value, (key, computed)


def test_every_experiment_that_can_run_on_the_shipped_features_is_stored():
    resnets = {"table7"}  # whose features do not ship
    assert set(STORED) == set(EXPERIMENTS) - resnets


@pytest.mark.parametrize(
    ("name", "category", "backbone"),
    [
        ("table1", "bottle", "efficientnet_b4"),
        ("table2", "screw", "efficientnet_b4"),
        ("table3", "transistor", "embedded"),
        ("table4", "bottle", "efficientnet_b4"),
        ("table5", "transistor", "efficientnet_b4"),
        ("rates", "bottle", "embedded"),
        ("ablation", "bottle", "efficientnet_b4"),
    ],
)
def test_rows_of_a_category_are_those_that_the_library_gives(name, category, backbone):
    experiment = EXPERIMENTS[name]
    given = [gad.embedded_features(category, backbone)]
    given += [embedded_augmented(category, backbone)] if experiment.augmented else []
    computed = experiment.compute(*given)
    stored = stored_rows(name, category=category, backbone=backbone)
    assert len(stored) == len(computed)
    for one, other in zip(stored, computed, strict=True):
        same(one, other)


def test_contamination_is_what_the_library_gives():
    features = gad.embedded_features("transistor")
    computed = contamination_summary(contamination_rows(features, shares=(0.1,), predictors=(7,)))
    stored = stored_rows("contamination", category="transistor", predictor="level 7", share=0.1)
    assert len(stored) == len(computed) == len(ESTIMATES)
    for one, other in zip(stored, computed, strict=True):
        same(one, other)
        assert one["draws"] == 20


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


@pytest.mark.parametrize(
    ("name", "setting", "item", "where"),
    [
        (
            "table4",
            "chi-square, npca:0.99, level 7",
            "chosen 0.27 %, passes 10",
            {"reduce": "npca:0.99", "predictor": "level 7", "chosen": 0.002699796063},
        ),
        (
            "rates",
            "joint",
            "cross-validated, ledoit_wolf, chosen 5 %",
            {"method": "cross-validated", "predictor": "joint", "chosen": 0.05},
        ),
        (
            "contamination",
            "sum, plain",
            "share 20 %",
            {"predictor": "sum", "estimate": "plain", "share": 0.2},
        ),
    ],
)
@pytest.mark.parametrize("rate", ["fpr", "tpr"])
def test_rates_are_in_percent_and_means_over_categories(name, setting, item, where, rate):
    cell = {"backbone": "efficientnet_b4", "setting": setting, "item": item, "quantity": f"{rate.upper()} %"}
    (shown,) = stored_rows(f"{name}.comparison", **cell)
    values = [100 * row[rate] for row in stored_rows(name, backbone="efficientnet_b4", **where)]
    assert len(values) == 3
    assert shown["ours"] == pytest.approx(sum(values) / 3, abs=1e-5)
    assert max(values) > 1


def test_augmented_categories_stand_beside_the_paper_s_values():
    shown = stored_rows("table5.comparison")
    assert {row["item"] for row in shown} == {"bottle", "screw", "transistor"}
    for row in shown:
        reduce = row["setting"].split(", ")[1]
        (ours,) = stored_rows("table5", category=row["item"], reduce=reduce, predictor="sum")
        setting = {"none": AUGMENTED, "npca:0.99": AUGMENTED_NPCA}[reduce]
        paper = paper_value("V-VIII", "efficientnet_b4", setting, row["item"])
        assert row["ours"] == pytest.approx(100 * ours["auroc"], abs=1e-5)
        assert row["paper"] == pytest.approx(100 * paper.auroc)
        assert row["difference"] == pytest.approx(row["ours"] - row["paper"], abs=1e-5)
        assert "7 levels, 10 passes" in row["note"]
