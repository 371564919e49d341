"""Arguments of ``gad evaluate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gad_core.cli.arguments.groups import COVARIANCES, add_categories, add_extraction, command


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand and its arguments."""
    parser = command(commands, "evaluate", "Measure how well anomalies are told from normal test images.")
    add_categories(parser)
    add_extraction(parser)
    group = parser.add_argument_group("settings; every combination is one row")
    group.add_argument(
        "--folds", type=int, default=0, help="0: fit on all of train/good; 5: the paper's folds"
    )
    group.add_argument("--combine", nargs="+", default=["sum"], metavar="K", help="sum, joint, or a level")
    group.add_argument(
        "--reduce",
        nargs="+",
        default=["none"],
        metavar="R",
        help="none, or a subspace: pca:T, npca:T with a share of variance 0 < T < 1",
    )
    group.add_argument(
        "--covariance", nargs="+", default=["ledoit_wolf"], choices=COVARIANCES, help=", ".join(COVARIANCES),
        metavar="S",
    )  # fmt: skip
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the results as JSON")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="also print where the time went, and compute all features anew, so that there is something to "
        "measure",
    )
