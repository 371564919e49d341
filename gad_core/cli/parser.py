"""The parser of the command ``gad``; a subcommand's work is loaded when it is asked for."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

import gad_core
from gad_core.cli.arguments import (
    audit,
    download,
    evaluate,
    features,
    fit,
    info,
    localise,
    reproduce,
    score,
    synthesize,
)

SUBCOMMANDS = (evaluate, fit, score, localise, audit, features, reproduce, synthesize, download, info)


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all other errors of the command."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where help is, and exit with status 2."""
        print(f"gad: error: {message} ({self.prog} --help shows what is possible)", file=sys.stderr)
        sys.exit(2)


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; the chosen subcommand is ``args.run``, a function of the arguments."""
    parser = OneLineParser(prog="gad", description="Gaussian anomaly detection on pretrained deep features.")
    parser.add_argument("--version", action="version", version=f"gad-core {gad_core.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for subcommand in SUBCOMMANDS:
        subcommand.add(commands)
    return parser
