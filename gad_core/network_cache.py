"""Networks as OpenVINO compiled them, kept on disk: the next run starts without torch."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from gad_core.errors import InputError
from gad_core.files import replacing
from gad_core.openvino_runtime import CompiledNetwork, processor

FORMAT = 4
"""Version of how networks are converted and kept; a change makes older files unknown."""


def kept_network(
    folder: Path | None,
    recipe: Mapping[str, object],
    compiled: Callable[[], CompiledNetwork],
    imported: Callable[[NDArray[np.uint8]], CompiledNetwork],
) -> CompiledNetwork:
    """Read a compiled network, or compile it and keep it.

    Parameters
    ----------
    folder : pathlib.Path or None
        Where compiled networks are kept; None keeps nothing.
    recipe : mapping
        All that decides the network but the machine, as JSON can write it.
    compiled : callable
        Converts and compiles the network.
    imported : callable
        Makes a network of what `CompiledNetwork.exported` gave.

    Returns
    -------
    CompiledNetwork
        The network.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    if folder is None:
        return compiled()
    import openvino

    content = {"format": FORMAT, "openvino": openvino.__version__, "processor": processor(), **recipe}
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path = folder / f"{key}.safetensors"
    network = _read(path, key, imported)
    if network is None:
        network = compiled()
        _write(path, key, network.exported())
    return network


def _read(
    path: Path, key: str, imported: Callable[[NDArray[np.uint8]], CompiledNetwork]
) -> CompiledNetwork | None:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata, content = file.metadata(), file.get_tensor("compiled")
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError) as error:
        _warn(path, f"is damaged ({error})")
        return None
    # Checked first: OpenVINO takes damaged weights without a word.
    if metadata != {"key": key, "sha256": _sha256(content)}:
        _warn(path, "is damaged (its checksum is another)")
        return None
    try:
        return imported(content)
    except RuntimeError as error:
        _warn(path, f"was made for another processor or by another OpenVINO ({_last_line(error)})")
        return None


def _write(path: Path, key: str, content: NDArray[np.uint8]) -> None:
    metadata = {"key": key, "sha256": _sha256(content)}
    try:
        with replacing(path) as temporary:
            save_file({"compiled": content}, temporary, metadata)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"the compiled network cannot be kept in {path.parent} ({error}): make room there, name another "
            "folder (cache=FOLDER, or the environment variable GAD_CACHE), or go without (cache=None)"
        ) from error


def _sha256(content: NDArray[np.uint8]) -> str:
    return hashlib.sha256(content.data).hexdigest()


def _last_line(error: RuntimeError) -> str:
    """Take the reason out of OpenVINO's messages, which begin with the places in its source."""
    return next(
        (line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "no reason given"
    )


def _warn(path: Path, problem: str) -> None:
    warnings.warn(
        f"the kept network {path} {problem}; it is not used, but made again", RuntimeWarning, stacklevel=4
    )
