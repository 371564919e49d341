"""Fitted detectors as files: safetensors with JSON metadata, checksummed, without pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save as to_safetensors

import gad_core
from gad_core.detector import GaussianDetector
from gad_core.errors import InputError
from gad_core.files import replacing
from gad_core.gaussian import Gaussian

FORMAT = "gad-core model 1"
_PARTS = ("location", "components", "variances", "residual_variance", "degrees_of_freedom", "shrinkage")


def save_model(path: str | os.PathLike[str], detector: GaussianDetector, extractor: Any = None) -> None:
    """Write a fitted detector to a safetensors file.

    Parameters
    ----------
    path : path-like
        The file to write; it is written whole or not at all.
    detector : GaussianDetector
        Fitted, with a threshold.
    extractor : FeatureExtractor, optional
        The extractor of its features. Its fingerprint (backbone, weights, levels, resize) is stored, so that
        `check_extractor` can refuse features of another kind; so is a random network's calibration. A
        detector that was loaded keeps what its file says.

    Raises
    ------
    InputError
        If the detector is not fitted, or no longer has the parameters that it was fitted with, or the file
        cannot be written.
    """
    if not hasattr(detector, "threshold_"):  # finds it, if it follows from streamed moments
        raise InputError("only a detector with Gaussians and a threshold can be saved: fit it first")
    detector._require_as_fitted()
    tensors = _tensors(detector)
    stored = getattr(detector, "extractor_", None) if extractor is None else _described(extractor)
    if stored:
        tensors |= {f"calibration/{name}": a for name, a in stored["calibration"].items()}
    metadata = {
        "format": FORMAT,
        "gad_core": gad_core.__version__,
        "parameters": _plain(detector.get_params()),
        "n_features_in": int(detector.n_features_in_),
        "threshold": float(detector.threshold_),
        "left_out": getattr(detector, "left_out_", 0),
        "extractor": stored and stored["fingerprint"],
    }
    metadata["sha256"] = _digest(tensors, metadata)
    content = to_safetensors(tensors, {"gad": json.dumps(metadata, sort_keys=True)})
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot write the model {path}: {error.strerror or error}") from error


def load_model(path: str | os.PathLike[str]) -> GaussianDetector:
    """Read a detector that `save_model` wrote; also available as ``gad_core.load``.

    Parameters
    ----------
    path : path-like
        The model file.

    Returns
    -------
    GaussianDetector
        Fitted. Its attribute ``extractor_`` holds the ``fingerprint`` and the ``calibration`` of the
        extractor that it was saved with, or is None; ``left_out_`` is the number of images that could not be
        read when it was fitted on several workers.

    Raises
    ------
    InputError
        If there is no such file, or it is damaged or no model.
    """
    tensors, metadata = _read(Path(path))
    parameters = metadata["parameters"]
    parameters["levels"] = (
        {int(k): v for k, v in parameters["levels"].items()} if parameters["levels"] else None
    )
    parameters["reduce"] = tuple(parameters["reduce"]) if parameters["reduce"] else None
    detector = GaussianDetector(**parameters)
    detector._start_fit(metadata["n_features_in"])
    detector.gaussians_ = {
        level: _gaussian(tensors, level)
        for level in detector.columns_  # the levels in the predictor's own order
    }
    detector._set_threshold(metadata["threshold"])
    detector.left_out_ = metadata.get("left_out", 0)  # older files do not say
    if "calibration_distances" in tensors:
        detector.calibration_distances_ = tensors["calibration_distances"]
    calibration = {
        name.removeprefix("calibration/"): a for name, a in tensors.items() if name.startswith("calibration/")
    }
    fingerprint = metadata["extractor"]
    detector.extractor_ = fingerprint and {"fingerprint": fingerprint, "calibration": calibration}
    return detector


def _tensors(detector: GaussianDetector) -> dict[str, NDArray]:
    tensors = {
        f"gaussian/{level}/{part}": np.asarray(getattr(gaussian, part), dtype=np.float64, order="C")
        for level, gaussian in detector.gaussians_.items()
        for part in _PARTS
    }
    if hasattr(detector, "calibration_distances_"):
        tensors["calibration_distances"] = np.ascontiguousarray(detector.calibration_distances_)
    return tensors


def _gaussian(tensors: Mapping[str, NDArray], level: int | str) -> Gaussian:
    location, components, variances, residual, degrees_of_freedom, shrinkage = (
        tensors[f"gaussian/{level}/{part}"] for part in _PARTS
    )
    return Gaussian(
        location,
        components,
        variances,
        residual if residual.ndim else float(residual),
        int(degrees_of_freedom),
        float(shrinkage),
    )


def _described(extractor: Any) -> dict[str, Any]:
    return {
        "fingerprint": extractor.fingerprint(),
        "calibration": dict(getattr(extractor, "calibration_", None) or {}),
    }


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in parameters.items()}
    plain["levels"] = (
        {str(k): int(v) for k, v in parameters["levels"].items()} if parameters["levels"] else None
    )
    if not isinstance(parameters["random_state"], int | None):
        plain["random_state"] = None  # a generator object has no text form; it is not needed to score
    return plain


def _read(path: Path) -> tuple[dict[str, NDArray], dict[str, Any]]:
    if not path.is_file():
        raise InputError(f"no such model: {path}; make one with gad fit, or detector.save")
    try:
        path.open("rb").close()  # safetensors says of a file without permission that there is none
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"the model {path} cannot be read ({reason}); check its permissions") from error
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get("gad")
            if text is None:
                raise InputError(
                    f"{path} is no gad-core model (perhaps a weights file): give a file of gad fit"
                )
            metadata = json.loads(text)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except InputError:
        raise
    except Exception as error:  # damaged headers raise any of half a dozen types
        raise InputError(f"the model {path} is damaged or no model: fit and save it again") from error
    if not isinstance(metadata, dict):
        raise InputError(f"the model {path} is damaged or no model: fit and save it again")
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"the model {path} has format {metadata.get('format')!r}; this version reads {FORMAT!r}"
        )
    if metadata.pop("sha256", None) != _digest(tensors, metadata):
        raise InputError(f"the model {path} is damaged (its checksum differs): fit and save it again")
    return tensors, metadata


def _digest(tensors: Mapping[str, NDArray], metadata: Mapping[str, Any]) -> str:
    """Hash all that a model file says: its tensors and the metadata besides the hash itself."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape};".encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()
