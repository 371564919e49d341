"""Arguments of ``gad info``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gad_core.cli.arguments.groups import command


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand and its arguments."""
    parser = command(commands, "info", "Show versions, backbones, folders and the device that would be used.")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write it as JSON")
