"""How well detectors on given weights tell anomalies from normal images: what choices are made by."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gad_core.datasets.layout import MVTecDataset, list_categories
from gad_core.detector import GaussianDetector
from gad_core.evaluation import auroc
from gad_core.features import FeatureExtractor
from gad_core.files import replacing
from gad_core.images import read_image
from gad_core.weights import NAMED


def compare(
    weights: Sequence[str], root: Path, categories: Sequence[str] | None, gain: float, out: Path | None
) -> None:
    """Measure the joint Gaussian on each file of weights and each category, and print a table.

    Parameters
    ----------
    weights : sequence of str
        Files of weights of the embedded network, ``"embedded"`` or ``"random"``.
    root : pathlib.Path
        Folder of a data set.
    categories : sequence of str or None
        Its categories; None takes all.
    gain : float
        Factor on the brightness of the good test images: a detector should not depend on the exposure.
    out : pathlib.Path or None
        Gets a row for each cell, ``weights,gain,category,auroc_percent``.
    """
    names, cells = list(categories or list_categories(root)), []
    print("weights".ljust(24), *(f"{name[:10]:>10}" for name in names), f"{'mean':>10}")
    for each in weights:
        label = each if each in NAMED else Path(each).parent.name
        row = [100 * joint_auroc(each, MVTecDataset(root, name), gain) for name in names]
        print(label.ljust(24), *(f"{value:10.2f}" for value in (*row, np.mean(row))), flush=True)
        cells += [(label, gain, name, f"{value:.2f}") for name, value in zip(names, row, strict=True)]
    if out is not None:
        with replacing(out) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([("weights", "gain", "category", "auroc_percent"), *cells])


def joint_auroc(weights: str, data: MVTecDataset, gain: float = 1.0) -> float:
    """AUROC, a fraction, of one Gaussian over all levels, fitted on all normal images."""
    extractor = FeatureExtractor("embedded", weights, progress=False)
    detector = GaussianDetector(extractor.level_widths, combine="joint", threshold="chi2")
    detector.fit(extractor.transform(data.train.paths))
    test = extractor.transform(data.test.paths)
    if gain != 1:
        good = np.flatnonzero(data.test.labels == 0)
        test[good] = extractor.transform([brightened(data.test.paths[i], gain) for i in good])
    return auroc(data.test.labels, detector.mahalanobis(test))


def brightened(path: Path, gain: float) -> NDArray[np.uint8]:
    """Read an image and multiply its brightness."""
    return np.round(np.clip(read_image(path) * np.float32(gain), 0, 255)).astype(np.uint8)
