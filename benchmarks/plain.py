"""The plain way to do the same: Pillow, eager torch, scikit-learn's LedoitWolf and PCA, scipy's distance.

These functions are what the ratios compare with. They are written as common re-implementations of the paper
are: one image, one sample and one fit at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA

from gad_core.evaluation import training_folds
from gad_core.subspaces import Reduce


def fit_and_score(train: NDArray, test: NDArray) -> NDArray[np.float64]:
    """Fit LedoitWolf and give scipy's distance of each test sample, in float64."""
    fitted = LedoitWolf().fit(train.astype(np.float64))
    return np.array([mahalanobis(x, fitted.location_, fitted.precision_) for x in test.astype(np.float64)])


def baseline_distances(train: NDArray, test: NDArray, covariance: str) -> NDArray[np.float64]:
    """L2 distance to the mean ("spherical") or the length of the z-scores ("diagonal")."""
    scale = train.std(axis=0) if covariance == "diagonal" else 1.0
    return np.array([np.linalg.norm((x - train.mean(axis=0)) / scale) for x in test])


def subspace_distances(train: NDArray, test: NDArray, reduce: Reduce) -> NDArray[np.float64]:
    """PCA, a choice of components, then `fit_and_score` on the projections."""
    if reduce is None:
        return fit_and_score(train, test)
    kind, share = reduce
    pca = PCA(svd_solver="full").fit(train.astype(np.float64))
    i = int(np.argmax(np.cumsum(pca.explained_variance_ratio_) > share))
    kept = slice(0, i + 1) if kind == "pca" else slice(max(i - 1, 0), None)
    return fit_and_score(pca.transform(train)[:, kept], pca.transform(test)[:, kept])


def evaluate(
    train: NDArray,
    test: NDArray,
    levels: Mapping[int, int],
    settings: Sequence[tuple[Reduce, str]],
    folds: int,
) -> dict[tuple[int, tuple[Reduce, str]], NDArray[np.float64]]:
    """Mean over folds of the distances, for every level and setting, one independent run each."""
    ends = np.cumsum(list(levels.values()))
    result = {}
    for (level, width), end in zip(levels.items(), ends, strict=True):
        columns = slice(end - width, end)
        for setting in settings:
            reduce, covariance = setting
            distances = []
            for rows in training_folds(len(train), folds):
                a, b = train[rows][:, columns], test[:, columns]
                plain = covariance in ("diagonal", "spherical")
                distances.append(
                    baseline_distances(a, b, covariance) if plain else subspace_distances(a, b, reduce)
                )
            result[level, setting] = np.mean(distances, axis=0)
    return result


def extract(backbone: str, weights: Path | None, size: int, depth: int, paths: Sequence[Path]) -> NDArray:
    """Pillow, torchvision's transforms, the eager model in batches of 8, average pooling."""
    import torch
    from torchvision.transforms import v2

    network = plain_network(backbone, weights, depth)
    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.ToDtype(torch.float32),  # resized as numbers: the 8-bit path is inexact without antialiasing
            v2.Resize((size, size), antialias=False),
            v2.Lambda(lambda x: x.round() / 255),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    rows = []
    with torch.no_grad():
        for start in range(0, len(paths), 8):
            images = [transform(Image.open(path).convert("RGB")) for path in paths[start : start + 8]]
            maps = network(torch.stack(images))
            rows.append(torch.cat([m.mean(dim=(2, 3)) for m in maps], dim=1).numpy())
    return np.concatenate(rows)


def plain_network(backbone: str, weights: Path | None, depth: int):
    """Build torchvision's model cut after a level, in torch's default memory layout."""
    from gad_core.backbones import build, get_backbone
    from gad_core.checkpoint import load_weights

    network = build(get_backbone(backbone), depth, seed=None if weights else 0)
    if weights:
        load_weights(network, weights)
    return network
