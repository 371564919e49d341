"""``gad score``: distance, p-value and verdict of images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gad_core.cli.common import images_in, print_table, require_writable
from gad_core.detector import GaussianDetector
from gad_core.errors import InputError
from gad_core.explain.maps import score_maps
from gad_core.explain.resample import resample
from gad_core.features import FeatureExtractor
from gad_core.files import replacing
from gad_core.images import read_image
from gad_core.model_file import load_model
from gad_core.outputs import write_csv, write_json, writing

LONGEST_STEM = 100
"""Characters of an image's name that its map's name repeats."""


def run(args: argparse.Namespace) -> None:
    """Score every image and print one line for each."""
    detector = load_model(args.model)
    paths = _images(args.paths, args.quiet)
    pictures = map_files(args.maps, paths)
    require_writable(args.csv, args.json, *pictures, inputs=[args.model, *paths])
    extractor = _extractor(detector, args)
    rows = (
        mapped_rows(detector, extractor, paths, pictures)
        if pictures
        else score_rows(detector, extractor, paths)
    )
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
    return _rows(detector, paths, extractor.transform(paths))


def mapped_rows(
    detector: GaussianDetector, extractor: FeatureExtractor, paths: list[Path], pictures: list[Path]
) -> list[dict[str, Any]]:
    """Lay each image's score map over it, write the pictures, and give the rows with their paths."""
    from gad_core.explain.overlay import overlay

    features = []
    for path, picture, found in zip(paths, pictures, score_maps(detector, extractor, paths), strict=True):
        image = read_image(path)
        shown = overlay(image, resample(found.map, image.shape[:2]), detector.threshold_)
        with writing(picture), replacing(picture) as temporary:
            Image.fromarray(shown).save(temporary, "PNG")
        features.append(found.features)
    rows = _rows(detector, paths, np.stack(features))
    return [{**row, "map": str(picture)} for row, picture in zip(rows, pictures, strict=True)]


def map_files(folder: Path | None, paths: list[Path]) -> list[Path]:
    """Name the picture of each image by its number and name: images of one name in two folders stay apart.

    Examples
    --------
    >>> [file.name for file in map_files(Path("maps"), [Path("a/7.png"), Path("b/7.png")])]
    ['1_7.png', '2_7.png']
    """
    if folder is None:
        return []
    digits = len(str(len(paths)))
    return [
        folder / f"{number:0{digits}}_{path.stem[:LONGEST_STEM]}.png"
        for number, path in enumerate(paths, start=1)
    ]


def _rows(detector: GaussianDetector, paths: list[Path], X: NDArray[np.float32]) -> list[dict[str, Any]]:
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


def _images(paths: list[Path], quiet: bool) -> list[Path]:
    return [image for path in paths for image in (images_in(path, quiet) if path.is_dir() else [path])]


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
        runtime=args.runtime,
        batch_size=args.batch_size,
        cache=args.cache,
        progress=not args.quiet,
    )
