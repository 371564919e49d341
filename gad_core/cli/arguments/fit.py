"""Arguments of ``gad fit``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gad_core.cli.arguments.groups import COVARIANCES, add_data, add_extraction, command

THRESHOLDS = ("cross_validated", "conformal", "chi2")


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand and its arguments."""
    parser = command(commands, "fit", "Fit a detector to normal images and write it to a file.")
    _add_images(parser)
    add_extraction(parser)
    _add_detector(parser)
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="share the work among Dask workers: local:2 starts two on this machine, tcp://HOST:PORT is a "
        "scheduler. The numbers are the same whatever the workers. An image that cannot be read is reported "
        "and left out, where without this option it is an error",
    )
    parser.add_argument("--out", metavar="MODEL", type=Path, required=True, help="file to write")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write a summary as JSON")


def _add_images(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("normal images: a category of a data set, or any folder")
    either = source.add_mutually_exclusive_group()
    add_data(either, required=False)
    source.add_argument("--category", metavar="C", help="category in ROOT; its train/good is used")
    either.add_argument(
        "--images", metavar="FOLDER", type=Path, help="folder of normal images, no labels needed"
    )


def _add_detector(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("detector")
    group.add_argument("--combine", default="sum", metavar="K", help="sum (default), joint, or a level")
    group.add_argument(
        "--reduce",
        default="none",
        metavar="R",
        help="none (default), or a subspace: pca:T, npca:T with a share of variance 0 < T < 1",
    )
    group.add_argument(
        "--covariance", default="ledoit_wolf", choices=COVARIANCES, help="default: %(default)s"
    )
    group.add_argument(
        "--fpr", type=float, default=0.05, help="false-positive rate, a fraction (default: 0.05)"
    )
    group.add_argument(
        "--threshold",
        default="cross_validated",
        choices=THRESHOLDS,
        help="default: %(default)s; conformal has a guarantee, chi2 needs many more images than features",
    )
