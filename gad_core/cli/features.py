"""``gad features``: the features of a data set as files."""

from __future__ import annotations

import argparse
from pathlib import Path

from gad_core.augmented_moments import save_augmented
from gad_core.cli.common import make_extractor, print_table, require_writable, selected_datasets
from gad_core.datasets.layout import MVTecDataset
from gad_core.experiments.augmented import augmented_moments
from gad_core.export import extract_category
from gad_core.feature_file import save_features
from gad_core.features import FeatureExtractor
from gad_core.runtime import whole_number


def run(args: argparse.Namespace) -> None:
    """Do what the action says."""
    {"export": _export, "augment": _augment}[args.action](args)


def _export(args: argparse.Namespace) -> None:
    """Write the features of each category."""
    extractor, files = _prepared(args)
    rows = []
    for data, path in files:
        features = extract_category(data, extractor)
        save_features(path, features)
        sizes = (len(features.train), len(features.test), features.train.shape[1])
        rows.append((data.category, *map(str, sizes), str(path)))
    print_table(("category", "train", "test", "features", "file"), rows)


def _augment(args: argparse.Namespace) -> None:
    """Write the moments of each category's augmented training images."""
    whole_number(args.passes, "--passes", 1)
    extractor, files = _prepared(args)
    rows = []
    for data, path in files:
        augmented = augmented_moments(data, extractor, args.passes, args.seed)
        save_augmented(path, augmented)
        count = args.passes * len(data.train)
        rows.append((data.category, str(args.passes), str(count), str(path)))
    print_table(("category", "passes", "samples", "file"), rows)


def _prepared(args: argparse.Namespace) -> tuple[FeatureExtractor, list[tuple[MVTecDataset, Path]]]:
    """Make the extractor, and pair each category with its file ``OUT/<backbone>/<category>.npz``."""
    extractor = make_extractor(args)
    folder = args.out / extractor.backbone
    files = [(data, folder / f"{data.category}.npz") for data in selected_datasets(args)]
    require_writable(*(path for _, path in files))
    return extractor, files
