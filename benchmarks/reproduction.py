"""Tables I and III from features that are stored, against features computed anew for every run.

A run is one setting on one fold of one category: it needs the features of the training images of the fold and
of all test images. Without stored features the network is by far most of it, so what is counted is runs x
images x seconds per image; the seconds are measured here on a few images, batched and multi-threaded as ours
are, and the fits are left out, in favour of the other way. Ours is measured whole: reading the shipped files,
fitting, scoring, AUROC.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.extraction import SHARED_WEIGHTS, write_images
from benchmarks.timing import Comparison
from gad_core import FeatureExtractor, embedded_features
from gad_core.evaluation import training_folds
from gad_core.experiments.tables import FOLDS, METHODS, SUBSPACES, table1_rows, table3_rows

CATEGORIES = ("bottle", "screw", "transistor")
BACKBONE = "efficientnet_b4"
WEIGHTS = SHARED_WEIGHTS / "efficientnet_b4_levels1-7.safetensors"
SETTINGS = len(METHODS) + 1 + len(SUBSPACES)
"""The distances and the one-class SVM of Table I, the subspaces of Table III."""

IMAGES = 24


def images_of_all_runs() -> tuple[int, int]:
    """Count the runs, and the images that they send through the network."""
    runs = images = 0
    for category in CATEGORIES:
        features = embedded_features(category, BACKBONE)
        for fold in training_folds(len(features.train), FOLDS):
            runs += SETTINGS
            images += SETTINGS * (len(fold) + len(features.test))
    return runs, images


def seconds_per_image() -> float:
    """Measure the network, decoding included, on a few images of its input size after a warm-up."""
    extractor = FeatureExtractor(BACKBONE, WEIGHTS, range(1, 8), progress=False)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), IMAGES, 380)
        extractor.transform(paths[:8])
        start = time.perf_counter()
        extractor.transform(paths)
        return (time.perf_counter() - start) / IMAGES


def tables() -> None:
    """Compute both tables for all categories."""
    for category in CATEGORIES:
        features = embedded_features(category, BACKBONE)
        table1_rows(features)
        table3_rows(features)


def reproduction() -> Comparison | str:
    """Compare in turn, three times; a text says why it cannot be done."""
    if not WEIGHTS.is_file():
        return f"skipped: the network's time cannot be measured without ../shared/weights/{WEIGHTS.name}"
    runs, images = images_of_all_runs()
    tables()
    plain, ours = [], []
    for _ in range(3):
        plain.append(images * seconds_per_image())
        start = time.perf_counter()
        tables()
        ours.append(time.perf_counter() - start)
    name = f"tables I and III, 3 categories: {runs} runs, {images} images"
    return Comparison(name, plain, ours, target=50)
