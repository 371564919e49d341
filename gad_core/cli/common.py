"""What several subcommands do alike: make an extractor, write results, print tables."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gad_core.errors import InputError
from gad_core.features import FeatureExtractor
from gad_core.files import replacing
from gad_core.levels import Combine


def make_extractor(args: argparse.Namespace) -> FeatureExtractor:
    """Make the extractor that the options of a subcommand describe."""
    from gad_core.backbones import parse_levels

    return FeatureExtractor(
        args.backbone,
        weights=args.weights,
        levels=parse_levels(args.levels) if args.levels else None,
        device=args.device,
        batch_size=args.batch_size,
        cache=args.cache,
        progress=not args.quiet,
        seed=args.seed,
    )


def parse_combine(text: str) -> Combine:
    """Read ``sum``, ``joint`` or a level's number."""
    if text in ("sum", "joint"):
        return text
    if text.isdecimal():
        return int(text)
    raise InputError(f'"{text}" is no way to combine levels: write sum, joint, or the number of one level')


def require_writable(*paths: Path | None) -> None:
    """Raise InputError for a result file that could not be written, before hours are spent on its content."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder; give the name of a file")
        try:
            with replacing(path.with_name(f"{path.name}.check")):
                raise _Writable
        except _Writable:
            continue
        except OSError as error:
            raise InputError(
                f"cannot write {path}: {error.strerror}; choose a folder that you can write to"
            ) from error


class _Writable(Exception):  # noqa: N818 - a signal, not an error: ends the trial before anything is left behind
    pass


def write_json(path: Path | None, content: Mapping[str, Any]) -> None:
    """Write results as JSON, if a file was asked for."""
    if path is not None:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(path: Path | None, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write results as CSV with a header, if a file was asked for."""
    if path is not None:
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns to stdout, the first to the left and the others to the right."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    for first, *others in table:
        cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))]
        print("  ".join(cells).rstrip())
