"""How well detectors on given weights tell anomalies from normal images: what choices are made by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gad_core.datasets.layout import MVTecDataset, list_categories
from gad_core.detector import GaussianDetector
from gad_core.evaluation import auroc
from gad_core.features import FeatureExtractor


def joint_auroc(backbone: str, weights: str | Path, data: MVTecDataset) -> float:
    """AUROC, a fraction, of one Gaussian over all levels, fitted on all normal images."""
    extractor = FeatureExtractor(backbone, weights, progress=False)
    extractor.fit(data.train.paths)
    detector = GaussianDetector(extractor.level_widths, combine="joint", threshold="chi2")
    detector.fit(extractor.transform(data.train.paths))
    return auroc(data.test.labels, detector.mahalanobis(extractor.transform(data.test.paths)))


def compare(weights: Sequence[Path], root: Path, categories: Sequence[str] | None = None) -> None:
    """Print a line for each file of weights: AUROC in percent of each category, and the mean."""
    names = list(categories or list_categories(root))
    print("weights".ljust(40), *(f"{name[:10]:>10}" for name in names), f"{'mean':>10}")
    for path in weights:
        row = [100 * joint_auroc("embedded", path, MVTecDataset(root, name)) for name in names]
        print(
            f"{path.parent.name}/{path.name}".ljust(40),
            *(f"{v:10.2f}" for v in (*row, np.mean(row))),
            flush=True,
        )
