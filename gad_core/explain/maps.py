"""Exact score maps: where in the image a distance comes from.

A level's features f are the spatial mean of its map phi(u, v). With w, the gradient of the distance M with
respect to f, the map R(u, v) = (phi(u, v) - m)' w has the mean (f - m)' w = M: the distance is the average of
its own map, and no approximation and no second pass of the network is needed. The distances of several levels
are added, and so are their maps, brought to one resolution in a way that keeps their means; for the joint
Gaussian there is one w, each level's part of which is applied to its map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from gad_core.decoding import as_sources
from gad_core.detector import GaussianDetector
from gad_core.errors import InputError
from gad_core.explain.resample import checked_size, resampled_sum
from gad_core.features import FeatureExtractor
from gad_core.fingerprint import check_extractor
from gad_core.levels import level_columns
from gad_core.runtime import pooled

if TYPE_CHECKING:
    from torch import Tensor

Size = int | tuple[int, int] | None
"""Pixels of a map's side, its (height, width), or None for the size of the network's input."""


class ScoreMap(NamedTuple):
    """An image's distance and where it comes from."""

    map: NDArray[np.float32]
    """(H, W); its mean is the distance."""
    distance: float
    """M; for "sum" the sum over levels."""
    features: NDArray[np.float32]
    """(p,), as `FeatureExtractor.transform` gives them."""


@dataclass(frozen=True, eq=False)
class LevelRelevance:
    """What each level's map says about the distances of a batch of images.

    Parameters
    ----------
    levels : dict of int to (b, h, w) array
        Relevance at each level's own resolution; the means over positions add up to the distances.
    distances : (b,) array
        M of each image.
    features : (b, p) float32 array
        Of each image.
    """

    levels: dict[int, NDArray[np.float64]]
    distances: NDArray[np.float64]
    features: NDArray[np.float32]

    def at(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """Add the levels up at one resolution (H, W); (b, H, W), the mean of each map is its distance."""
        alike: dict[tuple[int, ...], NDArray[np.float64]] = {}
        for part in self.levels.values():
            alike[part.shape] = alike[part.shape] + part if part.shape in alike else part
        return resampled_sum([part.astype(np.float32) for part in alike.values()], size)


def distance_gradient(detector: GaussianDetector, X: ArrayLike) -> NDArray[np.float64]:
    """Gradient of a detector's distance with respect to the features.

    Parameters
    ----------
    detector : GaussianDetector
        Fitted.
    X : (m, p) array
        Features.

    Returns
    -------
    (m, p) array
        Of M, for "sum" of the sum of the levels' M; zero in the columns of levels that are not looked at, and
        where M = 0.
    """
    X = np.asarray(X)
    gradient = np.zeros(X.shape)
    for level, where in detector.columns_.items():
        gradient[:, where] = detector.gaussians_[level].gradient(X[:, where])
    return gradient


def detector_mean(detector: GaussianDetector) -> NDArray[np.float64]:
    """Mean of the normal samples, (p,); zero in the columns of levels that are not looked at."""
    mean = np.zeros(detector.n_features_in_)
    for level, where in detector.columns_.items():
        mean[where] = detector.gaussians_[level].location
    return mean


def level_relevance(detector: GaussianDetector, maps: Mapping[int, Tensor]) -> LevelRelevance:
    """Find where the distances of a batch of images come from.

    Parameters
    ----------
    detector : GaussianDetector
        Fitted on the features whose maps these are.
    maps : mapping of int to (b, c, h, w) torch.Tensor
        The map of each level, in the order of the detector's columns.

    Returns
    -------
    LevelRelevance
        Of the levels that the detector looks at; zero for an image whose distance is zero.
    """
    features = pooled(maps.values())
    gradient = distance_gradient(detector, features)
    shares = gradient * (features - detector_mean(detector))
    used = detector.columns_.values()
    columns = level_columns({level: values.shape[1] for level, values in maps.items()}).values()
    levels = {
        level: _weighted(values, gradient[:, where], shares[:, where].sum(axis=1))
        for (level, values), where in zip(maps.items(), columns, strict=True)
        if any(c.start <= where.start and where.stop <= c.stop for c in used)
    }
    return LevelRelevance(levels, detector.mahalanobis(features), features)


def _weighted(
    values: Tensor, weights: NDArray[np.float64], means: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum of the channels with a weight for each image and channel, shifted to given means over positions.

    The sum is computed in float32 where the map is. It is a small difference of large terms, so its mean
    would be off by their rounding errors; the mean is known better from the features, in float64.
    """
    import torch

    on_device = torch.from_numpy(weights.astype(np.float32)).to(values.device)
    # Image by image: batched products, such as einsum, are several times slower on a CPU.
    pairs = zip(on_device, values.flatten(2), strict=True)
    summed = torch.stack([row @ flat for row, flat in pairs]).view(len(values), *values.shape[2:])
    found = summed.cpu().numpy().astype(np.float64)
    found += (means - found.mean(axis=(1, 2)))[:, None, None]
    return found


def score_map(
    detector: GaussianDetector, extractor: FeatureExtractor, image: object, size: Size = None
) -> NDArray[np.float32]:
    """Map of where an image's distance comes from; also available as ``gad_core.score_map``.

    Parameters
    ----------
    detector : GaussianDetector
        Fitted on features of the extractor.
    extractor : FeatureExtractor
        Computes the maps behind the features.
    image : path-like or array
        One image as `gad_core.images.read_image` takes it.
    size : int, (int, int) or None
        Resolution of the map; None for that of the network's input. An image that is not square is squashed
        for the network, so give its (height, width) for a map that lies on it.

    Returns
    -------
    (H, W) float32 array
        Its mean is the distance M; negative where the image is more normal than the normal images' mean.

    Raises
    ------
    InputError
        If detector and extractor do not match, the image cannot be read, or there are several.

    Examples
    --------
    >>> extractor = FeatureExtractor("squeezenet1_1", weights="random", levels=[2], size=64)
    >>> images = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    >>> X = extractor.transform(images)
    >>> detector = GaussianDetector(extractor.level_widths, threshold="chi2").fit(X[:8])
    >>> relevance = score_map(detector, extractor, images[8])
    >>> bool(np.isclose(relevance.mean(), detector.mahalanobis(X)[8], rtol=1e-5))
    True
    """
    sources = as_sources(image)
    if len(sources) != 1:
        raise InputError(f"score_map takes one image, not {len(sources)}: use score_maps for several")
    (found,) = score_maps(detector, extractor, sources, size)
    return found.map


def score_maps(
    detector: GaussianDetector, extractor: FeatureExtractor, images: object, size: Size = None
) -> Iterator[ScoreMap]:
    """Distances of images and their maps, from one pass of the network.

    Parameters
    ----------
    detector, extractor, size
        As in `score_map`.
    images : path-like, array, or sequence of them
        As in `FeatureExtractor.transform`. No more than two batches of them are in memory.

    Returns
    -------
    iterator of ScoreMap
        For each image its map, distance and features.

    Raises
    ------
    InputError
        As `score_map`; before the first image is read if detector and extractor do not match.
    """
    check_extractor(detector, extractor)
    resolution = checked_size(extractor.input_size if size is None else size)
    return _score_maps(detector, extractor, as_sources(images), resolution)


def _score_maps(
    detector: GaussianDetector, extractor: FeatureExtractor, sources: Sequence, size: tuple[int, int]
) -> Iterator[ScoreMap]:
    relevance: Callable[[dict[int, Tensor]], LevelRelevance] = partial(level_relevance, detector)
    hidden = None if extractor.progress is None else not extractor.progress
    with tqdm(total=len(sources), desc="score maps", unit="image", disable=hidden) as bar:
        for batch in extractor.each_batch(sources, relevance):
            for each in zip(batch.at(size), batch.distances.tolist(), batch.features, strict=True):
                yield ScoreMap(*each)
                bar.update()
