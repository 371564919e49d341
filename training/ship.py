"""Put the exported weights of a run into the package, with an entry in its manifest."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path

from safetensors import safe_open

from gad_core.errors import InputError
from gad_core.files import replacing, sha256
from gad_core.manifest import DATA
from gad_core.weights import EMBEDDED

CHOSEN_ON = (
    "the route, distil or classify: bottle, screw and transistor of MVTec AD. Which distilled variant: AUROC "
    "on the data set of gad synthesize, as it is and with the good test images 8 % darker or brighter. That "
    "the exposure matters was known from the screws of MVTec AD: see training/README.md"
)


def ship(exported: Path, command: str) -> None:
    """Copy an exported file of weights into the package and describe it.

    Parameters
    ----------
    exported : pathlib.Path
        From `training.export.export`.
    command : str
        The command that made it.
    """
    if not exported.is_file():
        raise InputError(f"{exported} is missing: export that variant first")
    target, manifest = DATA / EMBEDDED, DATA / "manifest.json"
    with safe_open(exported, framework="pt") as file:
        facts = file.metadata()
    with replacing(target) as temporary:
        shutil.copyfile(exported, temporary)
    entry = {
        "licence": "BSD-3-Clause (LICENSE), as the code; its teacher's weights are under Apache 2.0",
        "source": "learned from pictures that training/procedural draws and the maps that EfficientNet-B4 "
        "with ImageNet weights (TensorFlow's) gives for them; no photograph was among the pictures",
        "command": command,
        "date": datetime.date.fromtimestamp(exported.stat().st_mtime).isoformat(),
        "made_from": {key: json.loads(value) for key, value in facts.items()},
        "chosen_on": CHOSEN_ON,
        "sha256": sha256(target),
        "bytes": target.stat().st_size,
    }
    files = json.loads(manifest.read_text("utf-8"))["files"]
    files[EMBEDDED] = entry
    with replacing(manifest) as temporary:
        temporary.write_text(json.dumps({"files": dict(sorted(files.items()))}, indent=1) + "\n", "utf-8")
