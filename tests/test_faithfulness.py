"""Curves and the background's share: averages against sums by hand, the command, what ships."""

import csv

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid

import gad_core as gad
from gad_core.bootstrap import bootstrap_mean
from gad_core.cli import main
from gad_core.experiments.faithfulness import (
    CURVES,
    EXACT,
    TABLES,
    TURNED,
    curve_tables,
    faithfulness_rows,
    relevance_rows,
)
from gad_core.experiments.results import stored_rows
from gad_core.explain.curves import Curve

pytestmark = pytest.mark.slow

SHARES = np.array([0.0, 0.5, 1.0])


def followed(*scores):
    """Curves of images: those of the exact map as given, those of the turned one all 1."""
    return [
        {
            (kind, name): Curve(SHARES, np.array(of_image if name == EXACT else [1.0, 1.0, 1.0]))
            for kind in CURVES
            for name in (EXACT, TURNED)
        }
        for of_image in scores
    ]


def test_interval_of_a_mean_is_that_of_the_normal_approximation():
    values = np.random.default_rng(0).normal(3, 2, size=(400, 2))
    low, high = bootstrap_mean(values, np.random.default_rng(1), resamples=4000)
    half = stats.norm.ppf(0.975) * values.std(axis=0) / 20
    np.testing.assert_allclose(low, values.mean(axis=0) - half, atol=0.03)
    np.testing.assert_allclose(high, values.mean(axis=0) + half, atol=0.03)


def test_images_are_resampled_once_for_all_numbers():
    first = np.random.default_rng(0).normal(size=30)
    low, high = bootstrap_mean(np.stack([first, first + 5], axis=1), np.random.default_rng(1))
    np.testing.assert_allclose(low[1] - low[0], 5)
    np.testing.assert_allclose(high[1] - high[0], 5)


def test_curves_are_averaged_and_areas_compared():
    tables = curve_tables(followed([1.0, 0.2, 0.1], [1.0, 0.6, 0.3]), seed=0)
    deletion = [row for row in tables["curves"] if (row["curve"], row["map"]) == ("deletion", EXACT)]
    assert [row["share"] for row in deletion] == SHARES.tolist()
    np.testing.assert_allclose([row["score"] for row in deletion], [1.0, 0.4, 0.2])
    assert deletion[0]["score_low"] == pytest.approx(deletion[0]["score_high"])
    assert (deletion[1]["score_low"], deletion[1]["score_high"]) == pytest.approx((0.2, 0.6))
    for row in tables["areas"]:
        assert row["exact"] == pytest.approx((0.375 + 0.625) / 2)
        assert row["turned"] == pytest.approx(1)
        assert row["difference"] == pytest.approx(-0.5)
        assert (row["difference_low"], row["difference_high"]) == pytest.approx((-0.625, -0.375))
        assert (row["images"], row["seed"]) == (2, 0)


def test_share_of_relevance_outside_of_the_object_by_hand():
    half = np.zeros((4, 4), dtype=bool)
    half[:, 2:] = True
    inside, outside = half.astype(float), 3.0 * ~half - half
    nothing = np.zeros((4, 4), dtype=bool)
    anomalous, normal = relevance_rows(
        [inside, outside, outside, inside],
        [half, half, nothing, half],
        np.array([True, True, True, False]),
        0,
    )
    assert (anomalous["kind"], anomalous["outside"], anomalous["images"]) == ("anomalous", 0.5, 2)
    assert (anomalous["outside_low"], anomalous["outside_high"]) == (0, 1)
    assert (normal["kind"], normal["outside"], normal["background"]) == ("normal", 0, 0.5)
    assert relevance_rows([inside], [~nothing], np.array([True]), 0) == []


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr("gad_core.experiments.faithfulness.STEPS", 3)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    sizes = {"n_train": 12, "n_test_good": 2, "n_test_defect": 1, "size": 64}
    return gad.synthesize(tmp_path_factory.mktemp("data"), categories=["nut"], **sizes, progress=False)


def test_tables_are_the_same_each_time_and_belong_together(root, few_steps):
    extractor = gad.FeatureExtractor("embedded", levels=[4, 5], size=96, progress=False)
    data, ticks = gad.MVTecDataset(root, "nut"), []
    once, again = (
        faithfulness_rows(data, extractor, predictors=[4, "joint"], limit=2, tick=ticks.append)
        for _ in range(2)
    )
    assert once == again
    assert sum(ticks) == 2 * 2 * 2
    assert len(once["curves"]) == 2 * 2 * 2 * 4
    assert {row["predictor"] for row in once["relevance"]} == {"level 4", "joint"}
    check_curves(once["curves"], once["areas"])


def test_the_command_writes_the_tables(root, tmp_path, few_steps):
    words = ["localise", "--data", root, "--backbone", "embedded", "--levels", "5", "--predictor", "5"]
    words += ["--limit", "1", "--no-cache", "--quiet", "--faithfulness", tmp_path / "new"]
    assert main([str(word) for word in words]) == 0
    tables = {}
    for name in TABLES:
        with (tmp_path / "new" / f"{name}.csv").open() as file:
            tables[name] = list(csv.DictReader(file))
    assert {row["predictor"] for rows in tables.values() for row in rows} == {"level 5"}
    check_curves(tables["curves"], tables["areas"])


def check_curves(curves, areas):
    """A curve goes from the image to the baseline or back, and the areas are those under the curves."""
    for area in areas:
        ends = {}
        for name, column in ((EXACT, "exact"), (TURNED, "turned")):
            of_area = ("category", "predictor", "curve")
            rows = [r for r in curves if r["map"] == name and all(r[key] == area[key] for key in of_area)]
            shares, scores = np.array([[float(row["share"]), float(row["score"])] for row in rows]).T
            assert float(area[column]) == pytest.approx(trapezoid(scores, shares))
            ends[name] = (scores[0], scores[-1])
        assert ends[EXACT] == pytest.approx(ends[TURNED])
        assert ends[EXACT][0 if area["curve"] == "deletion" else 1] == pytest.approx(1)
        assert float(area["difference"]) == pytest.approx(float(area["exact"]) - float(area["turned"]))
        assert float(area["difference_low"]) <= float(area["difference"]) <= float(area["difference_high"])


# --- what ships -------------------------------------------------------------------------------------------


def test_stored_curves_are_whole():
    curves, areas = stored_rows("curves", "explain"), stored_rows("areas", "explain")
    assert {row["category"] for row in areas} == {"bottle", "screw"}
    check_curves(curves, areas)


def test_stored_relevance_is_a_share():
    rows = stored_rows("relevance", "explain")
    assert {(row["category"], row["kind"]) for row in rows} >= {("bottle", "anomalous"), ("screw", "normal")}
    for row in rows:
        assert 0 <= row["outside_low"] <= row["outside"] <= row["outside_high"] <= 1
        assert 0 < row["background"] < 1
