"""Finished pieces of an experiment on disk, so that a run that was stopped goes on where it was.

A piece, a unit, is one experiment on one category and network, or a part of that. Its file is named by the
hash of all that decides its content: features, parameters, the library's code and the numerical packages. So
a unit is only used again where computing it again would give the same.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gad_core.outputs import write_json

PACKAGES = ("numpy", "scipy", "scikit-learn")
"""Packages that compute the numbers of the experiments."""

DIGITS = 10
"""Significant digits of a stored number: more than is meaningful, fewer than differ by rounding."""

_LIBRARY = Path(__file__).resolve().parents[1]
_WITHOUT_INFLUENCE = ("cli", "figures")


@dataclass(frozen=True)
class Unit:
    """A piece of work.

    Parameters
    ----------
    experiment, backbone, category : str
        What is computed on what; several categories are joined by "+".
    parameters : mapping
        Keyword arguments of the experiment, as JSON can write them.
    inputs : tuple of str
        Hashes of all that the experiment is given.
    """

    experiment: str
    backbone: str
    category: str
    parameters: Mapping[str, Any]
    inputs: tuple[str, ...]

    def key(self) -> str:
        """Hash all that decides the unit's rows, as 64 hexadecimal digits."""
        content = {**asdict(self), "code": code_sha256(), "versions": versions()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class UnitStore:
    """Rows of finished units in a folder, one JSON file each, written whole or not at all.

    Parameters
    ----------
    folder : pathlib.Path
        Made when the first unit is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, unit: Unit) -> Path:
        """Path of a unit's file, there or not."""
        return self.folder / f"{unit.experiment}-{unit.backbone}-{unit.category}-{unit.key()[:16]}.json"

    def get(self, unit: Unit) -> list[dict[str, Any]] | None:
        """Read a unit's rows; None if they are not there, or damaged, of which a warning tells."""
        path = self.path(unit)
        try:
            content = json.loads(path.read_text("utf-8"))
            rows: list[dict[str, Any]] = content["rows"]
            if content["key"] == unit.key() and isinstance(rows, list):
                return rows
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            pass
        warnings.warn(
            f"the finished work {path} is damaged; it is not used, but done again",
            RuntimeWarning,
            stacklevel=2,
        )
        return None

    def put(self, unit: Unit, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Write a unit's rows, and give them as `get` will, with numbers rounded to `DIGITS`."""
        rows = [{name: _rounded(value) for name, value in row.items()} for row in rows]
        write_json(self.path(unit), {"key": unit.key(), **asdict(unit), "rows": rows})
        return rows


def versions() -> dict[str, str]:
    """Versions of the packages that compute the numbers."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


@functools.cache
def code_sha256() -> str:
    """Hash the library's source, but for what only reads options or draws; 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(_LIBRARY.rglob("*.py")):
        name = path.relative_to(_LIBRARY)
        if name.parts[0] not in _WITHOUT_INFLUENCE:
            digest.update(f"{name.as_posix()}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
