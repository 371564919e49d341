"""Contaminated training sets, and estimates that are meant to withstand them."""

import itertools

import numpy as np
import pytest

from gad_core import GaussianDetector, InputError, fit_gaussian
from gad_core.evaluation import auroc
from gad_core.experiments.contamination import contamination_rows, contamination_summary
from gad_core.experiments.injection import ESTIMATES, Contamination, injections
from gad_core.feature_file import CategoryFeatures
from gad_core.subsets import RowGaussians, SummedGaussians
from gad_core.trimming import median_distances, robust, training_distances, trimmed

LEVELS = {1: 6, 2: 40}


def made(train=60, good=25, bad=24, offset=3.0, seed=0):
    """Gaussian features; anomalies are shifted along a few features."""
    rng = np.random.default_rng(seed)
    p = sum(LEVELS.values())
    X = rng.normal(size=(train + good + bad, p)) * np.linspace(0.2, 2, p) + 10
    X[train + good :, ::4] += offset * np.linspace(0.2, 2, p)[::4]
    return CategoryFeatures(
        "nut", "resnet18", LEVELS, X[:train].astype(np.float32), X[train:].astype(np.float32),
        tuple(f"train/good/{i}.png" for i in range(train)),
        tuple(f"test/{i}.png" for i in range(good + bad)), ("good",) * good + ("dent",) * bad, {},
    )  # fmt: skip


def whole_of(X, rows, columns=(slice(None),)):
    return SummedGaussians(tuple(RowGaussians(X[:, where]).fit(rows) for where in columns))


@pytest.fixture(scope="module")
def features():
    return made()


@pytest.fixture(scope="module")
def rows(features):
    return contamination_rows(features, shares=(0, 0.1, 0.2), draws=3)


def test_every_share_draw_predictor_and_estimate_has_a_row(rows):
    cells = {(r["share"], r["draw"], r["predictor"], r["estimate"]) for r in rows}
    assert len(cells) == len(rows) == 3 * 3 * 3 * len(ESTIMATES)
    assert {r["predictor"] for r in rows} == {"level 2", "sum", "joint"}


def test_shares_hold_in_the_training_set(rows):
    for row in rows:
        k, n = row["n_injected"], row["n_clean"]
        assert k / (n + k) == pytest.approx(row["share"], abs=0.5 / n + 1e-9)
    assert {(r["share"], r["n_clean"], r["n_injected"]) for r in rows} == {
        (0, 60, 0), (0.1, 60, 7), (0.2, 48, 12)
    }  # fmt: skip


@pytest.mark.parametrize("combine", [1, "sum", "joint"])
def test_without_anomalies_the_plain_estimate_is_the_detector(features, combine):
    found = contamination_rows(features, shares=(0,), draws=2, predictors=[combine])
    detector = GaussianDetector(LEVELS, combine, fpr=0.05).fit(features.train)
    distances, labels = detector.mahalanobis(features.test), features.labels
    for draw in range(2):
        moved = np.random.default_rng([0, draw]).permutation(np.flatnonzero(labels))[:12]
        tested = np.setdiff1d(np.arange(len(labels)), moved)
        for row in (r for r in found if r["draw"] == draw and r["estimate"] in ("clean", "plain")):
            assert row["auroc"] == pytest.approx(auroc(labels[tested], distances[tested]))
            alarms = distances[tested] > detector.threshold_
            assert row["fpr"] == row["fpr_kept"] == alarms[labels[tested] == 0].mean()
            assert row["tpr"] == row["tpr_kept"] == alarms[labels[tested] == 1].mean()
            assert row["injected_auroc"] is row["injected_top"] is row["injected_kept"] is None


def test_the_plain_estimate_equals_a_detector_on_the_contaminated_features(features):
    (row,) = (
        r
        for r in contamination_rows(features, shares=(0.1,), draws=1, predictors=["joint"])
        if r["estimate"] == "plain"
    )
    labels = features.labels
    moved = np.random.default_rng([0, 0]).permutation(np.flatnonzero(labels))[:12]
    train = np.concatenate([features.train, features.test[np.sort(moved[:7])]])
    detector = GaussianDetector(LEVELS, "joint", fpr=0.05).fit(train)
    tested = np.setdiff1d(np.arange(len(labels)), moved)
    distances = detector.mahalanobis(features.test[tested])
    assert row["auroc"] == pytest.approx(auroc(labels[tested], distances))
    assert row["tpr"] == (distances > detector.threshold_)[labels[tested] == 1].mean()


def test_anomalies_in_training_harm_the_plain_estimate_more_than_the_robust_one(rows):
    def mean(estimate, key):
        return np.mean([r[key] for r in rows if r["share"] == 0.2 and r["estimate"] == estimate])

    assert mean("plain", "auroc") < mean("robust", "auroc") <= mean("clean", "auroc") + 0.02
    assert mean("plain", "tpr_kept") < mean("robust", "tpr_kept")
    assert mean("robust", "injected_kept") < mean("robust", "kept")
    assert mean("trimmed", "injected_kept") < mean("trimmed", "kept") == pytest.approx(0.8)
    assert mean("plain", "injected_kept") == mean("plain", "kept") == 1


def test_rows_depend_on_the_seed_alone(features, rows):
    assert contamination_rows(features, shares=(0, 0.1, 0.2), draws=3) == rows
    assert contamination_rows(features, shares=(0, 0.1, 0.2), draws=3, seed=1) != rows


def test_larger_shares_add_to_the_anomalies_of_smaller_ones():
    pool = np.random.default_rng(0).permutation(np.arange(50, 70))
    found = list(injections(50, pool, [0, 0.05, 0.2, 0.4], np.random.default_rng(1)))
    assert [len(i.injected) for i in found] == [0, 3, 12, 20]
    for smaller, larger in itertools.pairwise(found):
        assert set(smaller.injected) <= set(larger.injected)
    assert len(found[3].clean) == 30
    assert len(set(found[3].clean)) == 30


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_a_single_draw_is_the_one_of_the_rows(features, rows, estimate):
    experiment = Contamination(features, "joint")
    (draw,) = experiment.draws([0.2], np.random.default_rng([0, 2]))
    found = experiment.estimated(draw, estimate)
    wanted = {"share": 0.2, "draw": 2, "predictor": "joint", "estimate": estimate}
    (row,) = [row for row in rows if wanted.items() <= row.items()]
    assert (row["n_injected"], row["n_clean"]) == (draw.injected.sum(), (~draw.injected).sum())
    assert row["auroc"] == auroc(features.labels[draw.tested], found.test[draw.tested])
    assert row["kept"] == found.kept.mean()
    with pytest.raises(InputError, match="'best'; there are: clean"):
        experiment.estimated(draw, "best")


def test_the_summary_has_mean_and_standard_error_over_draws(rows):
    key = ("share", "predictor", "estimate")
    for row in contamination_summary(rows):
        values = [r["auroc"] for r in rows if all(r[k] == row[k] for k in key)]
        assert row["auroc"] == pytest.approx(np.mean(values))
        assert row["auroc_sem"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))
        assert row["draws"] == 3
        assert (row["injected_top"] is None) == (row["share"] == 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": (0.1, 0.5)}, "below 0.5.*not 0.5"),
        ({"shares": (-0.1,)}, "not -0.1"),
        ({"draws": 0}, "draws at least 1: not 0"),
        ({"predictors": [3]}, "combine must be one of"),
        ({"fpr": 5}, "fpr is a fraction"),
    ],
)
def test_impossible_requests_are_named(features, options, message):
    with pytest.raises(InputError, match=message):
        contamination_rows(features, **options)


@pytest.mark.parametrize(("good", "bad"), [(0, 10), (10, 1)])
def test_a_test_set_without_both_kinds_is_refused(good, bad):
    with pytest.raises(InputError, match=f"nut has {good} normal and {bad} anomalous"):
        contamination_rows(made(good=good, bad=bad))


@pytest.mark.parametrize("p", [5, 80])
def test_training_distances_are_to_gaussians_of_other_samples(p):
    X, n = np.random.default_rng(0).normal(size=(40, p)), 40
    whole = whole_of(X, np.arange(n))
    fitted = whole.without(np.arange(10))
    found = training_distances(whole, fitted)
    np.testing.assert_allclose(found[:10], fit_gaussian(X[10:]).mahalanobis(X[:10]))
    # The left-out form keeps the shrinkage and the 1/n of all rows: near to a refit, not equal.
    refit = [
        fit_gaussian(np.delete(X, [*range(10), i], 0)).mahalanobis(X[i : i + 1])[0] for i in range(10, n)
    ]
    assert np.corrcoef(found[10:], refit)[0, 1] > 0.98


def test_trimming_keeps_its_share_and_ends_where_the_choice_is_the_nearest():
    X = np.random.default_rng(1).normal(size=(200, 5))
    X[:20] += 6
    whole = whole_of(X, np.arange(200))
    fitted = trimmed(whole, 0.1, limit=50)
    np.testing.assert_array_equal(fitted.rows, np.arange(20, 200))
    inside = np.isin(whole.rows, fitted.rows)
    distances = training_distances(whole, fitted)
    assert distances[inside].max() <= distances[~inside].min()
    assert trimmed(whole, 0) is whole
    with pytest.raises(InputError, match="not 1"):
        trimmed(whole, 1)


@pytest.mark.parametrize("p", [4, 60])
def test_the_robust_estimate_finds_a_cluster_that_masks_itself(p):
    """A far cluster of 30 % makes its own direction one of large variance."""
    X, rows = np.random.default_rng(2).normal(size=(100, p)), np.arange(100)
    X[:30] = 0.1 * X[:30] + 8
    whole = whole_of(X, rows)
    fitted = robust(whole, median_distances(X, [slice(None)]))
    assert not np.isin(np.arange(30), fitted.rows).any()
    assert len(fitted.rows) >= 60


def test_the_robust_estimate_keeps_nearly_all_normal_samples():
    X = np.random.default_rng(3).normal(size=(150, 30))
    fitted = robust(whole_of(X, np.arange(150)), median_distances(X, [slice(None)]))
    assert len(fitted.rows) >= 145


def test_median_distances_are_lengths_of_robust_z_scores():
    X = np.random.default_rng(0).normal(size=(21, 7))
    X[:, 3] = 0.5  # a dead channel says nothing
    z = np.abs(X - np.median(X, axis=0))
    z = np.delete(z, 3, 1) / np.median(np.delete(z, 3, 1), axis=0)
    expected = np.linalg.norm(z[:, :2], axis=1) + np.linalg.norm(z[:, 2:], axis=1)
    np.testing.assert_allclose(median_distances(X, [slice(0, 2), slice(2, 7)]), expected)
