"""Arguments of ``gad features``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gad_core.cli.arguments.groups import add_categories, add_extraction, command, first_sentence


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand and its arguments."""
    parser = command(commands, "features", "Write the features of a data set's images to files.")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    _add_action(
        actions,
        "export",
        "Write the features of each category to FOLDER/BACKBONE/CATEGORY.npz. In Python, "
        "gad_core.load_features(FILE) reads one: .train, .test, .labels, .defects and where they come from.",
    )
    augment = _add_action(
        actions,
        "augment",
        "Write the moments of the features of randomly changed training images (Tables IV, V, VIII). Each "
        "pass changes every image of a category; the result is FOLDER/BACKBONE/CATEGORY.npz. Finished passes "
        "stay in the cache: a run that was stopped goes on, and more passes add to those that are there. "
        "--seed is that of the changes too.",
    )
    augment.add_argument("--passes", type=int, default=100, metavar="N", help="default: %(default)s")


def _add_action(actions: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=first_sentence(text), description=text)
    add_categories(action)
    add_extraction(action)
    action.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="folder for the files")
    return action
