"""Gaussian anomaly detection on pretrained deep features.

Images become features, features a Gaussian, a Gaussian distances, and distances verdicts (Rippel, Mertens,
König and Merhof, IEEE TIM 2021). What is named here is loaded when it is first used, so that importing the
package costs neither torch nor scikit-learn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from gad_core.datasets.embedded import embedded_features
    from gad_core.datasets.layout import MVTecDataset
    from gad_core.datasets.synthetic import synthesize
    from gad_core.detector import GaussianDetector
    from gad_core.errors import InputError
    from gad_core.explain.maps import score_map, score_maps
    from gad_core.feature_file import load_features
    from gad_core.features import FeatureExtractor
    from gad_core.gaussian import Gaussian, fit_gaussian
    from gad_core.model_file import load_model as load
    from gad_core.moments import Moments

_LAZY = {
    "FeatureExtractor": ("gad_core.features", "FeatureExtractor"),
    "Gaussian": ("gad_core.gaussian", "Gaussian"),
    "GaussianDetector": ("gad_core.detector", "GaussianDetector"),
    "InputError": ("gad_core.errors", "InputError"),
    "MVTecDataset": ("gad_core.datasets.layout", "MVTecDataset"),
    "Moments": ("gad_core.moments", "Moments"),
    "embedded_features": ("gad_core.datasets.embedded", "embedded_features"),
    "fit_gaussian": ("gad_core.gaussian", "fit_gaussian"),
    "load": ("gad_core.model_file", "load_model"),
    "load_features": ("gad_core.feature_file", "load_features"),
    "score_map": ("gad_core.explain.maps", "score_map"),
    "score_maps": ("gad_core.explain.maps", "score_maps"),
    "synthesize": ("gad_core.datasets.synthetic", "synthesize"),
}

__all__ = [
    "FeatureExtractor",
    "Gaussian",
    "GaussianDetector",
    "InputError",
    "MVTecDataset",
    "Moments",
    "__version__",
    "embedded_features",
    "fit_gaussian",
    "load",
    "load_features",
    "score_map",
    "score_maps",
    "synthesize",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LAZY[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value  # found at once the next time
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
