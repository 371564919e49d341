"""Training images with anomalies among them that nobody marked, and what each estimate makes of them.

In each draw half of a category's anomalous test images are taken out of the test set, and the anomalies that
are put into training come from that half; see `gad_core.experiments.contamination`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from gad_core.errors import InputError
from gad_core.feature_file import CategoryFeatures
from gad_core.levels import Combine, checked_combine, gaussian_columns
from gad_core.subsets import RowGaussians, Rows, SummedGaussians
from gad_core.trimming import median_distances, robust, trimmed

ESTIMATES = ("clean", "plain", "trimmed", "robust")
"""Without the injected anomalies; with all training images; see `gad_core.trimming` for the others."""

FOLDS = 5
"""Folds of the cross-validated threshold, as in `GaussianDetector`."""


@dataclass(frozen=True, eq=False)
class Injection:
    """A contaminated training set; all are numbers of rows of training images above test images.

    Parameters
    ----------
    clean : (n,) array
        Normal training images, in ascending order.
    injected : (k,) array
        Anomalous test images moved into training.
    """

    clean: Rows
    injected: Rows

    @property
    def rows(self) -> Rows:
        """All training images."""
        return np.concatenate([self.clean, self.injected])


def injections(
    count: int, pool: Rows, shares: Sequence[float], rng: np.random.Generator
) -> Iterator[Injection]:
    """Contaminated training sets of growing share; each share's anomalies are among those of the next.

    Parameters
    ----------
    count : int
        Number of normal training images; their rows are the first.
    pool : array
        Anomalies that may be put in, in this order.
    shares : sequence of float
        Shares of anomalies in the training set.
    rng : numpy.random.Generator
        Draws the normal images to keep when the pool is too small for a share of all.

    Yields
    ------
    Injection
        One for each share.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> [(len(i.clean), len(i.injected)) for i in injections(90, np.arange(100, 120), [0.1, 0.5], rng)]
    [(90, 10), (20, 20)]
    """
    order = rng.permutation(count)
    for share in shares:
        wanted, kept = round(share / (1 - share) * count), count
        if wanted > len(pool):
            wanted, kept = len(pool), round((1 - share) / share * len(pool))
        yield Injection(np.sort(order[:kept]), np.sort(pool[:wanted]))


@dataclass(frozen=True, eq=False)
class Estimated:
    """What one estimate makes of a contaminated training set.

    Parameters
    ----------
    kept : (n,) array of bool
        Which training images it is fitted to.
    held_out : (n,) array
        Distance M of each training image to the estimate without the images of its fold.
    test : (m,) array
        Distances of all test images, those that went into training among them.
    """

    kept: NDArray[np.bool_]
    held_out: NDArray[np.float64]
    test: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Draw:
    """A contaminated training set, and the test images that are left.

    Parameters
    ----------
    share : float
        The share of anomalies that was asked for.
    injection : Injection
        The training images.
    tested : (m,) array
        Numbers of the test images that are left.
    """

    share: float
    injection: Injection
    tested: Rows

    @property
    def injected(self) -> NDArray[np.bool_]:
        """Which training images (n,) are anomalies that were put in: the last ones."""
        return np.arange(len(self.injection.rows)) >= len(self.injection.clean)


class Contamination:
    """One predictor on one category; what does not change between draws is computed once.

    Parameters
    ----------
    features : CategoryFeatures
        Of one category and network, with normal and at least two anomalous test images.
    combine : "sum", "joint" or int
        How levels are combined.

    Raises
    ------
    InputError
        If the predictor is impossible, or there are too few test images.

    Examples
    --------
    >>> import gad_core as gad
    >>> experiment = Contamination(gad.embedded_features("bottle"), 7)
    >>> (draw,) = experiment.draws([0.1], np.random.default_rng(0))
    >>> found = experiment.estimated(draw, "plain")
    >>> len(found.held_out), int(draw.injected.sum()), len(draw.tested)
    (232, 23, 52)
    """

    def __init__(self, features: CategoryFeatures, combine: Combine) -> None:
        _check(features)
        combine = checked_combine(features.level_widths, combine)
        self.labels, self.count = features.labels, len(features.train)
        self.everything = np.concatenate([features.train, features.test])
        columns = gaussian_columns(features.level_widths, combine, self.everything.shape[1])
        self.columns = list(columns.values())
        self.sources = [RowGaussians(self.everything[:, where]) for where in self.columns]

    def draws(self, shares: Sequence[float], rng: np.random.Generator) -> Iterator[Draw]:
        """Draw the anomalies that leave the test set, and put more and more of them into training.

        Parameters
        ----------
        shares : sequence of float
            As in `injections`.
        rng : numpy.random.Generator
            A share gets the same images whatever other shares are asked for.

        Yields
        ------
        Draw
            One for each share.
        """
        anomalies = rng.permutation(np.flatnonzero(self.labels))
        pool = anomalies[: len(anomalies) // 2]
        tested = np.setdiff1d(np.arange(len(self.labels)), pool)
        for share, injection in zip(
            shares, injections(self.count, self.count + pool, shares, rng), strict=True
        ):
            yield Draw(float(share), injection, tested)

    def estimated(self, draw: Draw, estimate: str) -> Estimated:
        """Fit one estimate to a contaminated training set.

        Parameters
        ----------
        draw : Draw
            From `draws`.
        estimate : str
            One of `ESTIMATES`.

        Returns
        -------
        Estimated
            Its distances.

        Raises
        ------
        InputError
            If there is no such estimate.
        """
        if estimate not in ESTIMATES:
            raise InputError(f"no estimate {estimate!r}; there are: {', '.join(ESTIMATES)}")
        return self.all_estimated(draw, (estimate,))[estimate]

    def all_estimated(self, draw: Draw, estimates: Sequence[str] = ESTIMATES) -> dict[str, Estimated]:
        """Fit several estimates to the same contaminated training set, as `estimated` does one."""
        rows = draw.injection.rows
        whole = SummedGaussians(tuple(source.fit(rows) for source in self.sources))
        fits = {
            "clean": lambda: whole.without(draw.injection.injected),
            "plain": lambda: whole,
            "trimmed": lambda: trimmed(whole),
            "robust": lambda: robust(whole, median_distances(self.everything[rows], self.columns)),
        }
        return {name: self._scored(whole, fits[name]()) for name in estimates}

    def _scored(self, whole: SummedGaussians, fitted: SummedGaussians) -> Estimated:
        test = self.count + np.arange(len(self.labels))
        held_out = held_out_distances(whole, fitted)
        return Estimated(np.isin(whole.rows, fitted.rows), held_out, fitted.mahalanobis(test))


def held_out_distances(
    whole: SummedGaussians, fitted: SummedGaussians, folds: int = FOLDS
) -> NDArray[np.float64]:
    """Distance of each training image to the estimate without the images of its fold.

    Parameters
    ----------
    whole, fitted : SummedGaussians
        Of all training images, and of those that the estimate keeps; the choice is not made again in a fold.
    folds : int
        Number of folds, shuffled with seed 0, as `GaussianDetector` does.

    Returns
    -------
    (n,) array
        In the order of ``whole.rows``.
    """
    held_out = np.empty(len(whole.rows))
    for _, fold in KFold(folds, shuffle=True, random_state=0).split(whole.rows):
        rows = whole.rows[fold]
        held_out[fold] = fitted.without(rows[np.isin(rows, fitted.rows)]).mahalanobis(rows)
    return held_out


def _check(features: CategoryFeatures) -> None:
    anomalous, normal = int(features.labels.sum()), int((features.labels == 0).sum())
    if anomalous < 2 or not normal:
        raise InputError(
            f"{features.category} has {normal} normal and {anomalous} anomalous test images: contamination "
            "moves half of the anomalies into training, so it needs at least 1 normal and 2 anomalous ones"
        )
