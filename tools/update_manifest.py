"""Bring gad_core/data/manifest.json up to date with the files in that folder; no argument.

Checksums and sizes are measured. A new file gets the licence and source of its folder (KINDS); what else an
entry says is kept. An entry whose file is gone is removed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gad_core.files import replacing, sha256

DATA = Path(__file__).resolve().parents[1] / "gad_core" / "data"
MANIFEST = "manifest.json"
SUFFIXES = {".csv", ".json", ".npz", ".safetensors"}
KINDS = {
    "features": {
        "licence": "CC BY-NC-SA 4.0 (features/LICENSE)",
        "source": "computed from MVTec AD, (c) MVTec Software GmbH, by gad features; the images had "
        "been resized to 380 x 380 pixels by the paper's rule before",
    },
    "results": {
        "licence": "CC BY-NC-SA 4.0 (features/LICENSE)",
        "source": "computed by gad reproduce from the features that ship (results/README.md)",
    },
    "results/explain": {
        "licence": "CC BY-NC-SA 4.0 (features/LICENSE)",
        "source": "computed from MVTec AD, (c) MVTec Software GmbH, by gad audit or gad localise "
        "(results/explain/README.md)",
    },
    "results/speed": {
        "licence": "BSD-3-Clause",
        "source": "measured by python -m benchmarks.record (results/speed/README.md)",
    },
    "results/speed/peers.csv": {
        "licence": "CC BY-NC-SA 4.0 (features/LICENSE)",
        "source": "measured on MVTec AD, (c) MVTec Software GmbH, by python -m benchmarks.peers "
        "(results/speed/README.md)",
    },
    "paper_numbers.csv": {
        "licence": "facts, quoted with their source",
        "source": "Rippel, Mertens, König and Merhof, IEEE TIM 70 (2021), doi:10.1109/TIM.2021.3098381, "
        "Tables I, II, V and VIII, and the abstract of arXiv:2005.14140",
    },
    "peers.csv": {
        "licence": "facts, quoted with their source",
        "source": "tables in the README files of anomalib's models (github.com/open-edge-platform/anomalib, "
        "commit b723368)",
    },
    "peers_measured.csv": {
        "licence": "CC BY-NC-SA 4.0 (features/LICENSE)",
        "source": "measured on MVTec AD, (c) MVTec Software GmbH, by the project's owner; each row says how",
    },
}


def updated(data: Path, former: dict[str, Any]) -> dict[str, Any]:
    """Give the entries of all data files below a folder, sorted by name.

    Parameters
    ----------
    data : pathlib.Path
        The folder.
    former : dict
        The entries so far.

    Returns
    -------
    dict
        The entries by the files' paths below `data`.
    """
    found = (path for path in data.rglob("*") if path.suffix in SUFFIXES and path.name != MANIFEST)
    paths = sorted(path for path in found if "units" not in path.parts)  # unfinished work of gad reproduce
    return {name: _entry(path, name, former) for path in paths if (name := path.relative_to(data).as_posix())}


def _entry(path: Path, name: str, former: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in KINDS if name == kind or name.startswith(f"{kind}/")]
    if name not in former and not kinds:
        sys.exit(f"{name} has no licence and source yet: add its folder to KINDS in {__file__}")
    said = former.get(name) or KINDS[max(kinds, key=len)]
    return {**said, "sha256": sha256(path), "bytes": path.stat().st_size}


def main() -> None:
    """Rewrite the manifest."""
    path = DATA / MANIFEST
    files = updated(DATA, json.loads(path.read_text("utf-8"))["files"])
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"files": files}, indent=1) + "\n", "utf-8")
    print(f"{len(files)} files, {sum(entry['bytes'] for entry in files.values()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
