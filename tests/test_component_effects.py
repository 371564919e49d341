"""Which components tell anomalies from normal samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from gad_core.errors import InputError
from gad_core.evaluation import training_folds
from gad_core.experiments.components import auroc_by_components, component_effects, kept_components
from gad_core.gaussian import fit_gaussian
from gad_core.subspaces import reduce_keeping, selected_components


def samples(n, p, seed=0):
    """Training and test samples and labels; the anomalies differ where normal samples hardly vary."""
    rng = np.random.default_rng(seed)
    spread = np.geomspace(3, 0.1, p)
    test = rng.normal(size=(25, p)) * spread
    test[15:] += 0.3
    return rng.normal(size=(n, p)) * spread, test, np.repeat([0, 1], [15, 10])


# --- a number of components -------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=12), st.data())
def test_any_number_of_components_can_be_kept(values, data):
    variances = np.sort(values)[::-1]
    kind = data.draw(st.sampled_from(["pca", "npca"]))
    count = data.draw(st.integers(1 if kind == "pca" else 2, len(variances)))
    kept = selected_components(variances, reduce_keeping(variances, kind, count))
    assert kept == (slice(0, count) if kind == "pca" else slice(len(variances) - count, len(variances)))


@pytest.mark.parametrize(("kind", "count"), [("pca", 0), ("pca", 5), ("npca", 1), ("npca", 5), ("ica", 2)])
def test_a_number_that_no_share_gives_is_refused(kind, count):
    with pytest.raises(InputError):
        reduce_keeping([4.0, 3.0, 2.0, 1.0], kind, count)


def test_components_that_rounding_cannot_tell_apart_are_refused():
    with pytest.raises(InputError, match="keeps 2 of 3"):
        reduce_keeping([1.0, 1e-20, 1e-21], "pca", 2)


# --- effects ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [40, 8])
@pytest.mark.parametrize("covariance", ["ledoit_wolf", "oas"])
def test_effects_add_up_to_the_squared_distance(n, covariance):
    train, test, labels = samples(n, 12)
    found = component_effects(train, test, labels, covariance)
    squared = fit_gaussian(train, covariance).squared_mahalanobis(test)
    assert np.isclose(found.normal.sum() + found.outside_normal, squared[labels == 0].mean())
    assert np.isclose(found.anomalous.sum() + found.outside_anomalous, squared[labels == 1].mean())
    assert np.allclose(found.gap, found.anomalous - found.normal)
    assert found.outside == 12 - min(n - 1, 12)


def test_effects_are_those_of_eigenvectors_of_the_covariance():
    train, test, labels = samples(40, 6)
    found = component_effects(train, test, labels)
    fitted = LedoitWolf().fit(train)
    variances, axes = np.linalg.eigh(fitted.covariance_)
    along = (test - fitted.location_) @ axes[:, ::-1]
    assert np.allclose(found.shrunk, variances[::-1])
    assert np.allclose(found.normal, np.mean(along[labels == 0] ** 2, axis=0) / variances[::-1])
    assert np.allclose(found.auroc, [roc_auc_score(labels, abs(each)) for each in along.T])
    assert found.outside_normal == pytest.approx(0, abs=1e-9)


def test_outside_is_what_lies_off_the_training_samples():
    train, test, labels = samples(8, 12)
    found = component_effects(train, test, labels)
    z = test - train.mean(axis=0)
    inside = np.linalg.pinv(train - train.mean(axis=0)) @ (train - train.mean(axis=0))
    off = np.sum((z - z @ inside) ** 2, axis=1) / LedoitWolf().fit(train).covariance_.trace() * 12
    share = np.var(train, axis=0).sum() / 12 / found.residual_variance  # one over the shrinkage
    assert np.allclose([found.outside_normal, found.outside_anomalous],
                       [share * off[labels == kind].mean() for kind in (0, 1)])  # fmt: skip


# --- numbers of components --------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [60, 10])
def test_curves_are_those_of_a_gaussian_in_each_subspace(n):
    train, test, labels = samples(n, 7)
    found = auroc_by_components(train, test, labels, folds=2)
    naive = []
    for rows in (train[subset] for subset in training_folds(n, 2)):
        full = PCA(svd_solver="full").fit(rows)
        rank = min(len(rows) - 1, 7)
        for kept in [*(slice(0, c) for c in found.counts), *(slice(rank - c, rank) for c in found.counts)]:
            # With n <= p the components of scikit-learn have one of no variance, which NPCA keeps.
            where = slice(kept.start, None) if kept.stop == rank and kept.start else kept
            naive.append(roc_auc_score(labels, _distance(full, rows, test, where)))
    values = np.reshape(naive, (2, 2, -1)).mean(axis=0)
    assert list(found.counts) == list(range(2, min(n // 2 - 1, 7) + 1))
    assert np.allclose(found.pca, values[0])
    if n // 2 > 7:  # else scikit-learn's last component is any direction without variance
        assert np.allclose(found.npca, values[1])


def _distance(full, rows, test, kept):
    fitted = LedoitWolf().fit(full.transform(rows)[:, kept])
    return fitted.mahalanobis(full.transform(test)[:, kept])


def test_the_components_of_least_variance_find_anomalies_that_lie_there():
    train, test, labels = samples(200, 12)
    found = auroc_by_components(train, test, labels)
    assert found.npca[0] > 0.8 > 0.7 > found.pca[0]
    assert np.isclose(found.pca[-1], found.npca[-1])  # all of them


def test_number_kept_is_the_mean_over_the_folds():
    train, _, _ = samples(40, 6)
    kept = []
    for subset in training_folds(40, 5):
        shares = np.cumsum(PCA().fit(train[subset]).explained_variance_ratio_)
        kept.append(np.argmax(shares > 0.9) + 1)
    assert kept_components(train, ("pca", 0.9)) == np.mean(kept)
    assert kept_components(train, ("npca", 0.9)) == 6 + 2 - np.mean(kept)
    assert kept_components(train, None) == 6
