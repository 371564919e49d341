"""Variants of the method, against plain oracles."""

import dataclasses

import numpy as np
import pytest
from sklearn.covariance import OAS, LedoitWolf
from sklearn.metrics import roc_auc_score

import gad_core as gad
from gad_core import FeatureExtractor, InputError, MVTecDataset
from gad_core.evaluation import training_folds
from gad_core.experiments.ablation import ablation_rows, float32_distances, normalised, span_distances
from gad_core.experiments.antialiasing import (
    ANTIALIASED_RULE,
    antialiased_features,
    antialiasing_rows,
    resize_antialiased,
)
from gad_core.export import extract_category
from gad_core.feature_file import CategoryFeatures
from gad_core.resize import resize_bilinear

LEVELS = {1: 5, 2: 30}


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    p, defects = sum(LEVELS.values()), ("good",) * 15 + ("dent",) * 15
    X = rng.normal(size=(70, p)) * np.exp(-np.linspace(0, 3, p)) + 5
    X[55:] += 0.2
    return CategoryFeatures(
        "nut", "resnet18", LEVELS, X[:40].astype(np.float32), X[40:].astype(np.float32),
        tuple(map(str, range(40))), tuple(map(str, range(30))), defects, {},
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows(features):
    return ablation_rows(features)


def columns(predictor):
    return {"level 2": [slice(5, 35)], "sum": [slice(0, 5), slice(5, 35)], "joint": [slice(0, 35)]}[predictor]


def by_sklearn(estimator, train, test):
    fitted = estimator.fit(train)
    z = test - fitted.location_
    return np.sqrt(np.einsum("ij,jk,ik->i", z, np.linalg.inv(fitted.covariance_), z))


def unit(X):
    return np.concatenate(
        [X[:, c] / np.linalg.norm(X[:, c], axis=1)[:, None] for c in columns("sum")], axis=1
    )


ORACLES = {
    "Ledoit-Wolf": lambda train, test: by_sklearn(LedoitWolf(), train, test),
    "OAS": lambda train, test: by_sklearn(OAS(), train, test),
    "empirical, pseudo-inverse": lambda train, test: np.sqrt(
        np.einsum("ij,jk,ik->i", test - train.mean(0), np.linalg.pinv(np.cov(train.T, bias=True)),
                  test - train.mean(0))
    ),
}  # fmt: skip


def test_every_variant_predictor_and_number_of_folds_has_a_row(rows):
    cells = {(r["variant"], r["predictor"], r["folds"]) for r in rows}
    assert len(cells) == len(rows) == 5 * 3 * 2
    assert all(r["auroc_low"] <= r["auroc"] <= r["auroc_high"] for r in rows)


@pytest.mark.parametrize("variant", [*ORACLES, "l2-normalised"])
def test_the_auroc_is_that_of_a_plain_computation(features, rows, variant):
    train, test = features.train.astype(np.float64), features.test.astype(np.float64)
    if variant == "l2-normalised":
        train, test = unit(train), unit(test)
    distance = ORACLES.get(variant, ORACLES["Ledoit-Wolf"])
    for row in (r for r in rows if r["variant"] == variant):
        found = [
            roc_auc_score(
                features.labels, sum(distance(train[s][:, c], test[:, c]) for c in columns(row["predictor"]))
            )
            for s in training_folds(40, row["folds"])
        ]
        assert row["auroc"] == pytest.approx(np.mean(found), abs=1e-9), (row["predictor"], row["folds"])


def test_what_lies_outside_of_the_span_is_not_seen():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(6, 20))
    outside = np.linalg.svd(train - train.mean(0))[2][-1]
    test = rng.normal(size=(4, 20))
    np.testing.assert_allclose(
        span_distances(train, test), span_distances(train, test + 9 * outside), rtol=1e-9
    )


def test_float32_agrees_where_it_resolves_the_variances_and_not_where_it_does_not():
    rng = np.random.default_rng(0)
    even = (rng.normal(size=(300, 6)), rng.normal(size=(9, 6)))
    np.testing.assert_allclose(float32_distances(*even), by_sklearn(LedoitWolf(), *even), rtol=1e-4)
    # One feature of huge variance, but of a size that does not vary: the shrinkage is next to nothing.
    train, test = even[0].copy(), even[1] + 20
    train[:, 0], test[:, 0] = np.repeat([-1e4, 1e4], 150), 1e4
    assert np.all(by_sklearn(LedoitWolf(), train, test) > 30)
    np.testing.assert_allclose(float32_distances(train, test), 1, rtol=0.01)  # along that feature alone


def test_normalised_levels_have_length_one_and_dead_ones_stay_zero():
    X = np.random.default_rng(0).normal(size=(4, 35))
    X[2, :5] = 0
    found = normalised(X, LEVELS)
    np.testing.assert_allclose(np.linalg.norm(found[:, 5:], axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(found[:, :5], axis=1), [1, 1, 0, 1])


def test_antialiasing_averages_what_the_paper_s_resize_skips():
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::4] = 255  # none of the columns that the plain resize looks at
    assert resize_bilinear(stripes, 16).max() == 0
    assert 50 < resize_antialiased(stripes, 16)[4:-4, 4:-4].mean() < 80
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_antialiased(noise, 20), noise)
    larger = resize_antialiased(noise, 33).astype(int) - resize_bilinear(noise, 33)
    assert np.abs(larger).max() <= 1


def test_features_of_both_resize_rules_are_compared(tmp_path):
    gad.synthesize(tmp_path, categories=["nut"], n_train=8, n_test_good=3, n_test_defect=3, size=96)
    data = MVTecDataset(tmp_path, "nut")
    extractor = FeatureExtractor("squeezenet1_1", "random", [1, 2], size=48, progress=False)
    plain, smooth = extract_category(data, extractor), antialiased_features(data, extractor)
    assert smooth.provenance == {**plain.provenance, "resize": ANTIALIASED_RULE}
    assert not np.allclose(plain.train, smooth.train, rtol=1e-3)
    rows = antialiasing_rows(plain, smooth, folds=(0,))
    assert [(r["variant"], r["predictor"]) for r in rows] == [
        (variant, predictor)
        for variant in ("plain resize", "antialiased resize")
        for predictor in ("level 2", "sum", "joint")
    ]
    expected = {r["predictor"]: r for r in ablation_rows(smooth, folds=(0,)) if r["variant"] == "Ledoit-Wolf"}
    for row in rows[3:]:
        assert row == {**expected[row["predictor"]], "variant": "antialiased resize"}
    # At the images' own size nothing is resized, and both rules are one.
    extractor = FeatureExtractor("squeezenet1_1", "random", [1], size=96, progress=False)
    np.testing.assert_array_equal(
        extract_category(data, extractor).test, antialiased_features(data, extractor).test
    )


def test_features_of_other_images_are_not_compared(features):
    other = dataclasses.replace(features, test_paths=tuple(map(str, range(1, 31))))
    with pytest.raises(InputError, match="differ in test paths: compute both"):
        antialiasing_rows(features, other)


@pytest.mark.reference
def test_antialiasing_changes_what_a_small_network_sees_of_real_images(shared):
    """Bottle at 380 px, shrunk to 224 px; both resize rules serve an easy category, and differ."""
    weights = shared / "weights" / "squeezenet1_1.safetensors"
    extractor = FeatureExtractor("squeezenet1_1", weights, progress=False)
    smooth = antialiased_features(MVTecDataset(shared / "mvtec", "bottle"), extractor)
    plain = gad.embedded_features("bottle", "squeezenet1_1")
    assert 0.001 < np.abs(smooth.train - plain.train).mean() / np.abs(plain.train).mean() < 0.5
    rows = antialiasing_rows(plain, smooth, folds=(0,))
    assert all(row["auroc"] > 0.97 for row in rows if row["predictor"] == "joint")
