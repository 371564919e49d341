"""What several subcommands' arguments have in common: how one begins, and the groups of options."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from gad_core.execution import Precision, Runtime

COVARIANCES = ("ledoit_wolf", "oas", "empirical", "diagonal", "spherical")


def command(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    """Begin a subcommand; its work is in the module ``gad_core.cli.NAME``."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=first_sentence(text), description=text)
    parser.set_defaults(run=_later(name))
    return parser


def _later(module: str) -> Callable[[argparse.Namespace], None]:
    """Give a function that imports the subcommand's module only when it runs, so that ``--help`` is quick."""

    def run(args: argparse.Namespace) -> None:
        importlib.import_module(f"gad_core.cli.{module}").run(args)

    return run


def first_sentence(text: str) -> str:
    """Give the first sentence."""
    return text.split(". ")[0].removesuffix(".") + "."


def add_data(parser: argparse._ActionsContainer, required: bool) -> None:
    """Add the option of the data set's folder."""
    default = os.environ.get("GAD_DATA")
    parser.add_argument(
        "--data",
        metavar="ROOT",
        type=Path,
        default=default and Path(default),
        required=required and not default,
        help="folder that holds the categories (default: the environment variable GAD_DATA)",
    )


def add_categories(parser: argparse._ActionsContainer) -> None:
    """Add the options of a data set and its categories."""
    add_data(parser, required=True)
    parser.add_argument("--category", nargs="+", metavar="C", help="categories (default: all in ROOT)")


def add_extraction(parser: argparse.ArgumentParser) -> None:
    """Add the group of options that decide the features, and how they are computed."""
    group = parser.add_argument_group("features")
    group.add_argument(
        "--backbone", default="efficientnet_b4", help="network (default: %(default)s); gad info lists them"
    )
    group.add_argument(
        "--weights",
        help="imagenet (downloaded once), embedded (ships with the package), random, or a safetensors or "
        "state-dict file (default: the backbone's own pretrained ones)",
    )
    group.add_argument("--levels", help="such as 1-7 or 3,5,7 (default: all levels of the network)")
    group.add_argument("--seed", type=int, default=0, help="of random weights (default: %(default)s)")
    group.add_argument(
        "--precision",
        default="auto",
        choices=get_args(Precision),
        help="numbers of the network (default: fp32, as for all published numbers)",
    )
    add_machine(group)


def add_machine(group: argparse._ArgumentGroup) -> None:
    """Add the options of how features are computed."""
    group.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default: %(default)s)"
    )
    group.add_argument(
        "--runtime",
        default="auto",
        choices=get_args(Runtime),
        help="what runs the network (default: OpenVINO on the CPU if it is installed, else torch)",
    )
    group.add_argument(
        "--batch-size", type=int, default=8, metavar="N", help="images at a time (default: %(default)s)"
    )
    kept = group.add_mutually_exclusive_group()
    kept.add_argument(
        "--cache", metavar="FOLDER", default="auto", help="where features are kept between runs"
    )
    kept.add_argument("--no-cache", dest="cache", action="store_const", const=None, help="keep no features")
    group.add_argument("--quiet", action="store_true", help="show no progress bar")
