"""The tie between generative and discriminative models, in numbers (the paper's second claim).

Classes with Gaussian features of one shared covariance have the posterior of a softmax classifier, so a
network whose last layer is one can have such features. Here the posterior of Gaussians fitted to real
features is compared with that softmax, which must be the same to rounding, and the softmax's weights with
those that logistic regression finds on the same images, which need not be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from gad_core.datasets.layout import NORMAL
from gad_core.errors import InputError
from gad_core.experiments.tables import predictor_name
from gad_core.feature_file import CategoryFeatures
from gad_core.gaussian import Gaussian, fit_gaussian
from gad_core.levels import checked_combine, gaussian_columns

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

SIZES = (10, 30, 150)
"""Training images of each class."""

STRENGTHS = (0.01, 1.0, 100.0)
"""Inverse strengths C of the logistic regression's penalty."""


@dataclass(frozen=True, eq=False)
class TiedGaussians:
    """Gaussian classes that share their covariance.

    Parameters
    ----------
    means : (K, p) array
        Mean of each class.
    priors : (K,) array
        Probability of each class.
    shared : Gaussian
        Gaussian of the deviations from the class means.
    """

    means: NDArray[np.float64]
    priors: NDArray[np.float64]
    shared: Gaussian


def fit_tied(X: NDArray, y: NDArray[np.intp]) -> TiedGaussians:
    """Fit Gaussian classes with one Ledoit-Wolf covariance, that of the deviations from the class means.

    Parameters
    ----------
    X : (n, p) array
        Features.
    y : (n,) array
        Class of each row, 0 to K - 1; every class must be there.

    Returns
    -------
    TiedGaussians
        Means, shares of the rows, and the shared Gaussian.
    """
    X = np.asarray(X, dtype=np.float64)
    counts = np.bincount(y)
    means = np.stack([X[y == k].mean(axis=0) for k in range(len(counts))])
    return TiedGaussians(means, counts / len(y), fit_gaussian(X - means[y]))


def log_evidence(model: TiedGaussians, X: NDArray) -> NDArray[np.float64]:
    """Logarithm of prior times density of each class, ``log pi_k - M_k(x)² / 2``, (m, K).

    The same constant, with the determinant of the shared covariance, is left out for all classes.
    """
    origin = model.shared.location  # zero but for rounding
    squared = [model.shared.squared_mahalanobis(X - mean + origin) for mean in model.means]
    return np.log(model.priors) - np.stack(squared, axis=1) / 2


def posterior(model: TiedGaussians, X: NDArray) -> NDArray[np.float64]:
    """Probability of each class, by Bayes' rule from the Mahalanobis distances.

    ``p(k | x) = pi_k exp(-M_k(x)² / 2) / sum_j pi_j exp(-M_j(x)² / 2)``, where ``M_k`` is the distance to the
    mean of class k; the determinant of the shared covariance cancels.

    Parameters
    ----------
    model : TiedGaussians
        The classes.
    X : (m, p) array
        Features.

    Returns
    -------
    (m, K) array
        Rows sum to 1.
    """
    return softmax(log_evidence(model, X), axis=1)


def softmax_weights(model: TiedGaussians) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of the softmax classifier that is the posterior of tied Gaussians.

    With the precision P, ``M_k(x)² = x' P x - 2 m_k' P x + m_k' P m_k``. The first term is the same for all
    classes and cancels in the posterior, which is then ``softmax(W x + b)`` with ``W_k = P m_k`` and
    ``b_k = log pi_k - m_k' P m_k / 2``.

    Parameters
    ----------
    model : TiedGaussians
        The classes.

    Returns
    -------
    W : (K, p) array
        Weights.
    b : (K,) array
        Biases.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1, 2], 20)
    >>> X = rng.normal(size=(60, 4)) + y[:, None]
    >>> model = fit_tied(X, y)
    >>> W, b = softmax_weights(model)
    >>> bool(np.allclose(softmax(X @ W.T + b, axis=1), posterior(model, X)))
    True
    """
    W = model.means @ model.shared.precision
    return W, np.log(model.priors) - np.einsum("kp,kp->k", W, model.means) / 2


def tie_rows(
    categories: Sequence[CategoryFeatures],
    *,
    levels: Sequence[int] | None = None,
    sizes: Sequence[int] = SIZES,
    strengths: Sequence[float] = STRENGTHS,
    draws: int = 3,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Compare the Gaussian posterior, its softmax, and logistic regression on real features.

    Two tasks: to tell the categories apart by their normal training images, and, in each category, to tell
    the good test images and the defect types apart, trained on half of them.

    Parameters
    ----------
    categories : sequence of CategoryFeatures
        Of one network; the first task needs at least two categories.
    levels : sequence of int, optional
        Levels to look at, one at a time; by default the first and the deepest.
    sizes : sequence of int
        Training images of each class in the first task; those above are held out in all sizes.
    strengths : sequence of float
        As `STRENGTHS`; the penalty is on weights in coordinates in which the shared covariance is one.
    draws : int
        How often the training images are drawn.
    seed : int
        Draw i uses the generator seeded with ``[seed, i]``.
    tick : callable
        Called after each comparison.

    Returns
    -------
    list of dict
        ``category`` (names joined by "+"), ``backbone, task, predictor, classes, features, n, draw, C``,
        where n counts all training images; ``posterior_difference``: largest difference between the posterior
        and its softmax on held-out images; ``logit_difference``: the same of log evidence and logits, both
        without their mean over classes, as a share of the largest, which tells the two apart where all
        posteriors are 0 or 1; ``cosine`` between the softmax's and the fitted weights, both without their
        mean over classes, in the coordinates of the penalty; ``agreement``: share of held-out images on which
        the two classifiers agree; ``accuracy_gaussian, accuracy_logistic`` on held-out images.

    Raises
    ------
    InputError
        If the networks differ, a level is not there, or a class has too few images.
    """
    first = _checked(categories, sizes)
    rows = []
    for level in levels or (min(first.level_widths), max(first.level_widths)):
        width = sum(first.level_widths.values())
        (where,) = gaussian_columns(
            first.level_widths, checked_combine(first.level_widths, level), width
        ).values()
        for draw in range(draws):
            tasks = [
                *_category_task(categories, where, sizes, np.random.default_rng([seed, draw])),
                *_defect_tasks(categories, where, np.random.default_rng([seed, draw])),
            ]
            for about, parts in tasks:
                same = {"backbone": first.backbone, "predictor": predictor_name(level), "draw": draw}
                rows += [{**about, **same, **found} for found in _comparisons(*parts, strengths)]
                tick()
    return rows


Part = tuple[NDArray, NDArray[np.intp], NDArray, NDArray[np.intp]]
"""Training rows and their classes, held-out rows and their classes."""


def _category_task(
    categories: Sequence[CategoryFeatures], where: slice, sizes: Sequence[int], rng: np.random.Generator
) -> Iterator[tuple[dict[str, Any], Part]]:
    if len(categories) < 2:
        return
    about = {"category": "+".join(each.category for each in categories), "task": "categories"}
    orders = [rng.permutation(len(each.train)) for each in categories]
    held_out = [
        each.train[order[max(sizes) :], where] for each, order in zip(categories, orders, strict=True)
    ]
    for size in sizes:
        train = [each.train[order[:size], where] for each, order in zip(categories, orders, strict=True)]
        yield about, (*_stacked(train), *_stacked(held_out))


def _defect_tasks(
    categories: Sequence[CategoryFeatures], where: slice, rng: np.random.Generator
) -> Iterator[tuple[dict[str, Any], Part]]:
    for each in categories:
        defects = np.array(each.defects)
        kinds = [kind for kind in (NORMAL, *sorted({*each.defects} - {NORMAL})) if sum(defects == kind) > 1]
        if len(kinds) < 2:
            continue
        parts = [np.array_split(rng.permutation(np.flatnonzero(defects == kind)), 2) for kind in kinds]
        train = [each.test[half, where] for half, _ in parts]
        held_out = [each.test[half, where] for _, half in parts]
        yield {"category": each.category, "task": "defects"}, (*_stacked(train), *_stacked(held_out))


def _stacked(groups: Sequence[NDArray]) -> tuple[NDArray, NDArray[np.intp]]:
    return np.concatenate(groups), np.repeat(np.arange(len(groups)), [len(group) for group in groups])


def _comparisons(
    X: NDArray, y: NDArray[np.intp], held_out: NDArray, truth: NDArray[np.intp], strengths: Sequence[float]
) -> Iterator[dict[str, Any]]:
    model = fit_tied(X, y)
    W, b = softmax_weights(model)
    expected, logits = log_evidence(model, held_out), held_out @ W.T + b
    by_gaussian = expected.argmax(axis=1)
    difference = np.abs(softmax(logits, axis=1) - softmax(expected, axis=1)).max()
    relative = np.abs(_centered(logits) - _centered(expected)).max() / np.abs(_centered(expected)).max()
    whitening = _square_root(model.shared.precision)
    center = model.means.mean(axis=0)
    closed = (model.means - center) @ whitening
    for strength in strengths:
        weights, logistic = fit_logistic((X - center) @ whitening, y, strength)
        by_logistic = logistic.predict((held_out - center) @ whitening)
        yield {
            "classes": len(model.means),
            "features": X.shape[1],
            "n": len(X),
            "C": float(strength),
            "posterior_difference": float(difference),
            "logit_difference": float(relative),
            "cosine": float(np.sum(closed * weights) / np.linalg.norm(closed) / np.linalg.norm(weights)),
            "agreement": float(np.mean(by_gaussian == by_logistic)),
            "accuracy_gaussian": float(np.mean(by_gaussian == truth)),
            "accuracy_logistic": float(np.mean(by_logistic == truth)),
        }


def _centered(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values - values.mean(axis=1, keepdims=True)


def _square_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def fit_logistic(
    Z: NDArray[np.float64], y: NDArray[np.intp], strength: float
) -> tuple[NDArray[np.float64], LogisticRegression]:
    """Fit multinomial logistic regression with a quadratic penalty.

    Parameters
    ----------
    Z : (n, p) array
        Features.
    y : (n,) array
        Class of each row, 0 to K - 1.
    strength : float
        C: the weights minimise half their squared norm plus C times the sum of the losses.

    Returns
    -------
    weights : (K, p) array
        Without their mean over classes, which the probabilities do not see.
    fitted : sklearn.linear_model.LogisticRegression
        The classifier.
    """
    from sklearn.linear_model import LogisticRegression

    # The first step goes along the closed form, and for classes far apart it is so long that the usual
    # tolerance ends the search there: without going on it would find the agreement that it looks for.
    fitted = LogisticRegression(C=strength, tol=1e-9, max_iter=10000).fit(Z, y)
    weights = fitted.coef_
    if len(weights) == 1:  # for two classes scikit-learn gives the difference of the two rows
        weights = np.concatenate([-weights, weights]) / 2
    return weights - weights.mean(axis=0), fitted


def _checked(categories: Sequence[CategoryFeatures], sizes: Sequence[int]) -> CategoryFeatures:
    if not categories:
        raise InputError("the comparison needs the features of at least one category, and there is none")
    first = categories[0]
    for each in categories:
        if (each.backbone, each.level_widths) != (first.backbone, first.level_widths):
            raise InputError(
                f"{first.category} has features of {first.backbone} and {each.category} of {each.backbone}, "
                "or of other levels: give features of the same levels of one network"
            )
        if len(categories) > 1 and len(each.train) <= max(sizes):
            raise InputError(
                f"{each.category} has {len(each.train)} training images, and {max(sizes)} are to be trained "
                "on: give smaller sizes, so that some are held out"
            )
    return first
