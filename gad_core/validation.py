"""Checks of feature matrices and labels that every entry point shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gad_core.errors import InputError


def require_finite(X: NDArray, name: str = "X") -> None:
    """Raise InputError that names the first row and column of a matrix that holds NaN or infinity.

    Parameters
    ----------
    X : (n, p) array
        Features.
    name : str
        What the message calls the matrix.
    """
    if np.isfinite(X.sum(dtype=np.float64)):  # NaN and infinity survive a sum: one pass, no copy
        return
    bad = ~np.isfinite(X).all(axis=1)
    if not bad.any():
        return  # finite values whose sum overflows
    row = int(np.argmax(bad))
    column = int(np.argmax(~np.isfinite(X[row])))
    raise InputError(
        f"Input {name} contains NaN or infinity: first at row {row}, column {column} ({int(bad.sum())} rows "
        "in all); leave these samples out or extract their features again"
    )


def checked_labels(labels: ArrayLike) -> NDArray[np.int64]:
    """Return labels (m,) as integers, or raise InputError unless there are 0 (normal) and 1 (anomalous)."""
    labels = np.asarray(labels).astype(np.int64)
    if not (np.any(labels == 1) and np.any(labels == 0)):
        raise InputError(
            f"the test set holds {int(np.sum(labels == 1))} anomalous and {int(np.sum(labels == 0))} normal "
            "samples: an evaluation needs both (folders test/good and test/<defect>)"
        )
    return labels
