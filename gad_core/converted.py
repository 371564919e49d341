"""Networks that were converted to OpenVINO, kept on disk: the next run starts in a second, without torch."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from gad_core.files import replacing
from gad_core.openvino_graph import as_bytes, from_bytes

FORMAT = 3
"""Version of how networks are converted; a change makes older files unknown."""


def kept_model(folder: Path | None, recipe: Mapping[str, object], convert: Callable[[], Any]) -> Any:
    """Read a converted network, or convert it and keep it.

    Parameters
    ----------
    folder : pathlib.Path or None
        Where converted networks are kept; None keeps nothing.
    recipe : mapping
        All that decides the network, as JSON can write it.
    convert : callable
        Gives the openvino.Model.

    Returns
    -------
    openvino.Model
        The network.
    """
    if folder is None:
        return convert()
    import openvino

    content = {"format": FORMAT, "openvino": openvino.__version__, **recipe}
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path = folder / f"{key}.safetensors"
    model = _read(path, key)
    if model is None:
        model = convert()
        _write(path, key, model)
    return model


def _read(path: Path, key: str) -> Any:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata, graph, weights = file.metadata(), file.get_tensor("graph"), file.get_tensor("weights")
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError) as error:
        return _damaged(path, str(error))
    if metadata != {"key": key, "sha256": _sha256(graph, weights)}:
        return _damaged(path, "its checksum is another")
    return from_bytes(graph, weights)


def _write(path: Path, key: str, model: Any) -> None:
    graph, weights = as_bytes(model)
    with replacing(path) as temporary:
        metadata = {"key": key, "sha256": _sha256(graph, weights)}
        save_file({"graph": graph, "weights": weights}, temporary, metadata)


def _sha256(*parts: np.ndarray) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.size} ".encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _damaged(path: Path, reason: str) -> None:
    warnings.warn(
        f"the kept network {path} is damaged ({reason}); it is not used, but converted again",
        RuntimeWarning,
        stacklevel=2,
    )
