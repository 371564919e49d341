"""Arguments of ``gad reproduce``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gad_core.cli.arguments.groups import add_machine, command

REPRODUCED = ("table1", "table2", "table3", "table4", "table5", "table7", "table8", "rates", "contamination",
              "tie", "ablation", "all")  # fmt: skip


def add(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand and its arguments."""
    parser = command(
        commands,
        "reproduce",
        "Compute the paper's tables and the experiments beside them, and print the paper's values beside "
        "ours. Without --data it works on the features that ship with the package. What is finished is kept: "
        "a run that was stopped goes on where it was.",
    )
    parser.add_argument(
        "experiments",
        metavar="EXPERIMENT",
        nargs="+",
        choices=REPRODUCED,
        help=", ".join(REPRODUCED),
    )
    _add_data(parser)
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        default=Path("results"),
        help="where results are kept, in a folder embedded or local (default: %(default)s)",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write all results as JSON")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="processes that compute (default: one for each processor)"
    )
    _add_features(parser)
    parser.set_defaults(keeps_results=True)  # with a cache and without


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        metavar="ROOT",
        type=Path,
        help="folder that holds the categories; default: the features that ship with the package",
    )
    parser.add_argument("--category", nargs="+", metavar="C", help="categories (default: all that are there)")


def _add_features(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("features")
    group.add_argument(
        "--backbone",
        nargs="+",
        metavar="B",
        help="networks (default: all that ship; with --data the paper's)",
    )
    group.add_argument("--weights", help="with --data: imagenet (default), random, or a file for one network")
    group.add_argument("--levels", help="with --data: such as 1-7 (default: all levels of each network)")
    group.add_argument(
        "--passes",
        type=int,
        metavar="N",
        help="with --data: random passes over the training images for tables 4 and 5 (the paper: 100), which "
        "are left out otherwise",
    )
    group.add_argument("--seed", type=int, default=0, help="of random weights (default: %(default)s)")
    parser.set_defaults(precision="auto")  # tables are of float32
    add_machine(group)
