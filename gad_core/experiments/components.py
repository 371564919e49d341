"""Which principal components of the normal data tell anomalies from normal samples (claim 3, Table III)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gad_core.components import principal_components
from gad_core.covariance import Covariance
from gad_core.evaluation import Setting, auroc, evaluate_distances, training_folds
from gad_core.experiments.tables import FOLDS
from gad_core.gaussian import gaussian_from_components
from gad_core.subspaces import Reduce, reduce_keeping, selected_components


@dataclass(frozen=True, eq=False)
class ComponentEffects:
    """What each principal component adds to the squared distance of normal and of anomalous test samples.

    Parameters
    ----------
    variances : (k,) array
        Variance (1/n) of the training samples along each component, most first; k is their rank.
    shrunk : (k,) array
        Variance of the fitted Gaussian along each component.
    normal, anomalous : (k,) arrays
        Mean over normal and over anomalous test samples of the squared z-score, which is what the component
        adds to M². The z-score divides by the root of `shrunk`; it is 1 on average for samples of the
        Gaussian.
    auroc : (k,) array
        AUROC of the distance to the mean along this component alone, which shrinkage cannot change.
    outside : int
        Number of directions in which the training samples do not vary: p - k.
    residual_variance : float
        Variance of the Gaussian in each of them; infinite where there are none.
    outside_normal, outside_anomalous : float
        What all of them together add to M², like `normal` and `anomalous`.
    """

    variances: NDArray[np.float64]
    shrunk: NDArray[np.float64]
    normal: NDArray[np.float64]
    anomalous: NDArray[np.float64]
    auroc: NDArray[np.float64]
    outside: int
    residual_variance: float
    outside_normal: float
    outside_anomalous: float

    @property
    def gap(self) -> NDArray[np.float64]:
        """Mean squared z-score of anomalous minus that of normal test samples, (k,)."""
        return self.anomalous - self.normal


def component_effects(
    train: NDArray, test: NDArray, labels: NDArray[np.int64], covariance: Covariance = "ledoit_wolf"
) -> ComponentEffects:
    """Split the squared Mahalanobis distance of test samples into the shares of the principal components.

    Along its principal axes a Gaussian is uncorrelated, so M² is the sum of the squared z-scores along them,
    and of one more term for the directions outside, in which few training samples do not vary.

    Parameters
    ----------
    train, test : (n, p) and (m, p) arrays
        Features of normal training samples and of test samples.
    labels : (m,) array
        1 for anomalies, 0 for normal samples.
    covariance : str
        As in `gad_core.gaussian.fit_gaussian`, without "diagonal" and "spherical".

    Returns
    -------
    ComponentEffects
        Its `normal` and `outside_normal` add up to the mean M² of the normal test samples, and so do those of
        the anomalous ones.
    """
    fitted = principal_components(train)
    gaussian = gaussian_from_components(fitted, covariance)
    coordinates, _ = fitted.project(test)
    scores = coordinates**2 / gaussian.variances
    outside = gaussian.squared_mahalanobis(test) - scores.sum(axis=1)
    normal, anomalous = labels == 0, labels == 1
    return ComponentEffects(
        fitted.variances,
        gaussian.variances,
        scores[normal].mean(axis=0),
        scores[anomalous].mean(axis=0),
        np.array([auroc(labels, np.abs(along)) for along in coordinates.T]),
        fitted.n_features - len(fitted.variances),
        float(gaussian.residual_variance),
        float(outside[normal].mean()),
        float(outside[anomalous].mean()),
    )


class SubspaceCurves(NamedTuple):
    """AUROC against the number of components kept.

    Parameters
    ----------
    counts : (c,) array
        Numbers of components, 2 to the rank of the training samples.
    pca, npca : (c,) arrays
        AUROC with that many components of most and of least variance, fractions.
    """

    counts: NDArray[np.int64]
    pca: NDArray[np.float64]
    npca: NDArray[np.float64]


def auroc_by_components(
    train: NDArray, test: NDArray, labels: NDArray[np.int64], folds: int = FOLDS
) -> SubspaceCurves:
    """AUROC of the Mahalanobis distance in every PCA and NPCA subspace of one Gaussian.

    Ledoit-Wolf shrinkage is found anew in each subspace, as in Table III. With n <= p an NPCA subspace has
    one more dimension than components counted here; see `gad_core.covariance.regularize`.

    Parameters
    ----------
    train, test, labels
        As in `component_effects`.
    folds : int
        As in `gad_core.evaluation.training_folds`; the values are means over the folds.

    Returns
    -------
    SubspaceCurves
        Up to the smallest rank of the folds.
    """
    found = []
    for subset in training_folds(len(train), folds):
        rows = train[subset]
        variances = principal_components(rows).variances
        settings = [
            Setting("joint", reduce_keeping(variances, kind, count))
            for kind in ("pca", "npca")
            for count in range(2, len(variances) + 1)
        ]
        distances = evaluate_distances(rows, test, {1: train.shape[1]}, settings)
        found.append(np.reshape([auroc(labels, each[0]) for _, each in distances], (2, -1)))
    last = min(fold.shape[1] for fold in found)
    pca, npca = np.mean([fold[:, :last] for fold in found], axis=0)
    return SubspaceCurves(np.arange(2, last + 2), pca, npca)


def kept_components(train: NDArray, reduce: Reduce, folds: int = FOLDS) -> float:
    """Count the components that a subspace keeps, as a mean over the folds.

    Parameters
    ----------
    train : (n, p) array
        Features of normal training samples.
    reduce : None, ("pca", t) or ("npca", t)
        The subspace.
    folds : int
        As in `gad_core.evaluation.training_folds`.

    Returns
    -------
    float
        Their mean number.
    """
    kept = []
    for subset in training_folds(len(train), folds):
        chosen = selected_components(principal_components(train[subset]).variances, reduce)
        kept.append(chosen.stop - chosen.start)
    return float(np.mean(kept))
