"""``gad info``: what is installed, and what would be used."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
from typing import Any

import gad_core
from gad_core.backbones import BACKBONES
from gad_core.cache import default_cache_folder
from gad_core.cli.common import print_table, require_writable
from gad_core.outputs import write_json
from gad_core.weights import checkpoint_path

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pillow", "safetensors")


def run(args: argparse.Namespace) -> None:
    """Print versions, folders and backbones."""
    require_writable(args.json)
    facts = collect()
    write_json(args.json, facts)
    for key in ("gad_core", "python", "data", "cache", "device", "runtime", "threads"):
        print(f"{key:12} {facts[key]}")
    for name, version in facts["packages"].items():
        print(f"{name:12} {version}")
    print()
    print_table(
        ("backbone", "levels", "pixels", "features", "weights"),
        [
            (
                b["name"],
                str(b["levels"]),
                str(b["size"]),
                str(b["features"]),
                "here" if b["here"] else "downloaded on first use",
            )
            for b in facts["backbones"]
        ],
    )


def collect() -> dict[str, Any]:
    """Facts about this installation as plain JSON data."""
    from joblib import cpu_count

    from gad_core.execution import choose_execution
    from gad_core.runtime import choose_device

    return {
        "gad_core": gad_core.__version__,
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "data": os.environ.get("GAD_DATA", "not set (environment variable GAD_DATA)"),
        "cache": str(default_cache_folder()),
        "device": str(choose_device("auto")),
        "runtime": choose_execution("auto").runtime,
        "threads": cpu_count(),
        "backbones": [
            {
                "name": name,
                "levels": len(backbone.widths),
                "size": backbone.input_size,
                "features": sum(backbone.widths),
                "here": checkpoint_path(backbone).is_file(),
            }
            for name, backbone in BACKBONES.items()
        ],
    }
