"""``gad synthesize``: a data set with nothing to download."""

from __future__ import annotations

import argparse

from gad_core.datasets.layout import MVTecDataset
from gad_core.datasets.synthetic import CATEGORIES, synthesize
from gad_core.outputs import writing


def run(args: argparse.Namespace) -> None:
    """Write the data set and say what is in it."""
    with writing(args.folder):
        root = synthesize(
            args.folder,
            seed=args.seed,
            categories=args.category,
            size=args.size,
            overwrite=args.overwrite,
            progress=not args.quiet,
        )
    for category in args.category or CATEGORIES:
        print(MVTecDataset(root, category))
