"""How well score maps and attributions find the defects of a category (explainability).

The paper's protocol for explainability could not be read; this one is ours. Maps of all test images whose
defects are marked, normal ones included, are compared with the masks at the masks' own resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gad_core.datasets.layout import MVTecDataset
from gad_core.detector import GaussianDetector
from gad_core.errors import InputError
from gad_core.experiments.tables import predictor_name
from gad_core.explain.attribution import (
    gradient_x_input,
    integrated_gradients,
    occlusion,
    pixel_relevance,
    smoothgrad,
)
from gad_core.explain.localisation import localisation
from gad_core.explain.maps import level_relevance
from gad_core.explain.masks import split_masks
from gad_core.explain.pixel_score import PixelScore, network_inputs
from gad_core.features import FeatureExtractor
from gad_core.fingerprint import require_float32
from gad_core.levels import Combine

if TYPE_CHECKING:
    from torch import Tensor

EXACT = "exact map"
STEPS = 20
"""Points of integrated gradients."""
SAMPLES = 10
"""Noisy copies of SmoothGrad."""
WINDOWS = 5
"""Occlusion covers a square of one over this of the side, in steps of half of it."""


class Attributed(NamedTuple):
    """Maps of a batch of images, by one method."""

    maps: NDArray[np.float32]
    """(b, s, s)."""
    completeness_error: NDArray[np.float64] | None = None
    """(b,) for a method that has to add up and may miss: how far off it is, as a share of the distance."""


Attribution = Callable[[PixelScore, "Tensor", "Tensor", np.random.Generator], Attributed]


def _integrated(score: PixelScore, x: Tensor, normal: Tensor, _: np.random.Generator) -> Attributed:
    values, error = integrated_gradients(score, x, normal, STEPS)
    return Attributed(pixel_relevance(values), error)


def _smoothed(score: PixelScore, x: Tensor, _: Tensor, rng: np.random.Generator) -> Attributed:
    return Attributed(pixel_relevance(smoothgrad(score, x, rng, samples=SAMPLES), signed=False))


def _occluded(score: PixelScore, x: Tensor, normal: Tensor, _: np.random.Generator) -> Attributed:
    window = x.shape[-1] // WINDOWS
    return Attributed(occlusion(score, x, window, max(window // 2, 1), normal))


ATTRIBUTIONS: Mapping[str, Attribution] = {
    "gradient x input": lambda score, x, normal, _: Attributed(
        pixel_relevance(gradient_x_input(score, x, normal))
    ),
    "integrated gradients": _integrated,
    "SmoothGrad": _smoothed,
    "occlusion": _occluded,
}
"""Maps of a batch of inputs; their baseline is the training image with the smallest distance."""


def localisation_rows(
    data: MVTecDataset,
    extractor: FeatureExtractor,
    *,
    predictors: Sequence[Combine] | None = None,
    methods: Sequence[str] = (EXACT,),
    limit: int | None = None,
    seed: int = 0,
    tick: Callable[[int], object] = lambda _: None,
) -> list[dict[str, Any]]:
    """Measure how well maps of the test images find the defects.

    Parameters
    ----------
    data : MVTecDataset
        One category, with masks.
    extractor : FeatureExtractor
        Computes features and maps; random weights are calibrated on the training images.
    predictors : sequence, optional
        Levels, "sum" or "joint"; by default all levels and both.
    methods : sequence of str
        "exact map" and names of `ATTRIBUTIONS`.
    limit : int, optional
        Number of anomalous and of normal images to draw; None for all.
    seed : int
        Of that draw, and of SmoothGrad's noise.
    tick : callable
        Called with the number of images whose maps of one method are done.

    Returns
    -------
    list of dict
        ``category, backbone, method, predictor``, the numbers of ``images`` and of ``anomalous`` ones among
        them, what `gad_core.explain.localisation.localisation` gives, and ``completeness_error``, the largest
        of any image as a fraction of its distance; None for methods that are exact or need not add up.

    Raises
    ------
    InputError
        If a method is unknown or the extractor's precision is not float32, no anomalous image has a mask, or
        a mask is empty or of another size than its image.
    """
    require_float32(extractor)
    unknown = set(methods) - {EXACT, *ATTRIBUTIONS}
    if unknown:
        known = ", ".join((EXACT, *ATTRIBUTIONS))
        raise InputError(f"no method {min(unknown)!r} makes maps; there are: {known}")
    masks = drawn_masks(split_masks(data.test), limit, np.random.default_rng(seed))
    detectors, baselines = fitted(data, extractor, predictors)
    paths = [data.test.paths[i] for i in masks]
    rows = []
    for method in methods:
        for combine, found in _maps(method, detectors, extractor, paths, baselines, seed, tick):
            errors = found.completeness_error
            rows.append(
                {
                    "category": data.category,
                    "backbone": extractor.backbone,
                    "method": method,
                    "predictor": predictor_name(combine),
                    "images": len(masks),
                    "anomalous": sum(bool(mask.any()) for mask in masks.values()),
                    **localisation(list(found.maps), list(masks.values())),
                    "completeness_error": None if errors is None else float(errors.max()),
                }
            )
    return rows


def fitted(
    data: MVTecDataset, extractor: FeatureExtractor, predictors: Sequence[Combine] | None = None
) -> tuple[dict[Combine, GaussianDetector], dict[Combine, Any]]:
    """Fit a detector for each predictor, by default all, and find the training image of smallest distance."""
    X = extractor.fit(data.train.paths).transform(data.train.paths)
    chosen: Sequence[Combine] = predictors or (*extractor.level_widths, "sum", "joint")
    detectors = {
        # Only the Gaussians are used; this threshold is the one that costs nothing.
        combine: GaussianDetector(extractor.level_widths, combine, threshold="chi2").fit(X)
        for combine in dict.fromkeys(chosen)
    }
    # A mean or median of images is no normal image: its blur is an anomaly itself.
    return detectors, {c: data.train.paths[int(d.mahalanobis(X).argmin())] for c, d in detectors.items()}


def drawn_masks(
    masks: Mapping[int, NDArray[np.bool_]], limit: int | None, rng: np.random.Generator
) -> dict[int, NDArray[np.bool_]]:
    """Draw some anomalous and as many normal images' masks, in their order; None takes all."""
    kinds = [[i for i in masks if masks[i].any() == anomalous] for anomalous in (True, False)]
    kept = [i for kind in kinds for i in rng.permutation(kind)[:limit]]
    return {int(i): masks[i] for i in sorted(kept)}


def _maps(
    method: str,
    detectors: Mapping[Combine, GaussianDetector],
    extractor: FeatureExtractor,
    paths: Sequence[Any],
    baselines: Mapping[Combine, Any],
    seed: int,
    tick: Callable[[int], object],
) -> Iterable[tuple[Combine, Attributed]]:
    """Give the maps of each predictor, at the resolution of the network's input."""
    if method == EXACT:
        return _exact_maps(detectors, extractor, paths, tick).items()
    scores = ((combine, PixelScore.of(detector, extractor)) for combine, detector in detectors.items())
    return (
        (combine, _attributed(method, score, extractor, paths, baselines[combine], seed, tick))
        for combine, score in scores
    )


def _exact_maps(
    detectors: Mapping[Combine, GaussianDetector],
    extractor: FeatureExtractor,
    paths: Sequence[Any],
    tick: Callable[[int], object],
) -> dict[Combine, Attributed]:
    """Compute the maps of all predictors in one pass of the network."""
    size = (extractor.input_size, extractor.input_size)
    found: dict[Combine, list[NDArray[np.float32]]] = {combine: [] for combine in detectors}

    def relevance(maps: dict[int, Tensor]) -> list[NDArray[np.float32]]:
        return [level_relevance(detector, maps).at(size) for detector in detectors.values()]

    for batch in extractor.each_batch(paths, relevance):
        for combine, maps in zip(detectors, batch, strict=True):
            found[combine].append(maps)
        tick(len(batch[0]))
    return {combine: Attributed(np.concatenate(maps)) for combine, maps in found.items()}


def _attributed(
    method: str,
    score: PixelScore,
    extractor: FeatureExtractor,
    paths: Sequence[Any],
    baseline: Any,
    seed: int,
    tick: Callable[[int], object],
) -> Attributed:
    normal, rng, found = network_inputs(extractor, baseline), np.random.default_rng(seed), []
    for start in range(0, len(paths), score.batch_size):
        inputs = network_inputs(extractor, paths[start : start + score.batch_size])
        found.append(ATTRIBUTIONS[method](score, inputs, normal, rng))
        tick(len(inputs))
    maps, errors = zip(*found, strict=True)
    return Attributed(np.concatenate(maps), None if errors[0] is None else np.concatenate(errors))
