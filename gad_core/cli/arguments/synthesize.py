"""Arguments of ``gad synthesize``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gad_core.cli.arguments.groups import command


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand and its arguments."""
    parser = command(
        commands,
        "synthesize",
        "Write a synthetic data set in MVTec's folder layout. Categories that are there already, drawn from "
        "the same parameters, are left as they are: a run that was stopped goes on.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--category", nargs="+", metavar="C", help="categories (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace categories that this command wrote with other parameters; nothing else is replaced",
    )
    parser.add_argument("--size", type=int, default=256, help="pixels a side (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")
