"""Whether distances depend on what score maps call relevant, and how much of that lies on the background.

Deletion and insertion curves (`gad_core.explain.curves`) of the exact maps have a control: the same map,
turned by half a turn, has the same values in patches of the same shapes, and only their place is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core.bootstrap import bootstrap_mean
from gad_core.datasets.layout import MVTecDataset
from gad_core.detector import GaussianDetector
from gad_core.experiments.localisation import drawn_masks, fitted
from gad_core.experiments.tables import predictor_name
from gad_core.explain.background import LARGEST, SMALLEST, background_share, object_mask
from gad_core.explain.changes import changed_features
from gad_core.explain.curves import Curve, Score, deletion_curve, insertion_curve
from gad_core.explain.maps import score_maps
from gad_core.explain.masks import split_masks
from gad_core.features import FeatureExtractor
from gad_core.fingerprint import require_float32
from gad_core.images import load_image
from gad_core.levels import Combine

STEPS = 10
"""Equal parts in which a curve exchanges the pixels."""

TABLES = ("curves", "areas", "relevance")
"""Names of the tables that `faithfulness_rows` gives."""

EXACT, TURNED = "exact map", "turned map"
CURVES = {"deletion": deletion_curve, "insertion": insertion_curve}


def faithfulness_rows(
    data: MVTecDataset,
    extractor: FeatureExtractor,
    *,
    predictors: Sequence[Combine] | None = None,
    limit: int | None = None,
    seed: int = 0,
    tick: Callable[[int], object] = lambda _: None,
) -> dict[str, list[dict[str, Any]]]:
    """Follow the exact score maps of the test images that `localisation_rows` draws.

    Parameters
    ----------
    data, extractor, predictors, limit
        As in `gad_core.experiments.localisation.localisation_rows`.
    seed : int
        Of the draw and of the bootstrap.
    tick : callable
        Called with 1 for each map that was followed.

    Returns
    -------
    dict
        ``curves``: means over the anomalous images of M, as a share of each image's own, while its pixels
        become those of the most central training image (deletion) or the other way round (insertion);
        ``areas``: means over the images of the area under these curves, for the exact map, the turned one
        and their difference; ``relevance``: share of the positive relevance that lies outside of the
        object, and of the picture that does, in pictures in which an object is found. Intervals cover 95 %
        (bootstrap over images).

    Raises
    ------
    InputError
        If the extractor's precision is not float32, no anomalous image has a mask, or a mask is empty or of
        another size than its image.
    """
    require_float32(extractor)
    masks = drawn_masks(split_masks(data.test), limit, np.random.default_rng(seed))
    marked = np.array([mask.any() for mask in masks.values()])
    images = [load_image(data.test.paths[i], extractor.input_size) for i in masks]
    detectors, baselines = fitted(data, extractor, predictors)
    objects = [object_mask(image) for image in images]
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for combine, detector in detectors.items():
        names = {
            "category": data.category,
            "backbone": extractor.backbone,
            "predictor": predictor_name(combine),
        }
        maps = [each.map for each in score_maps(detector, extractor, images)]
        baseline, score = load_image(baselines[combine], extractor.input_size), _score(detector, extractor)
        followed = []
        for image, found in zip(np.array(images)[marked], np.array(maps)[marked], strict=True):
            followed.append(_followed(image, baseline, found, score))
            tick(1)
        found_rows = {
            **curve_tables(followed, seed),
            "relevance": relevance_rows(maps, objects, marked, seed),
        }
        for table, rows in found_rows.items():
            tables[table] += [{**names, **row} for row in rows]
    return tables


def _score(detector: GaussianDetector, extractor: FeatureExtractor) -> Score:
    return lambda images: detector.mahalanobis(changed_features(extractor, images, _unchanged, "curve"))


def _unchanged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image


def _followed(
    image: NDArray[np.uint8], baseline: NDArray[np.uint8], found: NDArray[np.float32], score: Score
) -> dict[tuple[str, str], Curve]:
    """All curves of one image, as shares of its own distance."""
    (own,) = score([image])
    maps = {EXACT: found, TURNED: found[::-1, ::-1]}
    return {
        (kind, name): curve(image, baseline, each, lambda images: score(images) / own, STEPS)
        for kind, curve in CURVES.items()
        for name, each in maps.items()
    }


def curve_tables(
    followed: Sequence[Mapping[tuple[str, str], Curve]], seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Average the curves of several images, with intervals.

    Parameters
    ----------
    followed : sequence of mapping
        For each image its curves by kind ("deletion", "insertion") and map ("exact map", "turned map").
    seed : int
        Of the bootstrap; the same images are resampled for every row.

    Returns
    -------
    dict
        Rows of ``curves`` and ``areas``, as `faithfulness_rows` describes them.
    """
    curves: list[dict[str, Any]] = []
    areas: list[dict[str, Any]] = []
    last = {"images": len(followed), "seed": seed}
    for kind in CURVES:
        for name in (EXACT, TURNED):
            scores = np.array([each[kind, name].scores for each in followed])
            low, high = bootstrap_mean(scores, np.random.default_rng(seed))
            columns = {"share": followed[0][kind, name].shares, "score": scores.mean(axis=0),
                       "score_low": low, "score_high": high}  # fmt: skip
            for cells in zip(*(column.tolist() for column in columns.values()), strict=True):
                curves.append({"curve": kind, "map": name, **dict(zip(columns, cells, strict=True)), **last})
        exact, turned = (np.array([each[kind, name].area for each in followed]) for name in (EXACT, TURNED))
        values = {"exact": exact, "turned": turned, "difference": exact - turned}
        means = {key: cell for name in values for key, cell in _mean(name, values[name], seed).items()}
        areas.append({"curve": kind, **means, **last})
    return {"curves": curves, "areas": areas}


def relevance_rows(
    maps: Sequence[NDArray], objects: Sequence[NDArray[np.bool_]], marked: NDArray[np.bool_], seed: int
) -> list[dict[str, Any]]:
    """Share of the positive relevance outside of the object, in anomalous and in normal images.

    Parameters
    ----------
    maps : sequence of (s, s) arrays
        Score maps.
    objects : sequence of (s, s) bool arrays
        From `gad_core.explain.background.object_mask`; an image without an object, or without anything
        around it, is left out.
    marked : (n,) bool array
        Which images are anomalous.
    seed : int
        Of the bootstrap.

    Returns
    -------
    list of dict
        ``kind`` of image (anomalous or normal), ``outside`` with its interval, ``background``, the share of
        the picture, which a map that knows nothing of the object would reach, and the number of ``images``.
    """
    rows = []
    for name, wanted in (("anomalous", True), ("normal", False)):
        kept = [
            i for i in np.flatnonzero(marked == wanted).tolist() if SMALLEST <= objects[i].mean() <= LARGEST
        ]
        if kept:
            outside = np.array([background_share(maps[i], objects[i]) for i in kept])
            background = float(np.mean([1 - objects[i].mean() for i in kept]))
            measured = {**_mean("outside", outside, seed), "background": background}
            rows.append({"kind": name, **measured, "images": len(kept), "seed": seed})
    return rows


def _mean(name: str, values: NDArray[np.float64], seed: int) -> dict[str, float]:
    low, high = bootstrap_mean(values, np.random.default_rng(seed))
    return {name: float(values.mean()), f"{name}_low": float(low), f"{name}_high": float(high)}
