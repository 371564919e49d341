"""The numbers of an independent computation on the real images, through the command line."""

import itertools
import json

import numpy as np
import pytest
from reference_numbers import ARBITRARY, CATEGORIES, REFERENCE, TOLERANCE

import gad_core as gad
from gad_core import FeatureExtractor, MVTecDataset
from gad_core.cli import main
from gad_core.evaluation import Setting, auroc, evaluate_distances
from gad_core.experiments.localisation import EXACT, localisation_rows
from gad_core.experiments.results import stored_rows
from gad_core.export import dataset_sha256
from gad_core.runner import NetworkRunner

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def results(shared, b4_weights, cache, tmp_path_factory):
    """AUROC in % by (category, folds, combine, reduce, covariance), from the command line."""
    found = {}
    out = tmp_path_factory.mktemp("results") / "r.json"
    for folds in (0, 5):
        status = main(
            ["evaluate", "--data", str(shared / "mvtec"), "--category", *CATEGORIES,
             "--backbone", "efficientnet_b4", "--weights", str(b4_weights), "--levels", "1-7",
             "--combine", "1", "4", "6", "7", "sum", "joint", "--reduce", "none", "pca:0.99", "npca:0.99",
             "--covariance", "ledoit_wolf", "spherical", "diagonal", "--folds", str(folds),
             "--cache", str(cache), "--json", str(out), "--quiet"]
        )  # fmt: skip
        assert status == 0
        for row in json.loads(out.read_text())["results"]:
            key = (row["category"], folds, row["combine"], row["reduce"], row["covariance"])
            found[key] = 100 * row["auroc"]
    return found


@pytest.mark.parametrize("setting", list(REFERENCE), ids=" ".join)
def test_auroc_equals_the_independent_reference(results, setting):
    cells = itertools.product(CATEGORIES, (0, 5))
    for (category, folds), expected in zip(cells, REFERENCE[setting], strict=True):
        if (category, folds, *setting[:2]) != ARBITRARY:
            found = results[category, folds, *setting]
            assert found == pytest.approx(expected, abs=TOLERANCE), (category, folds)


@pytest.fixture(scope="module")
def computed(shared, b4_weights, cache, results):
    """Extractor, data and training features of bottle, which the command line has computed."""
    extractor = FeatureExtractor("efficientnet_b4", b4_weights, range(1, 8), cache=cache, progress=False)
    data = MVTecDataset(shared / "mvtec", "bottle")
    return extractor, data, extractor.transform(data.train.paths)


def test_the_second_run_of_a_category_takes_its_features_from_the_cache(computed, monkeypatch):
    def no_network(*_):
        raise AssertionError("the network is run although all features are cached")

    monkeypatch.setattr(NetworkRunner, "start_features", no_network)
    extractor, data, X = computed
    again = FeatureExtractor(**extractor.get_params()).transform(data.train.paths)
    np.testing.assert_array_equal(again, X)
    with pytest.raises(AssertionError, match="the network is run"):
        FeatureExtractor(**extractor.get_params() | {"cache": None}).transform(data.train.paths[0])


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("combine", ["7", "sum", "joint"])
def test_the_fastest_runtime_changes_no_auroc_by_more_than_a_tenth(results, computed, category, combine):
    assert computed[0].execution().runtime == "openvino", "the extra fast is not installed"
    shipped = gad.embedded_features(category, "efficientnet_b4")
    assert shipped.provenance.get("runtime", "torch") == "torch"
    setting = Setting(int(combine) if combine.isdecimal() else combine)
    ((_, distances),) = evaluate_distances(shipped.train, shipped.test, shipped.level_widths, [setting])
    expected = 100 * auroc(shipped.labels, distances[0])
    assert results[category, 0, combine, "none", "ledoit_wolf"] == pytest.approx(expected, abs=0.1)


def test_the_fastest_runtime_gives_the_same_features(computed):
    _, _, X = computed
    shipped = gad.embedded_features("bottle", "efficientnet_b4").train
    assert np.abs(X - shipped).max() <= 1e-4 * np.abs(shipped).max()


def test_the_features_that_ship_are_those_of_the_images(computed):
    extractor, data, X = computed
    shipped = gad.embedded_features("bottle", "efficientnet_b4")
    np.testing.assert_allclose(shipped.train, X, rtol=1e-3, atol=1e-4)
    assert shipped.provenance["weights_sha256"] == extractor.fingerprint()["weights_sha256"]
    paths = data.train.paths + data.test.paths
    assert shipped.provenance["dataset_sha256"] == dataset_sha256(data.root / "bottle", paths)
    assert shipped.defects == data.test.defects


def test_localisation_of_bottle_reaches_the_reference(computed):
    extractor, data, _ = computed
    rows = localisation_rows(data, extractor, predictors=[7, "joint"])
    assert rows[0]["pixel_auroc"] == pytest.approx(0.951, abs=0.0005)  # method: what these already show
    assert rows[1]["pixel_auroc"] > 0.95
    stored = stored_rows("localisation", tier="explain", category="bottle", method=EXACT)
    for row in rows:
        (kept,) = (each for each in stored if each["predictor"] == row["predictor"])
        assert row == pytest.approx(kept, abs=2e-3)
    method = "gradient x input"  # the quickest of those that ask for a gradient
    (row,) = localisation_rows(data, extractor, predictors=["joint"], methods=[method], limit=4)
    (kept,) = stored_rows("attributions", tier="explain", category="bottle", method=method)
    assert row == pytest.approx(kept, abs=2e-3)
