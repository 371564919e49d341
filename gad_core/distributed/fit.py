"""Fit a detector to images whose features are computed, summed and scored by workers."""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gad_core.decoding import as_sources
from gad_core.detector import GaussianDetector
from gad_core.distributed.partition import image_runs, pairwise_total
from gad_core.distributed.rows import Report, Unreadable, read_failure, received, report, run_rows
from gad_core.distributed.statistics import (
    added,
    first_mean,
    fitted,
    group_distances,
    group_moments,
)
from gad_core.distributed.workers import Here, Workers
from gad_core.errors import InputError
from gad_core.features import CALIBRATION_IMAGES, FeatureExtractor
from gad_core.images import Source
from gad_core.levels import gaussian_columns
from gad_core.weights import NAMED


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
    detector._check_streaming()
    if detector.levels and dict(detector.levels) != extractor.level_widths:
        raise InputError(
            f"the detector is for levels of widths {dict(detector.levels)}, this extractor gives "
            f"{extractor.level_widths}: give the detector levels=extractor.level_widths"
        )
    sources = as_sources(images)
    workers = Here() if workers is None else workers
    calibrate_readable(extractor, sources)
    features = _Features(workers, extractor, sources, blocks_per_task)
    _fit(detector, features, extractor)
    detector.left_out_ = len(features.unreadable)  # a saved model tells
    return DistributedFit(detector, features.count, features.unreadable)


def calibrate_readable(extractor: FeatureExtractor, images: Sequence[Source]) -> None:
    """Calibrate random weights, unless they are, on the first images that can be read."""
    if not extractor.__sklearn_is_fitted__():
        readable = (image for image in images if not read_failure(image, extractor.input_size))
        first = list(itertools.islice(readable, CALIBRATION_IMAGES))
        if first:  # else the workers will say why none can be read
            extractor.fit(first)


class _Features:
    """Features of images on the workers: one call for each run of images."""

    def __init__(
        self,
        workers: Workers,
        extractor: FeatureExtractor,
        sources: Sequence[Source],
        blocks_per_task: int | None,
    ) -> None:
        self.workers = workers
        self.runs: list[Any] = []
        places = image_runs(len(sources), blocks_per_task)
        sent = workers.submit(received, _portable(extractor), extractor.fingerprint())

        def reports() -> Iterator[Any]:
            for place in places:
                part = [_absolute(source) for source in sources[place.start : place.stop]]
                self.runs.append(workers.submit(run_rows, sent, part, place.start))
                yield workers.submit(report, self.runs[-1])

        found: dict[int, Report] = {}
        with _progress(extractor, len(sources), "features") as bar:
            for i, found[i] in workers.each_done(reports()):
                bar.update(len(places[i]))
        self.counts = [found[i].readable for i in range(len(places))]
        self.unreadable = [bad for i in range(len(places)) for bad in found[i].unreadable]
        self.count = sum(self.counts)
        if not self.count:
            raise InputError(
                f"none of {len(sources)} images can be read ({self.unreadable[0].reason}); workers must find "
                "the files under the same paths as this process"
            )

    def mean(self) -> Any:
        """Mean of the first block, see `first_mean`."""
        return self.workers.submit(first_mean, self.runs[np.flatnonzero(self.counts)[0]])

    def each_run(self, labels: NDArray[np.int64]) -> Iterator[tuple[Any, NDArray[np.int64]]]:
        """Give each run with the labels of its rows."""
        return zip(self.runs, np.split(labels, np.cumsum(self.counts)[:-1]), strict=True)


def _groups(detector: GaussianDetector, count: int) -> tuple[NDArray[np.int64], int]:
    """Give the group that each row is summed in, and how many groups the Gaussians are fitted to."""
    labels = np.zeros(count, dtype=np.int64)
    if detector.threshold == "conformal":
        labels[detector._split(count)[1]] = 1
        return labels, 1
    if detector.threshold == "chi2":
        return labels, 1
    splits = detector._splits(count)
    for fold, (_, held_out) in enumerate(splits):
        labels[held_out] = fold
    return labels, len(splits)


def _fit(detector: GaussianDetector, features: _Features, extractor: FeatureExtractor) -> None:
    submit, width = features.workers.submit, sum(extractor.level_widths.values())
    columns = gaussian_columns(detector.levels, detector.combine, width)
    labels, n_fitted = _groups(detector, features.count)
    add, mean = partial(submit, added), features.mean()

    def summed(group: int) -> Any:
        runs = features.each_run(labels)
        return pairwise_total((submit(group_moments, run, of, group, mean, columns) for run, of in runs), add)

    def held_out() -> Iterator[tuple[int, Any]]:
        """Give each group to score, and the Gaussians that have not seen it."""
        if detector.threshold == "conformal":
            yield 1, gaussians
        elif detector.threshold == "cross_validated":
            for group, part in enumerate(parts):
                yield group, submit(fitted, total, part, detector.covariance)

    parts = [summed(group) for group in range(n_fitted)]
    total = pairwise_total(parts, add)
    gaussians = submit(fitted, total, None, detector.covariance)
    scored = (
        submit(group_distances, run, of, group, unseen, columns)
        for group, unseen in held_out()
        for run, of in features.each_run(labels)
    )
    with _progress(extractor, features.count, "threshold") as bar:
        distances = [np.empty(0)]
        for _, found in features.workers.each_done(scored):
            distances.append(found)
            bar.update(len(found))
    detector._set_fitted(features.workers.result(gaussians), width, np.concatenate(distances))


def _progress(extractor: FeatureExtractor, total: int, what: str) -> tqdm:
    hidden = None if extractor.progress is None else not extractor.progress
    return tqdm(total=total, desc=what, unit="image", disable=hidden)


def _portable(extractor: FeatureExtractor) -> FeatureExtractor:
    """Copy an extractor so that it means the same where the working folder is another."""
    weights, cache = extractor.weights, extractor.cache
    return copy.copy(extractor).set_params(
        weights=weights if weights is None or weights in NAMED else _absolute(weights),
        cache=cache if cache in (None, "auto") else _absolute(cache),
        progress=False,
    )


def _absolute(source: Source) -> Source:
    return os.fspath(Path(source).absolute()) if isinstance(source, str | os.PathLike) else source
