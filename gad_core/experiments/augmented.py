"""The augmented protocol: Gaussians on many random passes over the training images (Tables IV, V and VIII).

With passes the number of samples grows beyond the number of features, which the chi-square threshold needs.
The passes are streamed: their features wait in the feature cache, and one pass at a time is in memory.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.metadata
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gad_core import augmentation
from gad_core.augmented_moments import AugmentedMoments
from gad_core.cache import FeatureCache, entry_key
from gad_core.components import components_from_moments, subspace_fourths
from gad_core.datasets.layout import MVTecDataset
from gad_core.evaluation import auroc
from gad_core.experiments.rates import RATES, SIGMAS, SUM_NOTE, exceedance, sigma_rate
from gad_core.experiments.tables import predictor_name
from gad_core.export import provenance
from gad_core.feature_file import CategoryFeatures
from gad_core.features import FeatureExtractor
from gad_core.gaussian import gaussian_from_components
from gad_core.images import load_image
from gad_core.levels import Combine, level_columns
from gad_core.moments import Moments, column_means
from gad_core.runtime import whole_number
from gad_core.subspaces import Reduce, format_reduce
from gad_core.thresholds import chi2_threshold

SUBSPACES: tuple[Reduce, ...] = (None, ("pca", 0.99), ("npca", 0.99))
"""Those of Tables IV, V and VIII."""


def augmented_moments(
    data: MVTecDataset, extractor: FeatureExtractor, passes: int, seed: int = 0
) -> AugmentedMoments:
    """Compute the features of augmented training images, pass by pass, and sum them up.

    A finished pass stays in the extractor's cache. A run that was interrupted continues after the last
    finished pass, a later one with more passes adds to them, and both give what an uninterrupted one gives.
    What happens to an image depends on `seed`, the pass and the position of the image alone.

    Parameters
    ----------
    data : MVTecDataset
        Its training images are used; its category decides what the augmentation may do.
    extractor : FeatureExtractor
        Computes the features; random weights are calibrated on the unchanged images first.
    passes : int
        How often each image is changed at random (the paper: 100).
    seed : int
        Of the augmentation.

    Returns
    -------
    AugmentedMoments
        Over ``passes * n`` samples.
    """
    passes, seed = whole_number(passes, "passes", 1), whole_number(seed, "seed", 0)
    extractor.fit(data.train.paths)
    drawn = {"version": augmentation.VERSION, "seed": seed, "scipy": importlib.metadata.version("scipy")}
    about = provenance(data, extractor) | {"augmentation": drawn}
    columns = level_columns(extractor.level_widths)
    hidden = None if extractor.progress is None else not extractor.progress
    count = passes * len(data.train)
    with (
        _store(extractor) as store,
        tqdm(total=count, desc=data.category, unit="image", disable=hidden) as bar,
    ):
        quiet = copy.copy(extractor).set_params(cache=None, progress=False)
        source = _Passes(data, quiet, about, store, bar.update)
        moments = _summed(map(source.features, range(passes)), columns)
        source = _Passes(data, quiet, about, store)  # read again: the bar is full now
        fourths = _subspace_fourths(map(source.features, range(passes)), columns, moments)
    return AugmentedMoments(
        data.category,
        extractor.backbone,
        extractor.level_widths,
        passes,
        {level: moments[level] for level in extractor.level_widths},
        {level: fourths[level] for level in extractor.level_widths},
        about,
    )


@contextlib.contextmanager
def _store(extractor: FeatureExtractor) -> Iterator[FeatureCache]:
    """Give the extractor's cache; without one, a folder that lasts as long as the block."""
    with tempfile.TemporaryDirectory() as folder:
        store = extractor.open_cache() or FeatureCache(folder)
        store.require_writable()
        yield store


@dataclass(frozen=True)
class _Passes:
    """The features of each pass, from the store or computed and stored."""

    data: MVTecDataset
    extractor: FeatureExtractor
    about: dict[str, Any]
    store: FeatureCache
    tick: Callable[[int], object] = lambda _: None

    def features(self, number: int) -> NDArray[np.float32]:
        n, p = len(self.data.train), sum(self.extractor.level_widths.values())
        recipe = {**self.about, "category": self.data.category, "pass": number}
        key = entry_key(self.about["dataset_sha256"], recipe)
        stored = self.store.get(key, n * p)
        if stored is not None:
            self.tick(n)
            return stored.reshape(n, p)
        rows = self._computed(number)
        self.store.put(key, rows.ravel())
        return rows

    def _computed(self, number: int) -> NDArray[np.float32]:
        n, b = len(self.data.train), self.extractor.batch_size
        batches = [range(start, min(start + b, n)) for start in range(0, n, b)]
        rows = []
        for batch in batches:
            rows.append(self.extractor.transform([self._image(number, i) for i in batch]))
            self.tick(len(batch))
        return np.concatenate(rows)

    def _image(self, number: int, position: int) -> NDArray[np.uint8]:
        image = load_image(self.data.train.paths[position], self.extractor.input_size)
        rng = np.random.default_rng([self.about["augmentation"]["seed"], number, position])
        return augmentation.augmented(image, augmentation.augmentation_of(self.data.category), rng)


def _summed(
    passes: Iterator[NDArray[np.float32]], columns: dict[int | str, slice]
) -> dict[int | str, Moments]:
    first = next(passes)
    shifts = {level: column_means(first[:, where]) for level, where in columns.items()}
    total = {level: Moments.from_data(first[:, where], shifts[level]) for level, where in columns.items()}
    for X in passes:
        for level, where in columns.items():
            total[level] += Moments.from_data(X[:, where], shifts[level])
    return total


def _subspace_fourths(
    passes: Iterator[NDArray[np.float32]],
    columns: dict[int | str, slice],
    moments: dict[int | str, Moments],
) -> dict[int | str, NDArray[np.float64]]:
    fitted = {level: components_from_moments(each) for level, each in moments.items()}
    fourths = {level: np.zeros((2, len(each.variances))) for level, each in fitted.items()}
    for X in passes:
        for level, where in columns.items():
            fourths[level] += subspace_fourths(fitted[level], [X[:, where]])
    return fourths


def augmented_rows(features: CategoryFeatures, augmented: AugmentedMoments) -> list[dict[str, Any]]:
    """Tables V and VIII: AUROC of the Mahalanobis distance of each level and of the sum, with augmentation.

    Parameters
    ----------
    features : CategoryFeatures
        Its test images are scored.
    augmented : AugmentedMoments
        Of the same category, network and images.

    Returns
    -------
    list of dict
        ``category, backbone, method, reduce, predictor, passes, n, auroc``; the AUROC is a fraction. "NPCA
        1 %" is ``npca:0.99``. All training images are used, without folds.
    """
    return [
        {**_named(features, augmented, cell), "auroc": auroc(features.labels, cell.distances)}
        for cell in _cells(features, augmented)
    ]


def augmented_rate_rows(features: CategoryFeatures, augmented: AugmentedMoments) -> list[dict[str, Any]]:
    """Table IV: rates that the chi-square threshold obtains with augmentation.

    The paper shows level 7. Passes over the same images are not independent samples, so no correction for
    few samples, such as Hotelling's, applies to their number.

    Parameters
    ----------
    features, augmented
        As in `augmented_rows`.

    Returns
    -------
    list of dict
        What `gad_core.experiments.rates.rates_rows` gives, with ``reduce`` and ``passes``; p is the number of
        degrees of freedom, which a subspace makes smaller than the number of features.
    """
    rows = []
    for cell in _cells(features, augmented):
        for rate in (*sigma_rate(SIGMAS).tolist(), *RATES):
            threshold = float(chi2_threshold(rate, cell.degrees_of_freedom))
            rows.append(
                {
                    **_named(features, augmented, cell),
                    "method": "chi-square",
                    "covariance": "ledoit_wolf",
                    "p": sum(cell.degrees_of_freedom),
                    "chosen": rate,
                    "threshold": threshold,
                    **exceedance(features.labels, cell.distances, threshold),
                    "note": SUM_NOTE if len(cell.degrees_of_freedom) > 1 else "",
                }
            )
    return rows


class _Cell(NamedTuple):
    """Distances of the test images for one predictor and subspace."""

    combine: Combine
    reduce: Reduce
    distances: NDArray[np.float64]
    degrees_of_freedom: list[int]


def _cells(features: CategoryFeatures, augmented: AugmentedMoments) -> Iterator[_Cell]:
    augmented.require_match(features)
    columns = level_columns(features.level_widths)
    fitted = {level: augmented.components(level) for level in features.level_widths}
    for reduce in SUBSPACES:
        levels = []
        for level, components in fitted.items():
            gaussian = gaussian_from_components(components, "ledoit_wolf", reduce)
            distances = gaussian.mahalanobis(features.test[:, columns[level]])
            levels.append(_Cell(level, reduce, distances, [gaussian.degrees_of_freedom]))
        yield from levels
        total = np.sum([cell.distances for cell in levels], axis=0)
        yield _Cell("sum", reduce, total, [cell.degrees_of_freedom[0] for cell in levels])


def _named(features: CategoryFeatures, augmented: AugmentedMoments, cell: _Cell) -> dict[str, Any]:
    return {
        "category": features.category,
        "backbone": features.backbone,
        "method": "Mahalanobis",
        "reduce": format_reduce(cell.reduce),
        "predictor": predictor_name(cell.combine),
        "passes": augmented.passes,
        "n": next(iter(augmented.moments.values())).count,
    }
