"""Results as JSON and CSV, written whole or not at all; an error names the file and the remedy."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gad_core.errors import InputError
from gad_core.files import replacing


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
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with writing(path), replacing(path) as temporary:
        # surrogateescape writes file names that are not UTF-8 as the bytes that they are.
        temporary.write_bytes(text.getvalue().encode("utf-8", errors="surrogateescape"))
