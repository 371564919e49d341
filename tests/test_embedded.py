"""The numbers of an independent computation, from the real features that ship with the package."""

import itertools

import numpy as np
import pytest
from reference_numbers import ARBITRARY, CATEGORIES, FALSE_POSITIVE_RATES, REFERENCE, TOLERANCE

import gad_core as gad
from gad_core import GaussianDetector
from gad_core.datasets.embedded import list_embedded
from gad_core.errors import InputError
from gad_core.evaluation import Setting, auroc, evaluate_distances
from gad_core.experiments.networks import network_rows
from gad_core.figures import results as figures
from gad_core.figures.controls import sampled
from gad_core.manifest import describe
from gad_core.subspaces import format_reduce, parse_reduce
from gad_core.weights import EMBEDDED

NETWORKS = {"efficientnet_b4": range(1, 8), "squeezenet1_1": range(1, 10), "embedded": range(1, 6)}


@pytest.fixture(scope="module")
def features():
    return {category: gad.embedded_features(category, "efficientnet_b4") for category in CATEGORIES}


@pytest.fixture(scope="module")
def results(features):
    """AUROC in % by (category, folds, combine, reduce, covariance)."""
    settings = [
        Setting(int(combine) if combine.isdecimal() else combine, parse_reduce(reduce), covariance)
        for combine, reduce, covariance in REFERENCE
    ]
    found = {}
    for category, folds in itertools.product(CATEGORIES, (0, 5)):
        widths, train, test, labels = _parts(features[category])
        for s, distances in evaluate_distances(train, test, widths, settings, folds):
            key = (category, folds, str(s.combine), format_reduce(s.reduce), s.covariance)
            found[key] = 100 * np.mean([auroc(labels, d) for d in distances])
    return found


def _parts(features):
    return features.level_widths, features.train, features.test, features.labels


def test_what_ships_is_three_categories_of_three_networks(features):
    assert set(list_embedded()) == set(itertools.product(CATEGORIES, NETWORKS))
    for category, backbone in list_embedded():
        found = gad.embedded_features(category, backbone)
        widths = gad.FeatureExtractor(backbone, levels=NETWORKS[backbone]).level_widths
        assert (found.category, found.backbone, found.level_widths) == (category, backbone, widths)
        assert len(set(found.train_paths)) == len(found.train)
        assert len(set(found.test_paths)) == len(found.test)
        assert [path.split("/")[1] for path in found.test_paths] == list(found.defects)
        assert 0 < found.labels.sum() < len(found.test)
        assert (found.test_paths, found.train_paths) == (
            features[category].test_paths,
            features[category].train_paths,
        )


def test_provenance_tells_all_but_where(features):
    for category, backbone in list_embedded():
        said = gad.embedded_features(category, backbone).provenance
        assert said["backbone"] == backbone
        assert said["levels"] == list(NETWORKS[backbone])
        assert said["dataset_sha256"] == features[category].provenance["dataset_sha256"]
        assert set(said["versions"]) == {"torch", "torchvision", "pillow", "numpy"}
        assert all(len(said[key]) == 64 for key in ("weights_sha256", "dataset_sha256"))
        assert "/" not in said["weights"]


@pytest.mark.parametrize("setting", list(REFERENCE), ids=" ".join)
def test_auroc_equals_the_independent_reference(results, setting):
    for (category, folds), expected in zip(
        itertools.product(CATEGORIES, (0, 5)), REFERENCE[setting], strict=True
    ):
        if (category, folds, *setting[:2]) != ARBITRARY:
            found = results[category, folds, *setting]
            assert found == pytest.approx(expected, abs=TOLERANCE), (category, folds)


def test_npca_of_few_samples_lies_among_the_values_that_rounding_noise_can_give(features, results):
    """With 213 images and 272 features, PCA's last component has an arbitrary direction.

    The reference took whatever direction the rounding of its machine gave. Here the direction is drawn many
    times: the reference must lie in the spread of the values, and ours near their middle.
    """
    from sklearn.covariance import LedoitWolf
    from sklearn.metrics import roc_auc_score

    widths, train, test, labels = _parts(features["transistor"])
    others = {level: width for level, width in widths.items() if level < 7}
    columns = sum(others.values())
    rest = GaussianDetector(others, reduce=parse_reduce("npca:0.99"), threshold="chi2")
    base = rest.fit(train[:, :columns]).mahalanobis(test[:, :columns])
    X, Y = train[:, columns:].astype(np.float64), test[:, columns:].astype(np.float64)
    center, n = X.mean(axis=0), len(X)
    _, singular, axes = np.linalg.svd(X - center)
    shares = np.cumsum(singular**2) / np.sum(singular**2)
    first = int(np.argmax(shares > 0.99)) - 1
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(60):
        # Rounding errors of the mean, which decide the direction, grow with the size of a feature.
        direction = axes[n - 1 :].T @ (axes[n - 1 :] @ (rng.normal(size=272) * np.abs(center)))
        basis = np.vstack([axes[first : n - 1], direction / np.linalg.norm(direction)])
        level7 = np.sqrt(LedoitWolf().fit((X - center) @ basis.T).mahalanobis((Y - center) @ basis.T))
        drawn.append(100 * roc_auc_score(labels, base + level7))
    quantum = 100 / (60 * 40)  # one pair of a normal and an anomalous image
    ours = results["transistor", 0, "sum", "npca:0.99", "ledoit_wolf"]
    assert min(drawn) <= ours <= max(drawn)
    assert ours == pytest.approx(np.mean(drawn), abs=2 * quantum)
    assert min(drawn) - quantum <= 97.54 <= max(drawn) + quantum


@pytest.mark.parametrize("threshold", list(FALSE_POSITIVE_RATES))
def test_obtained_false_positive_rate_at_level_7(features, threshold):
    for category, expected in zip(CATEGORIES, FALSE_POSITIVE_RATES[threshold], strict=True):
        widths, train, test, labels = _parts(features[category])
        detector = GaussianDetector(widths, combine=7, threshold=threshold, fpr=0.05).fit(train)
        alarms = 100 * np.mean(detector.predict(test[labels == 0]) == -1)
        assert alarms == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("category", CATEGORIES)
def test_features_of_the_embedded_network_are_those_of_the_shipped_weights(category):
    learned = gad.embedded_features(category, "embedded")
    random = gad.embedded_features(category, "embedded", "random")
    assert learned.provenance["weights_sha256"] == describe(EMBEDDED)["sha256"]
    assert (random.provenance["weights"], random.provenance["weights_sha256"]) == ("random", None)
    assert learned.test_paths == random.test_paths
    with pytest.raises(InputError, match='None or "random"'):
        gad.embedded_features(category, "embedded", "imagenet")


def test_network_rows_are_the_aurocs_of_three_predictors():
    features = gad.embedded_features("transistor", "embedded", "random")
    rows = network_rows(features, "random weights", np.random.default_rng(0))
    assert [row["predictor"] for row in rows] == ["joint", "sum", "deepest level"]
    for row, combine in zip(rows, ("joint", "sum", 5), strict=True):
        detector = GaussianDetector(features.level_widths, combine=combine).fit(features.train)
        expected = auroc(features.labels, detector.mahalanobis(features.test))
        assert row["auroc"] == pytest.approx(expected, abs=1e-9)
        assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]
        assert (row["network"], row["category"]) == ("random weights", "transistor")


def test_the_menu_shows_one_predictor_of_every_network():
    features = gad.embedded_features("transistor", "embedded", "random")
    rows = [
        row for name in "abcde" for row in network_rows(features, name, np.random.default_rng(0))
    ]  # more networks than looks
    predictors = ("joint", "sum", "deepest level")
    figure = sampled(lambda predictor: figures.networks(rows, predictor), menu={"predictor": predictors})
    assert sum(trace.visible for trace in figure.data) == 5
    for button, predictor in zip(figure.layout.updatemenus[0].buttons, predictors, strict=True):
        shown = [t for t, v in zip(figure.data, button.args[0]["visible"], strict=True) if v]
        assert [trace.name for trace in shown] == list("abcde")
        expected = [row["auroc"] for row in rows if row["predictor"] == predictor]
        assert [trace.y[0] / 100 for trace in shown] == pytest.approx(expected)
