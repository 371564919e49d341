"""Checks of feature matrices that every entry point shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
