"""``gad fit``: a detector from normal images."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gad_core.cli.common import images_in, make_extractor, parse_combine, require_writable
from gad_core.copies import find_copies, named
from gad_core.datasets.layout import MVTecDataset, list_categories
from gad_core.detector import GaussianDetector
from gad_core.distributed import check_fit, connected, fit_images
from gad_core.distributed.rows import Unreadable
from gad_core.errors import InputError
from gad_core.features import FeatureExtractor
from gad_core.levels import checked_combine
from gad_core.outputs import write_json
from gad_core.subspaces import parse_reduce
from gad_core.thresholds import checked_fpr, chi2_rate


def run(args: argparse.Namespace) -> None:
    """Extract features of normal images, fit, choose a threshold, write the model."""
    paths = [os.fspath(path) for path in _normal_images(args)]  # a Path takes three times the memory
    checked_fpr(args.fpr)
    extractor = make_extractor(args)
    detector = GaussianDetector(
        extractor.level_widths,
        combine=checked_combine(extractor.level_widths, parse_combine(args.combine)),
        reduce=parse_reduce(args.reduce),
        covariance=args.covariance,
        fpr=args.fpr,
        threshold=args.threshold,
    )
    require_writable(args.out, args.json, inputs=map(Path, paths))
    unreadable = _fitted(detector, extractor, paths, args.scheduler)
    detector.save(args.out, extractor)
    count = len(paths) - len(unreadable)
    _warn_of_chi2(detector, count)
    print(
        f"fitted on {count} normal images; threshold {detector.threshold_:.4g} for a false-positive "
        f"rate of {100 * args.fpr:g} % ({args.threshold}); wrote {args.out}"
    )
    summary = {
        "images": count,
        "left_out": [image._asdict() for image in unreadable],
        "threshold": detector.threshold_,
        "fpr": args.fpr,
        "model": str(args.out),
    }
    write_json(args.json, {**summary, "extractor": extractor.fingerprint()})


def _fitted(
    detector: GaussianDetector, extractor: FeatureExtractor, paths: list[str], scheduler: str | None
) -> list[Unreadable]:
    """Fit, on workers if a scheduler is given, and say which images were left out."""
    if scheduler is None:
        features = extractor.fit(paths).transform(paths)
        detector.fit(features)
        if detector.threshold != "chi2":  # which holds no sample out
            _warn_of_copies(paths, features)
        return []
    check_fit(detector, extractor, len(paths))  # before workers are started
    with connected(scheduler) as workers:
        unreadable = fit_images(detector, extractor, paths, workers).unreadable
    for image in unreadable:
        print(f"gad: warning: left out: {image.reason}", file=sys.stderr)
    if unreadable:
        print(f"gad: warning: {len(unreadable)} of {len(paths)} images were left out", file=sys.stderr)
    return unreadable


def _warn_of_copies(paths: list[str], features: NDArray[np.float32]) -> None:
    files = [Path(path) for path in paths]
    if copies := find_copies(files, features, [], features[:0]).train:
        print(
            f"gad: warning: {len(copies)} of {len(files)} images are copies of others ({named(copies)}). "
            "What is held out was fitted to as its copy, so the threshold is too small: give each image once",
            file=sys.stderr,
        )


def _warn_of_chi2(detector: GaussianDetector, count: int) -> None:
    """Warn if there were too few samples for the chi-square law, even if features were Gaussian."""
    if detector.threshold != "chi2":
        return
    widest = max(gaussian.degrees_of_freedom for gaussian in detector.gaussians_.values())
    if chi2_rate(detector.fpr, count, widest) > 2 * detector.fpr:
        print(
            f"gad: warning: {count} images are too few for the chi-square law of {widest} features: far "
            f"more than {100 * detector.fpr:g} % of normal images may lie beyond the threshold; give many "
            "more images, or use --threshold cross_validated",
            file=sys.stderr,
        )


def _normal_images(args: argparse.Namespace) -> list[Path]:
    if args.images is not None:
        if args.category is not None:
            raise InputError("give either --images FOLDER or --data ROOT --category C, not both")
        return images_in(args.images, args.quiet)
    if args.data is not None and args.category is None:
        there = ", ".join(list_categories(args.data)) or "no folder with train/good"
        raise InputError(f"--category is missing; in {args.data} there is: {there}")
    if args.data is None or args.category is None:
        raise InputError("no normal images: give --images FOLDER, or --data ROOT and --category C")
    return list(MVTecDataset(args.data, args.category).train.paths)
