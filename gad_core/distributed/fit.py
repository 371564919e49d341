"""Fit a detector to images whose features are computed, summed and scored by workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core.decoding import as_sources
from gad_core.detector import GaussianDetector
from gad_core.distributed.extraction import Answers, Features, calibrate_readable, progress
from gad_core.distributed.partition import image_runs, pairwise_total
from gad_core.distributed.rows import Unreadable
from gad_core.distributed.statistics import Columns, added, fitted, group_distances, group_moments
from gad_core.distributed.workers import Here, Workers
from gad_core.errors import InputError
from gad_core.features import FeatureExtractor
from gad_core.levels import gaussian_columns


@dataclass(frozen=True)
class DistributedFit:
    """A fitted detector, and what it was fitted to.

    Parameters
    ----------
    detector : GaussianDetector
        Fitted, with a threshold.
    count : int
        Number of images that it was fitted to.
    unreadable : list of Unreadable
        Name and reason of each image that was left out, in the order of the images.
    """

    detector: GaussianDetector
    count: int
    unreadable: list[Unreadable]


def fit_images(
    detector: GaussianDetector,
    extractor: FeatureExtractor,
    images: object,
    workers: Workers | None = None,
    *,
    blocks_per_task: int | None = None,
) -> DistributedFit:
    """Fit a detector to normal images; images that cannot be read are left out and reported.

    The features stay on the workers. What comes back are the Gaussians, and 8 bytes for each image: the
    held-out distances that the detector keeps for its p-values.

    Parameters
    ----------
    detector : GaussianDetector
        What to fit; its parameters say how. A PCA or NPCA subspace needs all features in one place.
    extractor : FeatureExtractor
        Computes the features. Random weights are calibrated here, if they are not yet. If it has a cache,
        each worker uses the one in that folder on its machine, and numbers that are there as they are.
    images : path-like, array, or sequence of them
        As `FeatureExtractor.transform` takes them; workers find a file under the same absolute path.
    workers : Workers, optional
        From `gad_core.distributed.connected`; None computes in this process.
    blocks_per_task : int, optional
        Blocks of 64 images in a task, a power of two. It does not change the numbers.

    Returns
    -------
    DistributedFit
        The detector itself, and which images were left out.

    Raises
    ------
    InputError
        If no image, or too few, can be read, the detector cannot be fitted from moments, or is for other
        levels.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 40, 40, 3), dtype=np.uint8)
    >>> extractor = FeatureExtractor("squeezenet1_1", weights="random", levels=[1], size=32, progress=False)
    >>> fit = fit_images(GaussianDetector(threshold="chi2"), extractor, images)
    >>> fit.count, fit.detector.n_features_in_
    (20, 64)
    """
    sources = as_sources(images)
    check_fit(detector, extractor, len(sources))
    runs = image_runs(len(sources), blocks_per_task)
    workers = Here() if workers is None else workers
    calibrate_readable(extractor, sources)
    answers = Answers(sources)
    with workers.answering(answers) as ask:
        features = Features(workers, extractor, answers, ask, runs)
        _fit(detector, features, extractor)
    detector.left_out_ = len(features.unreadable)  # a saved model tells
    return DistributedFit(detector, features.count, features.unreadable)


def check_fit(detector: GaussianDetector, extractor: FeatureExtractor, count: int) -> None:
    """Raise InputError for what can be seen before any image is read, or any worker is started.

    Parameters
    ----------
    detector : GaussianDetector
        As in `fit_images`.
    extractor : FeatureExtractor
        As in `fit_images`.
    count : int
        Number of images, of which some may turn out to be unreadable.
    """
    detector._check_streaming()
    if detector.levels and dict(detector.levels) != extractor.level_widths:
        raise InputError(
            f"the detector is for levels of widths {dict(detector.levels)}, this extractor gives "
            f"{extractor.level_widths}: give the detector levels=extractor.level_widths"
        )
    detector._check_count(count)


def _groups(detector: GaussianDetector, count: int) -> tuple[NDArray[np.integer], int]:
    """Give the group that each row is summed in, and how many groups the Gaussians are fitted to."""
    if detector.threshold == "cross_validated":
        splitter = detector._splitter(count)
        labels = np.empty(count, dtype=np.min_scalar_type(splitter.n_splits))
        for fold, (_, held_out) in enumerate(splitter.split(labels)):
            labels[held_out] = fold
        return labels, splitter.n_splits
    labels = np.zeros(count, dtype=np.uint8)
    if detector.threshold == "conformal":
        labels[detector._split(count)[1]] = 1
    return labels, 1


def _fit(detector: GaussianDetector, features: Features, extractor: FeatureExtractor) -> None:
    width = sum(extractor.level_widths.values())
    columns = gaussian_columns(detector.levels, detector.combine, width)
    labels, n_fitted = _groups(detector, features.count)
    features.label(labels)
    parts = _moments(features, n_fitted, columns)
    total = pairwise_total(parts, partial(features.workers.submit, added))
    gaussians = features.workers.submit(fitted, total, None, detector.covariance)
    unseen: dict[int, Any] = {}  # group to the Gaussians that are fitted without it
    if detector.threshold == "conformal":
        unseen = {1: gaussians}
    elif detector.threshold == "cross_validated":
        for group, part in enumerate(parts):
            unseen[group] = features.workers.submit(fitted, total, part, detector.covariance)
    with progress(extractor, features.count, "threshold") as bar:
        distances = [np.empty(0)]
        for found in _distances(features, unseen, columns):
            distances.append(found)
            bar.update(len(found))
    detector._set_fitted(features.workers.result(gaussians), width, np.concatenate(distances))


def _moments(features: Features, n_groups: int, columns: Columns) -> list[Any]:
    """Sum the rows of each group up, along the tree of runs."""
    submit, mean = features.workers.submit, features.mean()

    def of_runs(group: int) -> Iterator[Any]:
        for rows, labels in features.each_run():
            yield submit(group_moments, rows, labels, group, mean, columns)

    return [pairwise_total(of_runs(group), partial(submit, added)) for group in range(n_groups)]


def _distances(features: Features, unseen: dict[int, Any], columns: Columns) -> Iterator[NDArray[np.float64]]:
    """Give the distances of each group's rows to the Gaussians that have not seen them, in any order."""
    scored = (
        features.workers.submit(group_distances, rows, labels, group, gaussians, columns)
        for group, gaussians in unseen.items()
        for rows, labels in features.each_run()
    )
    return (found for _, found in features.workers.each_done(scored))
