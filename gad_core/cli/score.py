"""``gad score``: distance, p-value and verdict of images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gad_core.cli.common import print_table, require_writable
from gad_core.detector import GaussianDetector
from gad_core.errors import InputError
from gad_core.features import FeatureExtractor
from gad_core.images import list_images
from gad_core.model_file import load_model
from gad_core.outputs import write_csv, write_json


def run(args: argparse.Namespace) -> None:
    """Score every image and print one line for each."""
    detector = load_model(args.model)
    paths = _images(args.paths)
    require_writable(args.csv, args.json, inputs=[args.model, *paths])
    rows = score_rows(detector, _extractor(detector, args), paths)
    write_csv(args.csv, rows)
    write_json(args.json, {"model": str(args.model), "results": rows})
    print_table(
        ("path", "distance", "p_value", "threshold", "anomalous"),
        [
            (row["path"], f"{row['distance']:.4f}", f"{row['p_value']:.4g}", f"{row['threshold']:.4f}",
             "yes" if row["anomalous"] else "no")
            for row in rows
        ],
    )  # fmt: skip


def score_rows(
    detector: GaussianDetector, extractor: FeatureExtractor, paths: list[Path]
) -> list[dict[str, Any]]:
    """Give path, distance, p-value, threshold and verdict of each image."""
    X = extractor.transform(paths)
    distances, p_values = detector.mahalanobis(X), detector.p_values(X)
    return [
        {
            "path": str(path),
            "distance": float(distance),
            "p_value": float(p_value),
            "threshold": float(detector.threshold_),
            "anomalous": bool(distance > detector.threshold_),
        }
        for path, distance, p_value in zip(paths, distances, p_values, strict=True)
    ]


def _images(paths: list[Path]) -> list[Path]:
    return [image for path in paths for image in (list_images(path) if path.is_dir() else [path])]


def _extractor(detector: GaussianDetector, args: argparse.Namespace) -> FeatureExtractor:
    if not detector.extractor_:
        raise InputError(
            f"{args.model} does not say which features it was fitted on: write it with gad fit, or with "
            "detector.save(path, extractor)"
        )
    return FeatureExtractor.from_fingerprint(
        detector.extractor_["fingerprint"],
        calibration=detector.extractor_["calibration"],
        weights=args.weights,
        device=args.device,
        batch_size=args.batch_size,
        cache=args.cache,
        progress=not args.quiet,
    )
