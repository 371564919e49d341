"""``gad features``: the features of a data set as files."""

from __future__ import annotations

import argparse

from gad_core.cli.common import make_extractor, print_table, require_writable, selected_datasets
from gad_core.export import extract_category
from gad_core.feature_file import save_features


def run(args: argparse.Namespace) -> None:
    """Do what the action says."""
    {"export": _export}[args.action](args)


def _export(args: argparse.Namespace) -> None:
    """Write the features of each category to ``OUT/<backbone>/<category>.npz``."""
    extractor, datasets = make_extractor(args), selected_datasets(args)
    paths = {data.category: args.out / extractor.backbone / f"{data.category}.npz" for data in datasets}
    require_writable(*paths.values())
    rows = []
    for data in datasets:
        features = extract_category(data, extractor)
        save_features(paths[data.category], features)
        sizes = (len(features.train), len(features.test), features.train.shape[1])
        rows.append((data.category, *map(str, sizes), str(paths[data.category])))
    print_table(("category", "train", "test", "features", "file"), rows)
