"""The scikit-learn estimator: Gaussians on the levels of a feature matrix, a distance, a threshold."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted, validate_data

from gad_core.components import components_from_moments, require_two_samples
from gad_core.covariance import Covariance, checked_covariance
from gad_core.errors import InputError
from gad_core.gaussian import Gaussian, fit_gaussian, gaussian_from_components
from gad_core.held_out import (
    Split,
    checked_share,
    fold_splits,
    fold_splitter,
    held_out_distances,
    share_split,
)
from gad_core.levels import Combine, checked_combine, gaussian_columns
from gad_core.moments import Moments, column_means
from gad_core.subspaces import Reduce, checked_reduce
from gad_core.thresholds import (
    checked_fpr,
    chi2_p_values,
    chi2_threshold,
    conformal_threshold,
    empirical_p_values,
    quantile_threshold,
    require_calibration_samples,
)
from gad_core.validation import require_finite

Threshold = Literal["cross_validated", "conformal", "chi2"]


class GaussianDetector(OutlierMixin, BaseEstimator):
    """Score samples by their Mahalanobis distance to Gaussians fitted on normal samples.

    Parameters
    ----------
    levels : mapping of int to int, optional
        Width of each level, in the order of the columns, such as ``extractor.level_widths``. None: all
        columns are one level.
    combine : "sum", "joint" or int
        The unweighted sum of the levels' distances (the paper's choice), the distance of one Gaussian over
        all columns, or one level's distance alone.
    reduce : None, ("pca", t) or ("npca", t)
        Subspace of each Gaussian, see `gad_core.subspaces.selected_components`.
    covariance : {"ledoit_wolf", "oas", "empirical", "diagonal", "spherical"}
        Covariance estimate, see `gad_core.gaussian.fit_gaussian`.
    fpr : float
        False-positive rate that the threshold is chosen for, a fraction.
    threshold : {"cross_validated", "conformal", "chi2"}
        How the threshold is found: a quantile of the distances of normal samples held out in `folds` folds;
        split-conformal, with the share `calibration` of the samples held out from the fit; or the chi-square
        law, which is only right when there are many more samples than features.
    folds : int
        Number of folds of the cross-validated threshold; no more than there are samples.
    calibration : float
        Share of the samples that the conformal threshold holds out.
    random_state : int, RandomState or None
        Seed of the shuffling into folds or calibration set.

    Attributes
    ----------
    gaussians_ : dict
        The fitted `Gaussian` of each level; key "joint" for the joint one.
    threshold_ : float
        A distance above it is an anomaly.
    offset_ : float
        ``-threshold_``: ``decision_function = score_samples - offset_``.
    calibration_distances_ : (n,) array
        Held-out distances of normal samples; absent for the chi-square threshold.
    n_features_in_ : int
        Number of columns.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> detector = GaussianDetector(levels={1: 2, 2: 3}).fit(rng.normal(size=(100, 5)))
    >>> detector.predict([[0, 0, 0, 0, 0], [9, 9, 9, 9, 9]])
    array([ 1, -1])
    """

    def __init__(
        self,
        levels: Mapping[int, int] | None = None,
        combine: Combine = "sum",
        reduce: Reduce = None,
        covariance: Covariance = "ledoit_wolf",
        fpr: float = 0.05,
        threshold: Threshold = "cross_validated",
        folds: int = 5,
        calibration: float = 0.25,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.levels = levels
        self.combine = combine
        self.reduce = reduce
        self.covariance = covariance
        self.fpr = fpr
        self.threshold = threshold
        self.folds = folds
        self.calibration = calibration
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Fit the Gaussians and the threshold to normal samples.

        Parameters
        ----------
        X : (n, p) array
            Features of normal samples, n >= 2.
        y : ignored
            Here for scikit-learn's pipelines.

        Returns
        -------
        GaussianDetector
            Itself.

        Raises
        ------
        InputError
            If an option is unknown, `X` holds NaN, infinity, too few or equal samples, or its width is not
            that of `levels`.
        """
        self._check_options()
        X = self._validated(X, reset=True)
        columns = self._columns()
        splits = self._splits(len(X)) if self.threshold == "cross_validated" else []
        self._forget()
        if self.threshold == "conformal":
            proper, held_out = self._split(len(X))
            self.gaussians_ = self._fitted(X[proper], columns)
            self.calibrate(X[held_out])
        else:
            self.gaussians_ = self._fitted(X, columns)
            fits = (splits, self.covariance, self.reduce)
            self._find_threshold(held_out_distances(X, columns, *fits) if splits else np.empty(0))
        self._rows, self._rows_mean = X, column_means(X)  # what partial_fit adds to
        return self

    def _find_threshold(self, held_out: NDArray[np.float64]) -> None:
        """Set the threshold from the distances of held-out samples; the chi-square one needs none."""
        if self.threshold == "chi2":
            self._set_threshold(float(chi2_threshold(self.fpr, self._degrees_of_freedom())))
            return
        found = conformal_threshold if self.threshold == "conformal" else quantile_threshold
        threshold = found(held_out, self.fpr)
        self.calibration_distances_ = np.sort(held_out)
        self._set_threshold(threshold)

    def partial_fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Add normal samples to those seen by earlier calls, without keeping them.

        The Gaussians are those of `fit` on all samples together; they are found when they are first needed.
        The chi-square threshold follows; the others need held-out samples, so call `calibrate` with some when
        all is fitted. Each level needs a p x p matrix of sums, and a subspace cannot be fitted this way.
        After `fit`, the array that was given to it is read again.

        Parameters
        ----------
        X : (n, p) array
            Features of normal samples; one is enough, but a Gaussian needs at least three in all.
        y : ignored
            Here for scikit-learn's pipelines.

        Returns
        -------
        GaussianDetector
            Itself.

        Raises
        ------
        InputError
            As in `fit`; what was seen before stays as it was.
        """
        seen = {"_rows", "moments_", "gaussians_"} & self.__dict__.keys()
        self._check_streaming()
        X = self._validated(X, reset=not seen)
        parts = {level: Moments.from_data(X[:, where]) for level, where in self._columns().items()}
        if seen:
            before = self._seen_moments()
            parts = {level: before[level] + part for level, part in parts.items()}
        return self.fit_moments(parts)

    def fit_moments(self, moments: Mapping[int | str, Moments]) -> Self:
        """Fit the Gaussians from the moments of each level, such as merged ones of many machines.

        Parameters
        ----------
        moments : mapping of level to Moments
            One entry for each level that the predictor uses, or one under the key "joint".

        Returns
        -------
        GaussianDetector
            Itself; see `partial_fit` for the threshold.
        """
        self._check_streaming()
        n_features = self._width() or next(iter(moments.values())).n_features
        expected = gaussian_columns(self.levels, self.combine, n_features)
        if set(moments) != set(expected):
            raise InputError(f"moments are there for levels {list(moments)}, needed are {list(expected)}")
        self._forget()
        self.n_features_in_ = n_features
        self.moments_ = dict(moments)
        return self

    def __getattr__(self, name: str) -> Any:
        # What follows from streamed moments is found when it is first asked for, not after every batch.
        if name in ("gaussians_", "threshold_", "offset_") and "moments_" in self.__dict__:
            self._fit_streamed()
            if name in self.__dict__:
                return self.__dict__[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _fit_streamed(self) -> None:
        if "gaussians_" in self.__dict__:
            return
        self.gaussians_ = {
            level: gaussian_from_components(components_from_moments(m), self.covariance)
            for level, m in self.moments_.items()
        }
        if self.threshold == "chi2":
            self._find_threshold(np.empty(0))

    def calibrate(self, X: ArrayLike, fpr: float | None = None) -> Self:
        """Set the threshold from normal samples that the Gaussians were not fitted on (split-conformal).

        Parameters
        ----------
        X : (n, p) array
            Features of held-out normal samples.
        fpr : float, optional
            A new false-positive rate; default: the constructor's.

        Returns
        -------
        GaussianDetector
            Itself, with a threshold whose false-positive rate is at most `fpr` for exchangeable samples.
        """
        distances = self.mahalanobis(X)
        threshold = conformal_threshold(distances, checked_fpr(self.fpr if fpr is None else fpr))
        self.calibration_distances_ = np.sort(distances)
        self._set_threshold(threshold)
        return self

    def level_distances(self, X: ArrayLike) -> NDArray[np.float64]:
        """Mahalanobis distance M to each fitted Gaussian.

        Parameters
        ----------
        X : (m, p) array
            Features.

        Returns
        -------
        (m, L) array
            One column for each entry of `gaussians_`: the levels of a "sum" in order, else one column.
        """
        check_is_fitted(self, "gaussians_")
        X = self._validated(X, reset=False)
        columns = self._columns()
        return np.stack([g.mahalanobis(X[:, columns[level]]) for level, g in self.gaussians_.items()], axis=1)

    def mahalanobis(self, X: ArrayLike) -> NDArray[np.float64]:
        """Mahalanobis distance M (not squared) of samples (m, p), (m,); for "sum" the sum over levels."""
        return self.level_distances(X).sum(axis=1)

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Minus the distance of samples (m, p), (m,): higher is more normal."""
        return -self.mahalanobis(X)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Threshold minus distance of samples (m, p), (m,): negative for anomalies."""
        return self._judged(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Verdict on samples (m, p), (m,): +1 normal, -1 anomalous (distance above the threshold)."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def p_values(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probability of a distance at least as large for a normal sample, by the threshold's own reasoning.

        Parameters
        ----------
        X : (m, p) array
            Features.

        Returns
        -------
        (m,) array
            From the chi-square law, or from the held-out distances of normal samples, in which case no
            value is below 1 / (n + 1).
        """
        distances = -self._judged(X)
        if hasattr(self, "calibration_distances_"):
            return empirical_p_values(distances, self.calibration_distances_)
        return chi2_p_values(distances, self._degrees_of_freedom())

    def save(self, path: str | os.PathLike[str], extractor: Any = None) -> None:
        """Write the fitted detector to a safetensors file; see `gad_core.model_file.save_model`."""
        from gad_core.model_file import save_model

        save_model(path, self, extractor)

    def _judged(self, X: ArrayLike) -> NDArray[np.float64]:
        scores = self.score_samples(X)
        if not hasattr(self, "threshold_"):
            raise InputError(
                f"there is no {self.threshold} threshold after partial_fit or fit_moments, which keep no "
                "samples: call calibrate with held-out normal samples, or use threshold='chi2'"
            )
        return scores

    def _check_options(self) -> None:
        checked_covariance(self.covariance)
        checked_fpr(self.fpr)
        if self.reduce is not None:
            checked_reduce(self.reduce)
        if self.threshold not in get_args(Threshold):
            raise InputError(
                f"threshold must be one of {', '.join(get_args(Threshold))}, not {self.threshold!r}"
            )
        checked_combine(self.levels, self.combine)
        if not (isinstance(self.folds, int) and self.folds >= 2):
            raise InputError(f"folds must be a whole number of at least 2, not {self.folds!r}")

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for name in ("_rows", "_rows_mean"):
            state.pop(name, None)  # a stored detector does not carry its training samples
        return state

    def _seen_moments(self) -> dict[int | str, Moments]:
        if hasattr(self, "moments_"):
            return self.moments_
        if not hasattr(self, "_rows"):
            raise InputError(
                "a detector that was stored, or fitted on several workers, does not carry its training "
                "samples, so partial_fit cannot add to them: fit again on all samples together"
            )
        if not np.array_equal(column_means(self._rows), self._rows_mean):
            raise InputError(
                "the array that was given to fit has been changed since, so partial_fit cannot add to it: "
                "give fit a copy, or use partial_fit from the start"
            )
        return {level: Moments.from_data(self._rows[:, where]) for level, where in self._columns().items()}

    def _width(self) -> int:
        return sum(self.levels.values()) if self.levels else 0

    def _columns(self) -> dict[int | str, slice]:
        return gaussian_columns(self.levels, self.combine, self.n_features_in_)

    def _validated(self, X: ArrayLike, reset: bool) -> NDArray:
        matrix: NDArray = validate_data(
            self, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite=False
        )
        if reset and self._width() and matrix.shape[1] != self._width():
            raise InputError(
                f"X has {matrix.shape[1]} columns, but the widths of levels {list(self.levels or ())} add up "
                f"to {self._width()}: give the features of the same levels"
            )
        require_finite(matrix)
        return matrix

    def _fitted(self, X: NDArray, columns: Mapping[int | str, slice]) -> dict[int | str, Gaussian]:
        fitted = {}
        for level, where in columns.items():
            try:
                fitted[level] = fit_gaussian(X[:, where], self.covariance, self.reduce)
            except InputError as error:
                raise InputError(f"level {level}: {error}" if len(columns) > 1 else str(error)) from error
        return fitted

    def _split(self, count: int) -> Split:
        return share_split(count, self.calibration, self.random_state)

    def _splitter(self, count: int) -> KFold:
        return fold_splitter(count, self.folds, self.random_state)

    def _splits(self, count: int) -> list[Split]:
        return fold_splits(count, self.folds, self.random_state)

    def _check_count(self, count: int) -> None:
        """Raise InputError if so many samples are too few for the threshold, without drawing any."""
        require_two_samples(count)
        if self.threshold == "cross_validated":
            self._splitter(count)
        elif self.threshold == "conformal":
            held_out = math.ceil(checked_share(self.calibration) * count)
            require_calibration_samples(held_out, self.fpr)

    def _degrees_of_freedom(self) -> list[int]:
        return [gaussian.degrees_of_freedom for gaussian in self.gaussians_.values()]

    def _set_threshold(self, threshold: float) -> None:
        self.threshold_ = threshold
        self.offset_ = -threshold

    def _set_fitted(
        self, gaussians: Mapping[int | str, Gaussian], n_features: int, held_out: NDArray[np.float64]
    ) -> None:
        """Take over Gaussians, and distances of held-out samples, that were found elsewhere."""
        self._forget()
        self.n_features_in_ = n_features
        self.gaussians_ = dict(gaussians)
        self._find_threshold(held_out)

    def _forget(self) -> None:
        found = (
            "threshold_",
            "offset_",
            "calibration_distances_",
            "gaussians_",
            "moments_",
            "left_out_",
            "_rows",
        )
        for name in found:
            self.__dict__.pop(name, None)

    def _check_streaming(self) -> None:
        self._check_options()
        if self.reduce is not None:
            raise InputError("a PCA or NPCA subspace cannot be fitted from moments: use fit, or reduce=None")
