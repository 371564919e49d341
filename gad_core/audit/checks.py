"""The checks of an audit, as rows of numbers: photometry, repair and transplant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gad_core.audit.confounders import Comparison, compare_photometry
from gad_core.datasets.layout import MVTecDataset
from gad_core.detector import GaussianDetector
from gad_core.errors import InputError
from gad_core.experiments.tables import predictor_name
from gad_core.explain.changes import (
    Change,
    all_predictors,
    change_rows,
    changed_features,
    predictor_distances,
)
from gad_core.explain.masks import read_mask
from gad_core.explain.patches import Fill, median_image, nearest_of, surroundings
from gad_core.explain.photometry import block_sums, exposure, kept_blocks, matched, statistics
from gad_core.explain.repair import REPAIR, Patched, flip_row, repaired, transplanted
from gad_core.features import FeatureExtractor
from gad_core.images import load_image
from gad_core.levels import Combine

Match = Literal["brightness", "luminance", "channels"]
MATCHES: dict[str, str] = {
    "brightness": "the mean luminance, by a factor",
    "luminance": "mean and standard deviation of the luminance",
    "channels": "mean and standard deviation of red, green and blue",
}
"""What can be made equal in all images."""

FPR = 0.05
"""False-positive rate of the thresholds of repair and transplant."""


@dataclass(frozen=True)
class Subject:
    """A category under audit, with what every check needs.

    Parameters
    ----------
    data : MVTecDataset
        The images.
    extractor : FeatureExtractor
        Fitted, if it must be.
    train, test : (n, p) and (m, p) arrays
        Features of the images as they are.
    predictors : list of Combine
        Predictors to check.
    seed : int
        Of intervals and of random choices.
    """

    data: MVTecDataset
    extractor: FeatureExtractor
    train: NDArray[np.float32]
    test: NDArray[np.float32]
    predictors: list[Combine]
    seed: int = 0

    @classmethod
    def of(
        cls,
        data: MVTecDataset,
        extractor: FeatureExtractor,
        predictors: Sequence[Combine] | None = None,
        seed: int = 0,
    ) -> Subject:
        """Compute the features; by default for all predictors that the levels allow."""
        kinds = set(data.test.labels.tolist())
        if kinds != {0, 1}:
            raise InputError(
                f"{data.root / data.category} has no {'anomalous' if 1 not in kinds else 'normal'} test "
                "image: an audit needs both kinds, in test/good and test/<defect>"
            )
        train = extractor.fit(data.train.paths).transform(data.train.paths)
        chosen = all_predictors(extractor.level_widths) if predictors is None else list(predictors)
        return cls(data, extractor, train, extractor.transform(data.test.paths), chosen, seed)

    def image(self, path: Any) -> NDArray[np.uint8]:
        """Read an image at the network's input size."""
        return load_image(path, self.extractor.input_size)

    def distances(self, train: NDArray, test: NDArray) -> dict[Combine, NDArray[np.float64]]:
        """Distances of test features by each predictor."""
        return predictor_distances(train, test, self.extractor.level_widths, self.predictors)

    def after(self, change: Change, what: str) -> dict[Combine, NDArray[np.float64]]:
        """Distances when training and test images are all changed, and the Gaussians fitted anew."""
        return self.distances(
            changed_features(self.extractor, self.data.train.paths, change, f"{what}, training images"),
            changed_features(self.extractor, self.data.test.paths, change, f"{what}, test images"),
        )

    def named(self, row: dict[str, Any]) -> dict[str, Any]:
        """Put category and network in front of a row."""
        return {"category": self.data.category, "backbone": self.extractor.backbone, **row}


@dataclass(frozen=True)
class Photometry:
    """What the photometric checks found.

    Parameters
    ----------
    train, test : (n, 5) and (m, 5) arrays
        Statistics of each image, in the order of `gad_core.explain.photometry.STATISTICS`.
    comparisons : list of Comparison
        Rank tests of the data.
    rows : list of dict
        AUROC of the detector before and after all images are matched.
    """

    train: NDArray[np.float64]
    test: NDArray[np.float64]
    comparisons: list[Comparison]
    rows: list[dict[str, Any]]


def check_photometry(subject: Subject, matches: Sequence[Match] = ("channels",)) -> Photometry:
    """Test the pictures' photometric statistics, and the detector on pictures that have them all alike.

    Parameters
    ----------
    subject : Subject
        What is audited.
    matches : sequence of str
        What is made equal in all images, keys of `MATCHES`.

    Returns
    -------
    Photometry
        One row for each kind of matching and predictor.
    """
    data, rng = subject.data, np.random.default_rng(subject.seed)
    train = block_sums(subject.image(path) for path in data.train.paths)
    test = block_sums(subject.image(path) for path in data.test.paths)
    size = subject.extractor.input_size
    kept = [None if mask is None else kept_blocks([read_mask(mask, size)])[0] for mask in data.test.masks]
    rows = []
    before = subject.distances(subject.train, subject.test)
    for match in matches:
        after = subject.after(matching(subject, match), f"matched {match}")
        rows += [
            subject.named({"matched": match, **row})
            for row in change_rows(data.test.labels, before, after, subject.seed)
        ]
    comparisons = compare_photometry(train, test, data.test.labels, kept, rng)
    return Photometry(statistics(train), statistics(test), comparisons, rows)


def matching(subject: Subject, match: Match) -> Change:
    """Give the function that brings an image to the training images' mean exposure."""
    if match not in MATCHES:
        raise InputError(f"images can be matched in {', '.join(MATCHES)}, not in {match!r}")
    images = (subject.image(path) for path in subject.data.train.paths)
    brightness, contrast = exposure(images, each_channel=match == "channels")
    return partial(matched, brightness=brightness, contrast=None if match == "brightness" else contrast)


def fills(training: Sequence[NDArray[np.uint8]]) -> dict[str, Fill]:
    """Ways to get the normal pixels for a repair, by name."""
    median = median_image(training)

    def median_everywhere(_image: NDArray[np.uint8], _mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        return median

    return {
        "nearest image": nearest_of(training),
        "median image": median_everywhere,
        "surroundings": surroundings,
    }


def images_with_masks(data: MVTecDataset) -> list[int]:
    """Positions of the test images that have a mask, or InputError if there is none."""
    marked = [i for i, mask in enumerate(data.test.masks) if mask is not None]
    if not marked:
        raise InputError(
            f"{data.root / data.category} has no masks of its defects: repair and transplant need "
            "ground_truth/<defect>/<name>_mask.png"
        )
    return marked


def check_patches(subject: Subject) -> list[dict[str, Any]]:
    """Repair and transplant the defects, and count the verdicts that this turns round.

    Anomalous images without a mask are left out. Thresholds are cross-validated, at a false-positive rate of
    `FPR`.

    Parameters
    ----------
    subject : Subject
        What is audited.

    Returns
    -------
    list of dict
        A row for each test, its control, each way to fill the hole, each predictor, and each kind of
        defect as well as all of them; see `gad_core.explain.repair.flip_row`.

    Raises
    ------
    InputError
        If no anomalous test image has a mask.
    """
    test, marked = subject.data.test, images_with_masks(subject.data)
    normal = np.flatnonzero(test.labels == 0)
    detectors = {
        c: GaussianDetector(subject.extractor.level_widths, combine=c, fpr=FPR).fit(subject.train)
        for c in subject.predictors
    }
    defects = np.array([test.defects[i] for i in marked])
    rows = []
    for fill, patched in _patch_tests(subject, marked, normal):
        hosts = np.asarray(marked if patched.test == REPAIR else normal)[patched.hosts]
        name = f"{patched.test} {fill}".strip()
        changed = changed_features(subject.extractor, patched.images, lambda image: image, name)
        for combine, detector in detectors.items():
            before, after = detector.mahalanobis(subject.test[hosts]), detector.mahalanobis(changed)
            rows += [
                subject.named(
                    {"test": patched.test, "fill": fill, "defect": defect,
                     "predictor": predictor_name(combine),
                     **flip_row(before[chosen], after[chosen], detector.threshold_, patched.test == REPAIR),
                     "fpr": FPR, "seed": subject.seed}
                )
                for defect, chosen in _by_kind(defects)
            ]  # fmt: skip
    return rows


def _patch_tests(
    subject: Subject, marked: Sequence[int], normal: NDArray[np.intp]
) -> Iterator[tuple[str, Patched]]:
    """Patched pictures, with the name of the way in which the hole was filled."""
    test = subject.data.test
    masks = [read_mask(mask, subject.extractor.input_size) for mask in test.masks if mask is not None]
    anomalous, good = ([subject.image(test.paths[i]) for i in rows] for rows in (marked, normal))
    for name, fill in fills([subject.image(path) for path in subject.data.train.paths]).items():
        # The same seed each time, so that all ways are tried on the same normal images.
        for patched in repaired(anomalous, masks, good, fill, np.random.default_rng(subject.seed)):
            yield name, patched
    for patched in transplanted(anomalous, masks, good, np.random.default_rng(subject.seed)):
        yield "", patched


def _by_kind(defects: NDArray[np.str_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """All defects, then those of each kind: its name and a mask of the images."""
    yield "all", np.ones(len(defects), dtype=bool)
    for kind in dict.fromkeys(defects.tolist()):
        yield kind, defects == kind
