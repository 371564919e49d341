"""What bfloat16 does to features and accuracy: the real categories, float32 and bfloat16 in OpenVINO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.extraction import SHARED_WEIGHTS
from gad_core import FeatureExtractor, MVTecDataset
from gad_core.errors import InputError
from gad_core.evaluation import Setting, auroc, evaluate_distances
from gad_core.execution import choose_execution

CATEGORIES = ("bottle", "screw", "transistor")
WEIGHTS = SHARED_WEIGHTS / "efficientnet_b4_levels1-7.safetensors"
IMAGES = SHARED_WEIGHTS.parent / "mvtec"
COMBINE = (2, 7, "sum", "joint")


def precisions() -> Iterator[dict[str, Any]]:
    """Give AUROC of each category and predictor in both precisions, and how far the features are apart.

    "mixed" is fitted in float32 and scored in bfloat16; "larger" is how many times larger that makes the
    distance of a normal test image, in the median. The noise is the error of the median feature on the
    training images, in its standard deviations. A row of what could not be measured has its reason in `note`.
    """
    if not WEIGHTS.is_file() or not IMAGES.is_dir():
        yield _skipped("the images of MVTec AD or the weights of EfficientNet-B4 are not there")
        return
    try:
        choose_execution("cpu", "openvino", "bf16")
    except InputError as error:
        yield _skipped(str(error))
        return
    for category in CATEGORIES:
        data = MVTecDataset(IMAGES, category)
        yield from _rows(data, {precision: _features(data, precision) for precision in ("fp32", "bf16")})


def _skipped(reason: str) -> dict[str, Any]:
    empty = dict.fromkeys(("category", "combine", "fp32", "bf16", "mixed", "larger", "noise"))
    return empty | {"note": f"skipped, {reason}"}


def _features(data: MVTecDataset, precision: Any) -> tuple[dict[int, int], NDArray, NDArray]:
    extractor = FeatureExtractor(
        "efficientnet_b4", WEIGHTS, range(1, 8), runtime="openvino", precision=precision, progress=False
    )
    train, test = (extractor.transform(part.paths) for part in (data.train, data.test))
    return extractor.level_widths, train, test


def _rows(data: MVTecDataset, features: dict[str, tuple[dict[int, int], NDArray, NDArray]]) -> Iterator[dict]:
    widths, exact, exact_test = features["fp32"]
    _, rounded, rounded_test = features["bf16"]
    # In units of a feature's standard deviation, because the distance sees an error in those.
    errors = np.sqrt(np.mean((rounded - exact) ** 2, axis=0, dtype=float))
    noise = float(np.median(errors / exact.std(axis=0, dtype=float)))
    ways = {"fp32": (exact, exact_test), "bf16": (rounded, rounded_test), "mixed": (exact, rounded_test)}
    normal = data.test.labels == 0
    for combine in COMBINE:
        row: dict[str, Any] = {"category": data.category, "combine": combine}
        found = {}
        for name, (train, test) in ways.items():
            ((_, distances),) = evaluate_distances(train, test, widths, [Setting(combine)])
            found[name] = distances[0]
            row[name] = auroc(data.test.labels, distances[0])
        larger = float(np.median((found["mixed"] / found["fp32"])[normal]))
        yield row | {"larger": larger, "noise": noise, "note": ""}
