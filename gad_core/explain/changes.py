"""What a change of the images does to the detector: features of changed images, AUROC before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from gad_core.bootstrap import bootstrap_auroc, bootstrap_auroc_change
from gad_core.decoding import as_sources
from gad_core.evaluation import Setting, auroc, evaluate_distances
from gad_core.experiments.tables import predictor_name
from gad_core.features import FeatureExtractor
from gad_core.images import load_image
from gad_core.levels import Combine, level_columns

Change = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Turns an image (S, S, 3) of the network's input size into another one."""

CHUNK = 64
"""Changed images that are in memory at once."""


def changed_features(
    extractor: FeatureExtractor, sources: object, change: Change, description: str = "changed images"
) -> NDArray[np.float32]:
    """Compute the features of changed images.

    The change is made at the network's input size, so that it is exactly what the network gets to see.

    Parameters
    ----------
    extractor : FeatureExtractor
        Its cache, if it has one, keeps these features too.
    sources : path-like, array, or sequence of them
        As in `FeatureExtractor.transform`.
    change : callable
        From the (S, S, 3) uint8 image at the network's input size S to the changed one.
    description : str
        Text before the progress bar.

    Returns
    -------
    (n, p) float32 array
        One image a row.
    """
    images, size = as_sources(sources), extractor.input_size
    shown = extractor.progress
    rows = []
    with tqdm(
        total=len(images), desc=description, unit="image", disable=None if shown is None else not shown
    ) as bar:
        extractor.progress = False  # one bar for all chunks
        try:
            for start in range(0, len(images), CHUNK):
                part = [change(load_image(source, size)) for source in images[start : start + CHUNK]]
                rows.append(extractor.transform(part))
                bar.update(len(part))
        finally:
            extractor.progress = shown
    return np.concatenate(rows)


def all_predictors(levels: Iterable[int]) -> list[Combine]:
    """Each level by itself, and with several levels their sum and the joint Gaussian."""
    single: list[Combine] = list(levels)
    return [*single, "sum", "joint"] if len(single) > 1 else single


def predictor_distances(
    train: NDArray, test: NDArray, levels: Mapping[int, int], predictors: Sequence[Combine]
) -> dict[Combine, NDArray[np.float64]]:
    """Distances (m,) of test features by each predictor, fitted on the training features.

    Where all training images have the same features, as those of a blank background can, there is no
    covariance: the distance is then the Euclidean one to these features.
    """
    if (train == train[0]).all():
        squared = {
            level: ((test[:, where] - train[0, where]).astype(np.float64) ** 2).sum(axis=1)
            for level, where in level_columns(levels).items()
        }
        both = {"sum": sum(map(np.sqrt, squared.values())), "joint": np.sqrt(sum(squared.values()))}
        return {c: both[c] if isinstance(c, str) else np.sqrt(squared[c]) for c in predictors}
    settings = [Setting(combine) for combine in predictors]
    return {s.combine: d[0] for s, d in evaluate_distances(train, test, levels, settings)}


def auroc_change(
    labels: ArrayLike,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    rng: np.random.Generator,
    level: float = 0.95,
) -> dict[str, float]:
    """Compare the AUROC of two distances of the same test images.

    Parameters
    ----------
    labels : (m,) array
        1 for anomalies, 0 for normal images.
    before, after : (m,) arrays
        Distances.
    rng : numpy.random.Generator
        For the bootstrap intervals.
    level : float
        Their coverage.

    Returns
    -------
    dict
        ``before``, ``after``, ``change`` (after minus before), each with ``_low`` and ``_high``; fractions.
    """
    row: dict[str, float] = {}
    for name, distances in {"before": before, "after": after}.items():
        low, high = bootstrap_auroc(labels, distances, rng, level=level)
        row |= {name: auroc(labels, distances), f"{name}_low": low, f"{name}_high": high}
    low, high = bootstrap_auroc_change(labels, before, after, rng, level=level)
    return row | {"change": row["after"] - row["before"], "change_low": low, "change_high": high}


def change_rows(
    labels: ArrayLike,
    before: Mapping[Combine, NDArray[np.float64]],
    after: Mapping[Combine, NDArray[np.float64]],
    seed: int,
    level: float = 0.95,
) -> list[dict[str, Any]]:
    """Give one row of `auroc_change` for each predictor, named as in the results' other tables."""
    return [
        {
            "predictor": predictor_name(combine),
            **auroc_change(labels, before[combine], after[combine], np.random.default_rng(seed), level),
            "seed": seed,
        }
        for combine in before
    ]
