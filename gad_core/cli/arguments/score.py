"""Arguments of ``gad score``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gad_core.cli.arguments.groups import add_machine, command


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand and its arguments."""
    parser = command(
        commands,
        "score",
        "Score images with a fitted detector. Each line gives the "
        "distance to the normal images; the p-value, which is the share of held-out normal images at "
        "least as far away and never below 1 / (their number + 1); the model's threshold; and whether "
        "the distance is above it.",
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="file that gad fit wrote")
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="images or folders of images")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="also write the results as CSV")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the results as JSON")
    parser.add_argument(
        "--maps",
        metavar="FOLDER",
        type=Path,
        help="also write, for each image, a PNG that shows where its distance comes from: dark blue is "
        "nothing, yellow ten times the threshold, and the mean over the image is its distance",
    )
    group = parser.add_argument_group("features")
    group.add_argument("--weights", help="the weights the model was fitted with, if they moved")
    add_machine(group)
