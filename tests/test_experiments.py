"""Tables and rates on small made-up features, against independent computations; the paper's numbers."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up
from scipy import stats
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold
from sklearn.svm import OneClassSVM

from gad_core import GaussianDetector, InputError, fit_gaussian
from gad_core.experiments.comparison import compare_category, compare_levels, summarise
from gad_core.experiments.paper import AUGMENTED, PLAIN, paper_value, paper_values
from gad_core.experiments.rates import (
    RATES,
    SIGMAS,
    clopper_pearson,
    exceedance,
    rates_rows,
    sigma_rate,
)
from gad_core.experiments.tables import SVM, mahalanobis_rows, table1_rows, table3_rows
from gad_core.feature_file import CategoryFeatures
from gad_core.manifest import DATA
from gad_core.thresholds import chi2_threshold, hotelling_threshold

MVTEC = ("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill", "screw",
         "tile", "toothbrush", "transistor", "wood", "zipper")  # fmt: skip


@pytest.fixture(scope="module")
def features():
    return made_up()


# --- the paper's numbers ----------------------------------------------------------------------------------


def test_every_known_number_of_the_paper_is_found_by_its_name():
    with (DATA / "paper_numbers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(paper_values()) == 111
    for row in rows:
        value = paper_value(row["table"], row["backbone"], row["setting"], row["item"])
        assert f"{100 * value.auroc:.1f}" == row["auroc_percent"]
        assert (f"{100 * value.sem:.1f}" if value.sem is not None else "") == row["sem"]


def test_shipped_numbers_are_those_of_the_specification(shared):
    assert (DATA / "paper_numbers.csv").read_bytes() == (shared / "paper" / "paper_numbers.csv").read_bytes()


def test_what_the_paper_does_not_tell_is_none():
    assert paper_value("III", "efficientnet_b4", PLAIN, "level 7") is None
    assert paper_value("I-II", "resnet18", PLAIN, "level 1") is None
    assert paper_value("V-VIII", "efficientnet_b4", AUGMENTED, "bottle").sem is None


# --- tables -----------------------------------------------------------------------------------------------


def independent_auroc(features, method, level):
    """Mean AUROC over five folds with scikit-learn and the definition of each distance."""
    start = {1: 0, 2: 4}
    levels = {1: [1], 2: [2], "sum": [1, 2]}[level]
    values = []
    for rows, _ in KFold(5, shuffle=True, random_state=0).split(features.train):
        total = 0
        for number in levels:
            columns = slice(start[number], start[number] + features.level_widths[number])
            X = features.train[rows, columns].astype(float)
            Z = features.test[:, columns].astype(float) - X.mean(axis=0)
            if method == "L2":
                total += np.linalg.norm(Z, axis=1)
            elif method == "SED":
                total += np.linalg.norm(Z / X.std(axis=0), axis=1)
            else:
                precision = np.linalg.inv(LedoitWolf().fit(X).covariance_)
                total += np.sqrt(np.einsum("ij,jk,ik->i", Z, precision, Z))
        values.append(roc_auc_score(features.labels, total))
    return np.mean(values)


def test_table_1_is_the_mean_over_folds_of_each_distance(features):
    rows = table1_rows(features)
    names = {1: "level 1", 2: "level 2", "sum": "sum"}
    found = {(row["method"], row["predictor"]): row["auroc"] for row in rows}
    for method in ("L2", "SED", "Mahalanobis"):
        for level, name in names.items():
            assert found[method, name] == pytest.approx(independent_auroc(features, method, level), abs=1e-12)
    assert len(rows) == 3 * 3 + 2
    assert {(row["folds"], row["reduce"], row["note"]) for row in rows} == {(5, "none", "")}


def test_the_one_class_svm_is_that_of_scikit_learn(features):
    rows = {row["predictor"]: row["auroc"] for row in table1_rows(features, folds=0) if row["method"] == SVM}
    fitted = OneClassSVM(kernel="rbf", gamma="scale").fit(features.train[:, 4:].astype(float))
    expected = roc_auc_score(features.labels, -fitted.decision_function(features.test[:, 4:].astype(float)))
    assert rows["level 2"] == pytest.approx(expected, abs=1e-12)
    assert rows.keys() == {"level 1", "level 2"}


def test_a_constant_feature_empties_the_cells_of_z_scores_alone(features):
    train = features.train.copy()
    train[:, 1] = 3.0
    broken = CategoryFeatures(**{**vars(features), "train": train})
    rows = {(row["method"], row["predictor"]): row for row in table1_rows(broken)}
    for predictor in ("level 1", "sum"):
        assert rows["SED", predictor]["auroc"] is None
        assert "constant" in rows["SED", predictor]["note"]
    whole = {(row["method"], row["predictor"]): row for row in table1_rows(features)}
    assert rows["SED", "level 2"] == whole["SED", "level 2"]
    assert all(row["auroc"] is not None for (method, _), row in rows.items() if method != "SED")


def test_table_2_is_the_mahalanobis_part_of_table_1(features):
    assert mahalanobis_rows(features) == [r for r in table1_rows(features) if r["method"] == "Mahalanobis"]


def test_table_3_agrees_with_detectors_on_each_fold(features):
    rows = {(row["reduce"], row["predictor"]): row["auroc"] for row in table3_rows(features)}
    assert len(rows) == 5 * 3
    for reduce, combine in ((("pca", 0.95), 2), (("npca", 0.99), "sum")):
        values = []
        for subset, _ in KFold(5, shuffle=True, random_state=0).split(features.train):
            detector = GaussianDetector(features.level_widths, combine, reduce, threshold="chi2")
            distances = detector.fit(features.train[subset]).mahalanobis(features.test)
            values.append(roc_auc_score(features.labels, distances))
        name = "sum" if combine == "sum" else f"level {combine}"
        assert rows[f"{reduce[0]}:{reduce[1]}", name] == pytest.approx(np.mean(values), abs=1e-12)


# --- Hotelling's law --------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(2, 30), st.floats(0.01, 0.5), st.integers(0, 2**32 - 1))
def test_new_samples_exceed_hotelling_s_threshold_at_the_chosen_rate(p, more, fpr, seed):
    """Each draw is a new fit with one new sample, so that draws are independent."""
    rng, n, draws = np.random.default_rng(seed), p + more, 400
    mixing = rng.normal(size=(p, p)) + 2 * np.eye(p)
    X = rng.normal(size=(draws, n, p)) @ mixing
    y = rng.normal(size=(draws, p)) @ mixing
    center = X.mean(axis=1)
    S = np.einsum("dni,dnj->dij", X - center[:, None], X - center[:, None]) / n
    squared = np.einsum("di,di->d", y - center, np.linalg.solve(S, (y - center)[..., None])[..., 0])
    count = int(np.sum(np.sqrt(squared) > hotelling_threshold(fpr, n, p)))
    # A wrong law gives p-values near zero; the right one goes below once in ten million examples.
    assert stats.binomtest(count, draws, fpr).pvalue > 1e-7


def test_hotelling_s_law_is_that_of_the_library_s_empirical_distance():
    rng, n, p = np.random.default_rng(0), 12, 5
    exceeding = [
        fit_gaussian(rng.normal(size=(n, p)), "empirical").mahalanobis(rng.normal(size=(1, p)))[0]
        > hotelling_threshold(0.1, n, p)
        for _ in range(1000)
    ]
    assert np.mean(exceeding) == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 1000))


def test_one_feature_gives_student_s_law():
    # sqrt(n / (n + 1)) (y - m) over the unbiased deviation is Student's t with n - 1 degrees of freedom.
    n, fpr = 8, 0.03
    expected = stats.t.isf(fpr / 2, n - 1) * np.sqrt((n + 1) / n) * np.sqrt(n / (n - 1))
    assert hotelling_threshold(fpr, n, 1) == pytest.approx(expected, rel=1e-12)


def test_hotelling_s_threshold_is_above_the_chi_square_one_and_tends_to_it():
    for fpr in (0.3, 1e-6):
        thresholds = [float(hotelling_threshold(fpr, n, [3, 7])) for n in (9, 30, 300, 10**9)]
        assert thresholds == sorted(thresholds, reverse=True)
        assert thresholds[-1] == pytest.approx(float(chi2_threshold(fpr, [3, 7])), rel=1e-6)


def test_hotelling_s_law_needs_more_samples_than_features():
    with pytest.raises(InputError, match="7 samples and 7 features"):
        hotelling_threshold(0.05, 7, [3, 7])


# --- rates ------------------------------------------------------------------------------------------------


def test_sigma_rates_are_those_of_the_paper():
    percent = [100 * float(sigma_rate(k)) for k in SIGMAS]
    assert percent == pytest.approx([31.7, 4.55, 0.27, 0.0063, 5.7e-5], rel=0.01)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.data())
def test_clopper_pearson_is_scipy_s_exact_interval(trials, data):
    count = data.draw(st.integers(0, trials))
    expected = stats.binomtest(count, trials).proportion_ci(0.95, "exact")
    assert clopper_pearson(count, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_exceedance_counts_strictly_above():
    found = exceedance(np.array([0, 0, 0, 1, 1]), np.array([1.0, 2.0, 3.0, 2.0, 9.0]), 2.0)
    assert (found["false_alarms"], found["normal"], found["detected"], found["anomalous"]) == (1, 3, 1, 2)
    assert (found["fpr"], found["tpr"]) == (1 / 3, 0.5)
    assert found["fpr_low"] < 1 / 3 < found["fpr_high"]


@pytest.fixture(scope="module")
def rates(features):
    return {(r["predictor"], r["method"], r["covariance"], r["chosen"]): r for r in rates_rows(features)}


def test_rates_cover_every_predictor_method_and_working_point(rates):
    methods = {("chi-square", "ledoit_wolf"), ("chi-square", "empirical"), ("Hotelling", "empirical"),
               ("cross-validated", "ledoit_wolf"), ("conformal", "ledoit_wolf")}  # fmt: skip
    chosen = {*sigma_rate(SIGMAS).tolist(), *RATES}
    assert len(rates) == 4 * len(methods) * len(chosen)
    assert {key[0] for key in rates} == {"level 1", "level 2", "sum", "joint"}
    assert {key[1:3] for key in rates} == methods
    assert {key[3] for key in rates} == chosen


@pytest.mark.parametrize("combine", [2, "sum", "joint"])
@pytest.mark.parametrize(
    ("method", "threshold"),
    [("chi-square", "chi2"), ("cross-validated", "cross_validated"), ("conformal", "conformal")],
)
def test_rates_are_those_of_the_detector(features, rates, combine, method, threshold):
    rate = float(sigma_rate(1))
    detector = GaussianDetector(features.level_widths, combine, threshold=threshold, fpr=rate)
    detector.fit(features.train)
    row = rates[f"level {combine}" if combine == 2 else combine, method, "ledoit_wolf", rate]
    verdict = detector.predict(features.test) == -1
    assert row["threshold"] == pytest.approx(detector.threshold_, rel=1e-12)
    assert row["fpr"] == np.mean(verdict[features.labels == 0])
    assert row["tpr"] == np.mean(verdict[features.labels == 1])


def test_hotelling_rates_use_the_unshrunk_fit(features, rates):
    distances = fit_gaussian(features.train[:, :4], "empirical").mahalanobis(features.test[:, :4])
    row = rates["level 1", "Hotelling", "empirical", 0.1]
    assert row["threshold"] == pytest.approx(float(hotelling_threshold(0.1, 30, 4)))
    assert row["false_alarms"] == np.sum(distances[features.labels == 0] > row["threshold"])
    assert "equally extreme" in rates["sum", "Hotelling", "empirical", 0.1]["note"]


def test_where_n_is_at_most_p_the_laws_of_the_unshrunk_fit_do_not_apply():
    rows = rates_rows(made_up(widths={1: 4, 2: 12}, n=12))
    by_level = {(row["predictor"], row["method"], row["chosen"]): row for row in rows}
    for predictor in ("level 2", "sum", "joint"):
        row = by_level[predictor, "Hotelling", 0.05]
        assert row["note"] == "not applicable: n <= p"
        assert row["threshold"] is row["fpr"] is row["tpr_high"] is row["false_alarms"] is None
    assert by_level["level 1", "Hotelling", 0.05]["fpr"] is not None


def test_rates_that_few_samples_cannot_resolve_are_said_to_be_so(rates):
    conformal = rates["joint", "conformal", "ledoit_wolf", 0.001]
    assert conformal["threshold"] is None
    assert "needs 999 held-out samples" in conformal["note"]
    held_out = rates["joint", "cross-validated", "ledoit_wolf", 0.001]
    assert held_out["threshold"] is not None
    assert held_out["note"].startswith("the largest held-out distance")


def test_a_singular_unshrunk_covariance_is_said_to_be_so(features):
    train = features.train.copy()
    train[:, 1] = 3.0
    rows = rates_rows(CategoryFeatures(**{**vars(features), "train": train}))
    row = next(r for r in rows if r["predictor"] == "level 1" and r["method"] == "Hotelling")
    assert row["fpr"] is None
    assert "singular" in row["note"]


# --- side by side -----------------------------------------------------------------------------------------


def level_rows(categories, levels, value=0.9, backbone="efficientnet_b4"):
    return [
        {"category": c, "backbone": backbone, "method": "Mahalanobis", "reduce": "none", "predictor": p,
         "auroc": value, "note": ""}
        for c in categories
        for p in [*(f"level {level}" for level in levels), "sum"]
    ]  # fmt: skip


def test_a_mean_over_all_categories_has_a_difference_to_the_paper():
    rows = {row["item"]: row for row in compare_levels(level_rows(MVTEC, range(1, 10)))}
    assert len(rows) == 10
    assert rows["level 7"]["paper"] == pytest.approx(96.7)
    assert rows["level 7"]["difference"] == pytest.approx(90 - 96.7)
    assert rows["sum"]["difference"] == pytest.approx(90 - 94.8)
    assert {row["note"] for row in rows.values()} == {""}


def test_other_categories_are_named_and_have_no_difference():
    rows = compare_levels(level_rows(["bottle", "screw", "transistor"], range(1, 8)))
    for row in rows:
        assert row["difference"] is None
        assert row["paper"] is not None
        if row["ours"] is not None:
            assert "mean of 3 categories: bottle, screw, transistor" in row["note"]
            assert "the paper's mean is of 15" in row["note"]
    by_item = {row["item"]: row for row in rows}
    assert by_item["level 8"]["ours"] is None
    assert by_item["level 8"]["note"] == "this level is not in the features"
    assert "7 levels of 9" in by_item["sum"]["note"]


def test_fifteen_categories_that_are_not_the_paper_s_are_said_to_be_others():
    rows = compare_levels(level_rows([f"thing{i}" for i in range(15)], range(1, 10)))
    assert all(row["difference"] is None and "mean of 15 categories" in row["note"] for row in rows)


def test_a_sum_over_fewer_levels_has_no_difference_even_for_all_categories():
    rows = {row["item"]: row for row in compare_levels(level_rows(MVTEC, range(1, 8)))}
    assert rows["level 7"]["difference"] is not None
    assert rows["sum"]["difference"] is None


def test_the_value_of_one_category_has_a_difference():
    paper = paper_value("V-VIII", "efficientnet_b4", AUGMENTED, "bottle")
    row = {"category": "bottle", "backbone": "efficientnet_b4", "auroc": 0.99}
    found = compare_category(row, "augmented", paper, "auroc", "10 passes")
    assert found["difference"] == pytest.approx(99 - 99.8)
    assert compare_category(row, "augmented", None, "auroc", "")["difference"] is None


def test_draws_are_averaged_within_a_category_before_categories_are():
    rows = [
        {"category": c, "backbone": "b", "s": "x", "share": 0.1, "v": v}
        for c, v in [("a", 0.2), ("a", 0.4), ("b", 0.7)]
    ]
    (row,) = summarise(rows, ("s",), ("share",), {"v": "V %"})
    assert row["ours"] == pytest.approx(50)
    assert row["ours_sem"] == pytest.approx(100 * stats.sem([0.3, 0.7]))
    assert (row["setting"], row["item"], row["paper"]) == ("x", "share 0.1", None)


def test_categories_without_a_value_are_named():
    rows = [{"category": c, "backbone": "b", "s": "x", "v": v} for c, v in [("a", None), ("b", 0.5)]]
    (row,) = summarise(rows, ("s",), (), {"v": "V"})
    assert row["ours"] == 0.5
    assert "undefined for a" in row["note"]
