"""What several subcommands do alike: make an extractor, check options, print tables."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

from gad_core.datasets.layout import MVTecDataset, list_categories
from gad_core.errors import InputError
from gad_core.features import FeatureExtractor
from gad_core.images import list_images, skipped_entries
from gad_core.levels import Combine
from gad_core.outputs import writing


def make_extractor(args: argparse.Namespace) -> FeatureExtractor:
    """Make the extractor that the options of a subcommand describe."""
    from gad_core.levels import parse_levels

    return FeatureExtractor(
        args.backbone,
        weights=args.weights,
        levels=parse_levels(args.levels) if args.levels else None,
        device=args.device,
        runtime=args.runtime,
        precision=args.precision,
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


def images_in(folder: Path, quiet: bool) -> list[Path]:
    """List a folder's images, and note on stderr what is left out: a suffix is easily overlooked."""
    images, skipped = list_images(folder), {} if quiet else skipped_entries(folder)
    if skipped:
        reasons = ", ".join(f"{what}: {number}" for what, number in skipped.items())
        total = sum(skipped.values())
        print(f"gad: note: {folder} has {len(images)} images; left out: {total} ({reasons})", file=sys.stderr)
    return images


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
    files = [path for path in outputs if path is not None]
    to_write = [path.resolve() for path in files]
    taken = {path for path in map(Path.resolve, inputs) if path in to_write}  # of maybe a million inputs
    for path, resolved in zip(files, to_write, strict=True):
        if resolved in taken:
            raise InputError(f"cannot write {path}: it is used twice; give each output a name of its own")
        taken.add(resolved)
        if path.exists() and not path.is_file():
            raise InputError(f"cannot write {path}: it is no regular file; give the name of a file")
        folder = path.resolve().parent
        while not folder.exists():
            folder = folder.parent
        with writing(path), tempfile.TemporaryFile(dir=folder):
            pass


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], left: Container[str] = ()) -> None:
    """Print aligned columns to stdout: the first and those named in `left` to the left, the others right."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    to_left = [i == 0 or name in left for i, name in enumerate(header)]
    for row in table:
        cells = zip(row, widths, to_left, strict=True)
        print("  ".join(c.ljust(w) if first else c.rjust(w) for c, w, first in cells).rstrip())
