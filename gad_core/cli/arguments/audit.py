"""Arguments of ``gad audit``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gad_core.cli.arguments.groups import add_categories, add_extraction, command

MATCHES = ("channels", "luminance", "brightness")


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand and its arguments."""
    parser = command(
        commands,
        "audit",
        "Look for test images that are training images too, and for what gives anomalies away beside the "
        "defect. It tests whether brightness, contrast, colour or sharpness tell normal test images from "
        "training images, or anomalous from normal ones away from the defects; what the AUROC is when all "
        "images have the same exposure; and whether the detector still tells the labels apart without the "
        "object. Each has a verdict, and says what to do.",
    )
    add_categories(parser)
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write the report with pictures")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the results as JSON")
    parser.add_argument(
        "--csv",
        metavar="FOLDER",
        type=Path,
        help="also write the rows as CSV; those of other categories stay",
    )
    add_extraction(parser)
    _add_checks(parser)


def _add_checks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("checks")
    group.add_argument(
        "--combine", nargs="+", metavar="K", help="sum, joint, or a level (default: all of them)"
    )
    group.add_argument(
        "--match",
        nargs="+",
        default=["channels"],
        choices=MATCHES,
        help="what is made equal in all images: mean and contrast of each colour channel (channels, the "
        "default) or of the luminance, or the mean brightness alone",
    )
    group.add_argument(
        "--centre",
        metavar="SHARE",
        type=float,
        help="take out the central square of this share of the side, instead of finding the object",
    )
    group.add_argument(
        "--patches", action="store_true", help="also repair and transplant the defects; needs their masks"
    )
