"""What several subcommands do alike: make an extractor, write results, print tables."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gad_core.datasets.layout import MVTecDataset, list_categories
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


def selected_datasets(args: argparse.Namespace) -> list[MVTecDataset]:
    """List the categories that ``--category`` names, or all in ``--data``."""
    there = list_categories(args.data) if args.data.is_dir() else [""]
    categories = dict.fromkeys(args.category) if args.category else there
    if not categories:
        raise InputError(f"no category in {args.data}: there must be folders with train/good")
    return [MVTecDataset(args.data, category) for category in categories]


def parse_combine(text: str) -> Combine:
    """Read ``sum``, ``joint`` or a level's number."""
    if text in ("sum", "joint"):
        return text
    if text.isdecimal():
        return int(text)
    raise InputError(f'"{text}" is no way to combine levels: write sum, joint, or the number of one level')


def require_writable(*outputs: Path | None, inputs: Iterable[Path] = ()) -> None:
    """Raise InputError for result files that cannot be written, before hours are spent on their content.

    Parameters
    ----------
    *outputs : pathlib.Path or None
        Files to write; None was not asked for. No two may be the same.
    inputs : iterable of pathlib.Path
        Files that are read and so must not be overwritten.
    """
    taken = {path.resolve() for path in inputs}
    for path in (path for path in outputs if path is not None):
        if path.resolve() in taken:
            raise InputError(f"cannot write {path}: it is used twice; give each output a name of its own")
        taken.add(path.resolve())
        if path.exists() and not path.is_file():
            raise InputError(f"cannot write {path}: it is no regular file; give the name of a file")
        folder = path.resolve().parent
        while not folder.exists():
            folder = folder.parent
        with writing(path), tempfile.TemporaryFile(dir=folder):
            pass


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the system in the block into an InputError that names the file or folder to write."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write {path}: {reason}; choose a place that you can write to") from error


def write_json(path: Path | None, content: Mapping[str, Any]) -> None:
    """Write results as JSON, if a file was asked for."""
    if path is not None:
        with writing(path), replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(path: Path | None, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write results as CSV with a header, if a file was asked for."""
    if path is None:
        return
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    with writing(path), replacing(path) as temporary:
        # surrogateescape writes file names that are not UTF-8 as the bytes that they are.
        temporary.write_bytes(text.getvalue().encode("utf-8", errors="surrogateescape"))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns to stdout, the first to the left and the others to the right."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    for first, *others in table:
        cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))]
        print("  ".join(cells).rstrip())
