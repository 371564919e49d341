"""PCA and NPCA subspaces: which principal components are kept (paper, Table III)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gad_core.errors import InputError

Reduce = tuple[str, float] | None
"""None, ``("pca", t)`` or ``("npca", t)``."""


def selected_components(variances: ArrayLike, reduce: Reduce) -> slice:
    """Components that a PCA or NPCA subspace keeps.

    With i the first index at which the cumulative share of variance exceeds t, PCA keeps 0..i and the paper's
    NPCA ("negated PCA", the components of little variance) keeps i-1 to the end; the two overlap in two
    components. "NPCA 1 %" of the paper is t = 0.99.

    Parameters
    ----------
    variances : (k,) array
        Variances in descending order.
    reduce : None, ("pca", t) or ("npca", t)
        The subspace; t is a share of the total variance, 0 < t < 1.

    Returns
    -------
    slice
        Of the components kept.

    Raises
    ------
    InputError
        For another kind of subspace or a share outside (0, 1).

    Examples
    --------
    >>> selected_components([8.0, 1.0, 0.9, 0.1], ("pca", 0.95))
    slice(0, 3, None)
    >>> selected_components([8.0, 1.0, 0.9, 0.1], ("npca", 0.95))
    slice(1, 4, None)
    """
    variances = np.asarray(variances, dtype=np.float64)
    if reduce is None:
        return slice(0, len(variances))
    kind, share = checked_reduce(reduce)
    exceeds = np.cumsum(variances) / np.sum(variances) > share
    # Rounding can keep the last cumulative share at or below a t close to 1.
    i = int(np.argmax(exceeds)) if exceeds.any() else len(variances) - 1
    return slice(0, i + 1) if kind == "pca" else slice(max(i - 1, 0), len(variances))


def reduce_keeping(variances: ArrayLike, kind: str, count: int) -> tuple[str, float]:
    """Find the PCA or NPCA subspace that keeps a number of components: the inverse of `selected_components`.

    Parameters
    ----------
    variances : (k,) array
        Variances in descending order.
    kind : {"pca", "npca"}
        Whether the components of most or of least variance are kept.
    count : int
        How many of them, 1 to k for PCA and 2 to k for NPCA.

    Returns
    -------
    ("pca", t) or ("npca", t)
        A subspace with a share t half-way between those at which the number changes.

    Raises
    ------
    InputError
        If no share keeps that many components.

    Examples
    --------
    >>> reduce_keeping([8.0, 1.0, 0.9, 0.1], "npca", 2)
    ('npca', 0.995)
    """
    variances = np.asarray(variances, dtype=np.float64)
    shares = np.concatenate([[0.0], np.cumsum(variances) / np.sum(variances)])
    # NPCA keeps one component before the one that exceeds t.
    exceeding = count - 1 if kind == "pca" else len(variances) - count + 1
    if 0 <= exceeding < len(variances):
        share = float(shares[exceeding : exceeding + 2].mean())
        if share < 1:
            kept = selected_components(variances, (kind, share))
            if kept.stop - kept.start == count:
                return kind, share
    raise InputError(f"no {kind} subspace keeps {count} of {len(variances)} components")


def checked_reduce(reduce: object) -> tuple[str, float]:
    """Return ``(kind, share)`` of a subspace, or raise InputError that says what is allowed."""
    match reduce:
        case ("pca" | "npca" as kind, float() | int() as share) if 0 < share < 1:
            return kind, float(share)
    raise InputError(
        f'reduce must be None, ("pca", t) or ("npca", t) with a share of variance 0 < t < 1, not {reduce!r}'
    )


def parse_reduce(text: str) -> Reduce:
    """Read the command line's form of a subspace: ``none``, ``pca:0.99`` or ``npca:0.99``.

    Examples
    --------
    >>> parse_reduce("npca:0.99")
    ('npca', 0.99)
    """
    if text == "none":
        return None
    kind, _, share = text.partition(":")
    try:
        return checked_reduce((kind, float(share)))
    except ValueError:
        raise InputError(f'"{text}" is no subspace: write none, pca:T or npca:T with 0 < T < 1') from None


def format_reduce(reduce: Reduce) -> str:
    """Write a subspace as the command line does; the inverse of `parse_reduce`."""
    return "none" if reduce is None else f"{reduce[0]}:{reduce[1]!r}"
