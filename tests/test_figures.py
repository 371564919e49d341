"""Figures show the numbers that they are about."""

import re

import numpy as np
import pytest
from made_up import made_up
from sklearn.metrics import roc_auc_score

from gad_core.experiments.components import SubspaceCurves, component_effects
from gad_core.experiments.rates import exceedance, threshold_rules
from gad_core.figures import components, method, rates, your_images
from gad_core.figures.table import table


@pytest.fixture(scope="module")
def features():
    return made_up()


def numbers(text):
    return [float(found) for found in re.findall(r"[\d.]+", re.sub("<[^>]*>", "", text))]


@pytest.mark.parametrize("shrinkage", [0, 0.3, 1])
def test_the_playground_gives_the_distance_of_the_shrunk_covariance(shrinkage):
    rng = np.random.default_rng(0)
    normal, point = rng.normal(size=(30, 2)) * [3, 1], np.array([1.0, 2.5])
    S = np.cov(normal.T, ddof=0)
    shrunk = (1 - shrinkage) * S + shrinkage * np.trace(S) / 2 * np.eye(2)
    z = point - normal.mean(axis=0)
    figure = method.playground(normal, {"new": point}, shrinkage)
    assert numbers(figure.data[-1].name) == [round(np.sqrt(z @ np.linalg.solve(shrunk, z)), 2)]
    ellipse = np.stack([figure.data[1].x, figure.data[1].y], axis=1) - normal.mean(axis=0)
    assert np.allclose(np.einsum("ij,ij->i", ellipse @ np.linalg.inv(shrunk), ellipse), 1)


def test_the_axes_of_the_playground_stay(features):
    draw = [method.playground(features.train[:, :2], {"a": [x, 9.0]}, s).layout for x, s in ((0, 0), (5, 1))]
    assert draw[0] == draw[1]


def test_separation_names_the_auroc(features):
    distances = np.arange(len(features.labels)) % 9 * 1.0
    figure = components.separation(distances, features.labels)
    assert numbers(figure.data[-1].name) == [round(100 * roc_auc_score(features.labels, distances), 1)]


def test_share_lines_stand_where_the_share_is_exceeded(features):
    effects = component_effects(features.train[:, 4:], features.test[:, 4:], features.labels)
    figure = components.spectrum_and_effects(effects, (0.5, 0.95))
    shares = np.cumsum(effects.variances) / effects.variances.sum()
    for line, share in zip(figure.data[-2:], (0.5, 0.95), strict=True):
        component = line.x[0]
        assert shares[component - 1] > share
        assert component == 1 or shares[component - 2] <= share


def test_labels_of_neighbouring_share_lines_stand_at_different_heights(features):
    effects = component_effects(features.train[:, 4:], features.test[:, 4:], features.labels)
    figure = components.spectrum_and_effects(effects, (0.5, 0.9, 0.95))
    labels = [
        {y: text for y, text in zip(line.y, line.text, strict=True) if text} for line in figure.data[-3:]
    ]
    assert [list(each.values()) for each in labels] == [[" 50 %"], [" 90 %"], [" 95 %"]]
    first, second, third = (next(iter(each)) for each in labels)
    assert first == third > second > figure.data[-1].y[-1]


def test_the_legend_names_the_shares_of_subspaces_from_left_to_right():
    curves = SubspaceCurves(np.arange(1, 4), np.array([0.5, 0.6, 0.7]), np.array([0.6, 0.7, 0.8]))
    marks = {"pca": [(0.99, 3, 0.7), (0.95, 2, 0.6)], "npca": [(0.99, 3, 0.8), (0.9999, 1, 0.6)]}
    _, pca, _, npca, _ = components.subspace_curves(curves, 0.9, marks).data
    assert (pca.x, pca.name) == ((2, 3), "PCA 95, 99 %")
    assert (npca.x, npca.y, npca.name) == ((1, 3), (60, 80), "NPCA 99.99, 99 %")


def test_running_mean_is_that_of_a_window():
    values = np.arange(20.0) ** 2
    found = components.running_mean(values, 5)
    assert np.isclose(found[10], values[8:13].mean())
    assert np.isclose(found[0], values[:3].mean())
    assert np.isclose(found[-1], values[-3:].mean())


@pytest.mark.parametrize("chosen", [0.2, 0.05])
def test_a_working_point_shows_threshold_and_rates(features, chosen):
    rule = next(r for r in threshold_rules(features, 2) if r.method == "cross-validated")
    figure = rates.working_point(rule, features.labels, chosen)
    line, wanted, obtained = figure.data[-3:]
    threshold, _ = rule.at(chosen)
    found = exceedance(features.labels, rule.distances, threshold)
    assert line.x == (threshold, threshold)
    assert wanted.y == (100 * chosen,)
    assert np.allclose(obtained.y, [100 * found["fpr"], 100 * found["tpr"]])
    assert obtained.x == tuple(f"{key.upper()}<br>{100 * found[key]:.0f} %" for key in ("fpr", "tpr"))
    assert wanted.x == obtained.x[:1]
    assert np.allclose(
        np.add(obtained.y, obtained.error_y.array), [100 * found["fpr_high"], 100 * found["tpr_high"]]
    )


def test_where_there_is_no_threshold_the_figure_says_why(features):
    rules = {r.method: r for r in threshold_rules(made_up(widths={1: 4, 2: 12}, n=12), 2)}
    none = rates.working_point(rules["conformal"], features.labels, 0.01)
    assert none.data[-3].x == (None, None)
    assert "needs 99 held-out samples" in none.data[-3].name
    assert none.data[-1].y == (None, None)
    assert rates.working_point(rules["Hotelling"], features.labels, 0.1).layout.title.text.startswith(
        "not app"
    )


def test_obtained_rates_leave_out_what_does_not_apply():
    row = {"method": "a", "chosen": 0.1, "fpr": 0.2, "fpr_low": 0.1, "fpr_high": 0.5}
    figure = rates.obtained_rates([row, row | {"chosen": 0.01, "fpr": None}])
    assert (figure.data[0].x, figure.data[0].y) == ((10.0,), (20.0,))
    assert np.allclose([figure.data[0].error_y.array, figure.data[0].error_y.arrayminus], [[30], [10]])


def test_guarantee_starts_at_the_smallest_number_of_images():
    figure = rates.guarantee(0.05)
    assert figure.data[0].x[0] == 19
    assert np.all(np.array(figure.data[0].y) < np.array(figure.data[1].y))


# --- pictures in the order of their distances -------------------------------------------------------------


def test_pictures_stand_in_the_order_of_their_distances_and_frames_are_beyond_the_threshold():
    images = [np.full((50, 50, 3), 20 * i, dtype=np.uint8) for i in range(6)]
    distances = np.array([3.0, 9.0, 1.0, 7.0, 5.0, 5.5])
    panel = your_images.ranked_pictures(images, distances, 5.0)
    texts, shown = zip(*panel.pictures, strict=True)
    assert texts == ("1.0", "3.0", "5.0", "5.5 ✕", "7.0 ✕", "9.0 ✕")
    assert "5.0" in panel.title
    assert [picture[25, 25, 0] for picture in shown] == [40, 0, 80, 100, 60, 20]
    framed = [len(np.unique(picture.reshape(-1, 3), axis=0)) == 2 for picture in shown]
    assert framed == [False, False, False, True, True, True]
    assert all((picture[0, 0] == (0xD5, 0x5E, 0x00)).all() for picture in shown[3:])
    assert all(len(np.unique(image)) == 1 for image in images)  # those given stay as they are


def test_sorted_distances_count_what_a_threshold_finds(features):
    distances, labels = np.array([4.0, 1.0, 3.0, 2.0]), np.array([1, 0, 0, 1])
    figure = your_images.sorted_distances(distances, labels, 2.5)
    good, defect, line = figure.data
    assert (list(good.x), list(good.y)) == ([1, 3], [1, 3])
    assert (list(defect.x), list(defect.y)) == ([4, 2], [4, 2])
    assert (good.name, defect.name) == ("good: 1 of 2 beyond", "defect: 1 of 2 beyond")
    assert (list(line.y), line.name) == ([2.5, 2.5], "threshold 2.5")
    assert figure.layout == your_images.sorted_distances(distances, labels, 9.0).layout


# --- tables -----------------------------------------------------------------------------------------------


def test_a_table_gives_whole_numbers_whole_and_leaves_out_what_is_none():
    rows = [{"of": "a", "n": 6, "share": 0.25}, {"of": "b", "n": 0, "share": None}]
    shown = table(rows, {"of": "", "n": "number", "share": "share"})
    assert shown.cells == (("a", "6", "0.2"), ("b", "0", ""))


def test_notes_that_differ_stand_below_a_table_once_each():
    rows = [{"of": of, "note": note} for of, note in (("a", "x"), ("b", ""), ("c", "y"), ("d", "x"))]
    shown = table(rows, {"of": "of"})
    assert shown.cells == (("a [a]",), ("b",), ("c [b]",), ("d [a]",))
    assert shown.note == "[a] x\n[b] y"
    assert "<em>[a] x<br>[b] y</em>" in shown._repr_html_()
    alike = table([{"of": "a", "note": "x"}, {"of": "b", "note": "x"}], {"of": "of"})
    assert (alike.cells, alike.note) == ((("a",), ("b",)), "x")
