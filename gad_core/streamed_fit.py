"""Fitting without the samples: in parts that are not kept, or from moments that others summed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from gad_core.components import components_from_moments
from gad_core.errors import InputError
from gad_core.gaussian import Gaussian, gaussian_from_components
from gad_core.levels import Combine, gaussian_columns
from gad_core.moments import Moments, column_means
from gad_core.subspaces import Reduce


class StreamedFit(BaseEstimator):
    """The part of `gad_core.detector.GaussianDetector` that fits from moments."""

    if TYPE_CHECKING:  # what the detector brings
        levels: Mapping[int, int] | None
        combine: Combine
        reduce: Reduce
        gaussians_: dict[int | str, Gaussian]
        columns_: dict[int | str, slice]
        moments_: dict[int | str, Moments]
        _fitted_as: dict[str, Any]
        _rows: NDArray
        _rows_mean: NDArray

        def _check_options(self) -> None: ...
        def _columns(self) -> dict[int | str, slice]: ...
        def _find_threshold(self, held_out: NDArray[np.float64]) -> None: ...
        def _forget(self) -> None: ...
        def _require_as_fitted(self) -> None: ...
        def _start_fit(self, n_features: int) -> None: ...
        def _validated(self, X: ArrayLike, reset: bool) -> NDArray: ...
        def _width(self) -> int: ...

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
        if seen:
            self._require_as_fitted()
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
        self._start_fit(n_features)
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
            level: gaussian_from_components(components_from_moments(m), self._fitted_as["covariance"])
            for level, m in self.moments_.items()
        }
        if self._fitted_as["threshold"] == "chi2":
            self._find_threshold(np.empty(0))

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
        return {level: Moments.from_data(self._rows[:, where]) for level, where in self.columns_.items()}

    def _check_streaming(self) -> None:
        self._check_options()
        if self.reduce is not None:
            raise InputError("a PCA or NPCA subspace cannot be fitted from moments: use fit, or reduce=None")
