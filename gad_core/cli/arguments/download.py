"""Arguments of ``gad download``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gad_core.cli.arguments.groups import command


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand and its arguments."""
    parser = command(commands, "download", "Download MVTec AD (5.3 GB, non-commercial licence).")
    parser.add_argument(
        "category", metavar="C", nargs="*", help="categories to unpack (default: all fifteen)"
    )
    parser.add_argument("--root", type=Path, required=True, help="folder to unpack into")
    parser.add_argument("--keep-archive", action="store_true", help="do not delete the archive afterwards")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")
