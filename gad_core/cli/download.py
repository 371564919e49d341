"""``gad download``: the official MVTec AD archive."""

from __future__ import annotations

import argparse

from gad_core.datasets.download import download_mvtec


def run(args: argparse.Namespace) -> None:
    """Show the licence, fetch the archive, unpack the categories."""
    root = download_mvtec(
        args.root, args.category or None, keep_archive=args.keep_archive, progress=not args.quiet
    )
    print(f"MVTec AD is in {root}")
