"""The scikit-learn estimator: Gaussians on the levels of a feature matrix, a distance, a threshold."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from copy import copy
from numbers import Integral
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import OutlierMixin
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted, validate_data

from gad_core.components import require_two_samples
from gad_core.covariance import Covariance, checked_covariance
from gad_core.errors import InputError
from gad_core.gaussian import Gaussian, fit_gaussian
from gad_core.held_out import (
    Split,
    checked_share,
    fold_splits,
    fold_splitter,
    held_out_distances,
    share_split,
)
from gad_core.levels import Combine, checked_combine, gaussian_columns
from gad_core.moments import column_means
from gad_core.streamed_fit import StreamedFit
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


DECISIVE = ("levels", "combine", "reduce", "covariance", "threshold")
"""Parameters that must be those of the fit when a detector is saved or fitted further."""


class GaussianDetector(OutlierMixin, StreamedFit):
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
    columns_ : dict of level to slice
        Columns of each Gaussian.
    n_features_in_ : int
        Number of columns.

    Notes
    -----
    ``fit_predict`` judges the training samples by Gaussians that saw them, and so calls hardly any anomalous:
    to find anomalies among them, use scikit-learn's ``cross_val_predict``.

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
        self._start_fit(X.shape[1])
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

        Raises
        ------
        InputError
            If there are too few samples for the rate, or `fit` saw all of them.
        """
        self._require_unseen(X)
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
        columns = self.columns_
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
        if not (isinstance(self.folds, Integral) and self.folds >= 2):
            raise InputError(f"folds must be a whole number of at least 2, not {self.folds!r}")

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for name in ("_rows", "_rows_mean"):
            state.pop(name, None)  # a stored detector does not carry its training samples
        return state

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

    def _require_unseen(self, X: ArrayLike) -> None:
        rows = self.__dict__.get("_rows")
        matrix = np.asarray(X)
        if rows is None or matrix.ndim != 2 or matrix.shape[1] != rows.shape[1]:
            return
        seen = {row.tobytes() for row in rows}
        if all(row.tobytes() in seen for row in matrix.astype(rows.dtype)):
            raise InputError(
                "these are samples that the Gaussians were fitted on, so their distances are too small for a "
                "threshold: calibrate with others, or fit with threshold='conformal'"
            )

    def _start_fit(self, n_features: int) -> None:
        self.n_features_in_ = n_features
        self.columns_ = gaussian_columns(self.levels, self.combine, n_features)
        self._fitted_as = {name: copy(getattr(self, name)) for name in DECISIVE}

    def _require_as_fitted(self) -> None:
        """Raise InputError if a parameter that decides the Gaussians or the threshold is another by now."""
        changed = [name for name in DECISIVE if getattr(self, name) != self._fitted_as[name]]
        if changed:
            raise InputError(f"{' and '.join(changed)} changed since the detector was fitted: fit it again")

    def _set_fitted(
        self, gaussians: Mapping[int | str, Gaussian], n_features: int, held_out: NDArray[np.float64]
    ) -> None:
        """Take over Gaussians, and distances of held-out samples, that were found elsewhere."""
        self._forget()
        self._start_fit(n_features)
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
