"""Arguments of ``gad localise``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gad_core.cli.arguments.groups import add_categories, add_extraction, command

MAPPERS = ("exact map", "gradient x input", "integrated gradients", "SmoothGrad", "occlusion")


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand and its arguments."""
    parser = command(
        commands,
        "localise",
        "Measure how well score maps find the defects that a data set's masks mark. Each line gives the "
        "AUROC of pixels; the per-region overlap (PRO) up to 30 % false positives; the share of images whose "
        "highest value lies on a defect; the share of positive relevance there, and the share of the area, "
        "which is what chance gives.",
    )
    add_categories(parser)
    add_extraction(parser)
    group = parser.add_argument_group("maps; every combination is one row")
    group.add_argument(
        "--predictor", nargs="+", metavar="K", help="sum, joint, or a level (default: all levels and both)"
    )
    group.add_argument(
        "--method", nargs="+", metavar="M", choices=MAPPERS, default=["exact map"],
        help=f"{', '.join(MAPPERS)} (default: exact map, which alone is quick)",
    )  # fmt: skip
    group.add_argument(
        "--limit", type=int, metavar="N", help="draw N anomalous and N normal test images (default: all)"
    )
    parser.add_argument("--csv", metavar="FILE", type=Path, help="also write the results as CSV")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write results and provenance as JSON")
    parser.add_argument(
        "--faithfulness", metavar="FOLDER", type=Path,
        help="also follow the exact maps of the same images, and write as CSV deletion and insertion curves, "
        "the areas under them, and the share of relevance on the background",
    )  # fmt: skip
