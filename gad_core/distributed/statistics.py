"""What workers compute from rows of features that are on workers: moments, Gaussians, distances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from gad_core.components import components_from_moments
from gad_core.covariance import Covariance
from gad_core.distributed.partition import pairwise_total
from gad_core.distributed.rows import Rows
from gad_core.errors import InputError
from gad_core.gaussian import Gaussian, gaussian_from_components
from gad_core.moments import Moments, column_means

Columns = Mapping[int | str, slice]
"""Level to its columns, as from `gad_core.levels.gaussian_columns`."""

LevelMoments = dict[int | str, Moments]
"""Moments of each level's columns: the diagonal blocks of the second moment that the detector needs."""

LevelGaussians = dict[int | str, Gaussian]


def first_mean(rows: Rows) -> NDArray[np.float64]:
    """Mean (p,) of the first block that has a row: the point that all moments are taken about."""
    return column_means(next(block for block in rows.blocks if len(block)))


def group_moments(
    rows: Rows, labels: NDArray[np.int64], group: int, shift: NDArray[np.float64], columns: Columns
) -> LevelMoments | None:
    """Moments of the rows of one group.

    Parameters
    ----------
    rows : Rows
        Features of m readable images.
    labels : (m,) int array
        The group of each.
    group : int
        Which group.
    shift : (p,) array
        The point they are taken about.
    columns : mapping
        Columns of each level.

    Returns
    -------
    dict of level to Moments, or None
        None if the group has no row here.
    """
    return pairwise_total(
        (
            {level: Moments.from_data(picked[:, where], shift[where]) for level, where in columns.items()}
            if len(picked)
            else None
            for picked in _of_group(rows, labels, group)
        ),
        added,
    )


def added(left: LevelMoments | None, right: LevelMoments | None) -> LevelMoments | None:
    """Add two groups' or two runs' moments; None has none."""
    if left is None or right is None:
        return right if left is None else left
    return {level: left[level] + right[level] for level in left}


def fitted(total: LevelMoments, left_out: LevelMoments | None, covariance: Covariance) -> LevelGaussians:
    """Fit each level's Gaussian to the samples of `total` without those of `left_out`."""
    kept = total if left_out is None else {level: total[level] - left_out[level] for level in total}
    return {
        level: gaussian_from_components(components_from_moments(moments), covariance)
        for level, moments in kept.items()
    }


def group_distances(
    rows: Rows, labels: NDArray[np.int64], group: int, gaussians: LevelGaussians, columns: Columns
) -> NDArray[np.float64]:
    """Distances of the rows of one group, summed over levels; arguments as in `group_moments`."""
    distances = [np.empty(0)]
    for picked in _of_group(rows, labels, group):
        levels = (gaussians[level].mahalanobis(picked[:, where]) for level, where in columns.items())
        distances.append(sum(levels, np.zeros(len(picked))))
    return np.concatenate(distances)


def _of_group(rows: Rows, labels: NDArray[np.int64], group: int) -> Iterator[NDArray[np.float32]]:
    count = sum(map(len, rows.blocks))
    if count != len(labels):  # computed again after a worker died, and an image was lost or came back
        raise InputError(
            f"images changed during the fit: of some, {len(labels)} could be read and now {count}; run again"
        )
    start = 0
    for block in rows.blocks:
        yield block[labels[start : start + len(block)] == group]
        start += len(block)
