"""What decides the features, as a saved model states it, and the refusal to mix features of two kinds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gad_core.errors import InputError
from gad_core.weights import NAMED

_REMEDIES = {
    "backbone": "use the same network (--backbone)",
    "levels": "use the same levels (--levels)",
    "size": "use the same input size",
    "resize": "fit the model again with this version of gad-core",
    "weights_sha256": "give the same file with --weights, or fit the model again",
    "seed": "use the same seed, or weights from a file",
    "calibration_sha256": "restore the calibration that was saved with the model",
    "precision": "use the same precision (--precision), or fit the model again",
}
_BEFORE = {"precision": "fp32"}
"""What holds for models that were saved before the fingerprint named it."""


def calibration_sha256(calibration: Mapping[str, np.ndarray] | None) -> str | None:
    """Hash the running statistics of calibrated batch norms.

    Parameters
    ----------
    calibration : mapping of str to float32 array, or None
        As in ``FeatureExtractor.calibration_``.

    Returns
    -------
    str or None
        64 hexadecimal digits, whatever the order of the names; None without calibration.
    """
    if calibration is None:
        return None
    digest = hashlib.sha256()
    for name in sorted(calibration):
        values = np.ascontiguousarray(calibration[name], dtype="<f4")
        digest.update(f"{name} {values.shape}\n".encode())
        digest.update(values.data)
    return digest.hexdigest()


def require_same_features(fitted: Mapping[str, Any], present: Mapping[str, Any]) -> None:
    """Raise InputError unless two fingerprints describe the same features.

    The names of weights files and the versions of gad_core may differ, and so may the runtime in float32,
    where features are equal but for the last digits.

    Parameters
    ----------
    fitted : mapping
        ``FeatureExtractor.fingerprint()`` of the features that a model was fitted with.
    present : mapping
        That of the features it is to score.

    Raises
    ------
    InputError
        If they differ; the message says in what, and what to do.

    Examples
    --------
    >>> require_same_features({"size": 380}, {"size": 224})
    Traceback (most recent call last):
    ...
    gad_core.errors.InputError: the model was fitted with size 380, this is 224: use the same input size
    """
    remedies = dict(_REMEDIES)
    if fitted.get("precision", "fp32") != "fp32":
        remedies["runtime"] = "use the same runtime (--runtime), because each rounds elsewhere"
    for key, remedy in remedies.items():
        was, given = fitted.get(key, _BEFORE.get(key)), present.get(key, _BEFORE.get(key))
        if was != given:
            thing = key.replace("_", " ")
            raise InputError(
                f"the model was fitted with {thing} {_shown(was)}, this is {_shown(given)}: {remedy}"
            )


def require_float32(extractor: Any) -> None:
    """Raise InputError unless an extractor computes in float32, as maps and gradients always are.

    Parameters
    ----------
    extractor : FeatureExtractor
        What would compute them. Nothing is loaded.
    """
    if (precision := extractor.execution().precision) != "fp32":
        raise InputError(
            "maps and gradients are computed in float32, and their mean would not be the distance in "
            f'{precision}: use precision="fp32", for the fit too'
        )


def check_extractor(detector: Any, extractor: Any) -> None:
    """Raise InputError unless an extractor gives the features that a detector was fitted on.

    Parameters
    ----------
    detector : GaussianDetector
        Fitted. The levels and their widths are compared, and the fingerprint if it was loaded from a file
        that has one.
    extractor : FeatureExtractor
        What computes the features.

    Raises
    ------
    InputError
        If they do not match; the message says in what.
    """
    if not hasattr(detector, "gaussians_"):
        raise InputError("the detector is not fitted: call fit with features of normal images first")
    require_float32(extractor)
    described = getattr(detector, "extractor_", None)
    if described:
        require_same_features(described["fingerprint"], extractor.fingerprint())
    widths, columns = extractor.level_widths, detector.n_features_in_
    if detector.levels and dict(detector.levels) != widths:
        raise InputError(
            f"the detector was fitted on levels of widths {dict(detector.levels)}, this extractor gives "
            f"{widths}: use the extractor that gave its features"
        )
    if columns != sum(widths.values()):
        raise InputError(
            f"the detector was fitted on {columns} features, this extractor gives {sum(widths.values())}: "
            "use the extractor that gave them"
        )


def fitted_weights(fingerprint: Mapping[str, Any]) -> str:
    """Find the weights that a model was fitted with.

    Parameters
    ----------
    fingerprint : mapping
        ``FeatureExtractor.fingerprint()`` as the model has it. It names a weights file by where it was; its
        content is compared by `require_same_features`.

    Returns
    -------
    str
        "imagenet", "embedded", "random", or the path of a file that is there.

    Raises
    ------
    InputError
        If the file was moved or deleted.
    """
    weights = str(fingerprint["weights"])
    if weights not in NAMED and not Path(weights).is_file():
        raise InputError(
            f"the weights file that the model was fitted with was moved or deleted: {weights} (sha256 "
            f"{_shown(fingerprint['weights_sha256'])}); say where it is with --weights"
        )
    return weights


def _shown(value: object) -> str:
    if isinstance(value, str) and len(value) == 64:
        return f"{value[:12]}..."
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)
