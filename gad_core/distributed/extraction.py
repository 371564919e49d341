"""Features of images on the workers, and what the process that asks for them answers."""

from __future__ import annotations

import copy
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gad_core.decoding import source_name
from gad_core.distributed.asking import Answer, Question
from gad_core.distributed.rows import Report, read_failure, received, report, run_labels, run_rows
from gad_core.distributed.statistics import first_mean
from gad_core.distributed.workers import Workers, WorkersDiedError
from gad_core.errors import InputError
from gad_core.features import CALIBRATION_IMAGES, FeatureExtractor
from gad_core.images import Source
from gad_core.weights import NAMED


class Answers:
    """What this process knows of single images, and calls on workers ask for.

    Parameters
    ----------
    sources : sequence of path-like or array
        All images.

    Attributes
    ----------
    labels : (n,) array of int
        The group of each row, when it is known.
    careful : bool
        Whether images are decoded on trial first. They are from when on a run is begun again, because its
        worker died: perhaps of decoding one.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self.labels: NDArray[np.integer] = np.empty(0, dtype=np.uint8)
        self.careful = False
        self._begun: Counter[int] = Counter()
        self._reached: dict[int, range] = {}

    def __call__(self, question: Question) -> Any:
        """Answer ``("labels", start, stop)`` or ``("images", start of the run, start, stop)``."""
        what, *where = question
        return self._labels(*where) if what == "labels" else self._images(*where)

    def _labels(self, start: int, stop: int) -> NDArray[np.integer]:
        return self.labels[start:stop]

    def _images(self, run: int, start: int, stop: int) -> tuple[list[Source], bool]:
        if start == run:
            self._begun[run] += 1
            self.careful = self.careful or self._begun[run] > 1
        self._reached[run] = range(start, stop)
        return [_absolute(source) for source in self.sources[start:stop]], self.careful

    def suspects(self) -> str:
        """Name the images that were asked for last of the run that was begun most often, if one was."""
        for run, _ in self._begun.most_common(1):
            first, last = (
                source_name(self.sources[i], i) for i in (self._reached[run][0], self._reached[run][-1])
            )
            return f"; the images that were asked for last are {first} to {last}"
        return ""


def calibrate_readable(extractor: FeatureExtractor, images: Sequence[Source]) -> None:
    """Calibrate random weights, unless they are, on the first images that can be read."""
    if not extractor.__sklearn_is_fitted__():
        readable = (image for image in images if not read_failure(image, extractor.input_size))
        first = list(itertools.islice(readable, CALIBRATION_IMAGES))
        if first:  # else the workers will say why none can be read
            extractor.fit(first)


class Features:
    """Features of images on the workers: one call for each run of images.

    Parameters
    ----------
    workers : Workers
        Where they are computed.
    extractor : FeatureExtractor
        Computes them.
    answers : Answers
        Knows the images.
    ask : callable
        Asks `answers`, see `Workers.answering`.
    runs : list of range
        From `image_runs`.

    Raises
    ------
    InputError
        If no image can be read, or workers die for other reasons than decoding one.
    """

    def __init__(
        self, workers: Workers, extractor: FeatureExtractor, answers: Answers, ask: Answer, runs: list[range]
    ) -> None:
        self.workers, self._answers, self._ask = workers, answers, ask
        sent = workers.submit(received, _portable(extractor), extractor.fingerprint())
        self._rows: list[Any] = []
        self._labels: list[Any] = []
        reports = self._reports(sent, runs, progress(extractor, len(answers.sources), "features"))
        self._counts = [found.readable for found in reports]
        self.unreadable = [bad for found in reports for bad in found.unreadable]
        self.count = sum(self._counts)
        if not self.count:
            raise InputError(
                f"none of {len(answers.sources)} images can be read ({self.unreadable[0].reason}); workers "
                "must find the files under the same paths as this process"
            )

    def _reports(self, sent: Any, runs: list[range], bar: tqdm) -> list[Report]:
        def begun() -> Iterator[Any]:
            for run in runs:
                self._rows.append(self.workers.submit(run_rows, sent, self._ask, run))
                yield self.workers.submit(report, self._rows[-1])

        found: dict[int, Report] = {}
        with bar:
            try:
                for i, found[i] in self.workers.each_done(begun()):
                    bar.update(len(runs[i]))
            except WorkersDiedError as error:
                raise InputError(f"{error}{self._answers.suspects()}") from error
        return [found[i] for i in range(len(runs))]

    def mean(self) -> Any:
        """Mean of the first block, see `first_mean`."""
        return self.workers.submit(first_mean, self._rows[np.flatnonzero(self._counts)[0]])

    def label(self, labels: NDArray[np.integer]) -> None:
        """Give each row a label."""
        self._answers.labels = labels
        ends = np.cumsum(self._counts).tolist()
        self._labels = [
            self.workers.submit(run_labels, self._ask, end - count, end)
            for end, count in zip(ends, self._counts, strict=True)
        ]

    def each_run(self) -> Iterator[tuple[Any, Any]]:
        """Give each run's rows, and their labels."""
        return zip(self._rows, self._labels, strict=True)


def progress(extractor: FeatureExtractor, total: int, what: str) -> tqdm:
    """Make a bar that counts images, if the extractor shows one."""
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
