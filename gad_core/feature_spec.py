"""All that decides the features: the network, its weights and its input, as an extractor's parameters say."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core import __version__
from gad_core.backbones import Backbone
from gad_core.calibration import Calibration
from gad_core.execution import Execution
from gad_core.fingerprint import calibration_sha256
from gad_core.resize import RESIZE_RULE
from gad_core.runtime import choose_device, whole_number
from gad_core.weights import NAMED, WeightsFile


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """What decides the features of an image.

    Parameters
    ----------
    backbone : Backbone
        The network.
    levels : tuple of int
        The asked levels in ascending order.
    weights : {"imagenet", "embedded", "random"} or path-like
        What the weights are called.
    file : WeightsFile or None
        The file they are in; None for random ones.
    seed : int
        Seed of random weights.
    size : int
        Side of the network's input in pixels.
    device : str
        As in `gad_core.runtime.choose_device`.
    execution : Execution
        What runs the network, and with which numbers.
    calibration : mapping or None
        Running statistics for the batch norms of random weights, if there are any.
    """

    backbone: Backbone
    levels: tuple[int, ...]
    weights: str | os.PathLike[str]
    file: WeightsFile | None
    seed: int
    size: int
    device: str
    execution: Execution
    calibration: Calibration | None = None

    @property
    def depth(self) -> int:
        """The deepest level: the network is built up to it, and a cache entry holds all levels up to it."""
        return max(self.levels)

    def network(self) -> tuple[Backbone, int, WeightsFile | None, int]:
        """Give what `gad_core.runtime.load_network` builds a network from, before its calibration."""
        return self.backbone, self.depth, self.file, whole_number(self.seed, "seed", 0)

    def columns(self) -> NDArray[np.bool_]:
        """Mark the asked levels' columns among those of all levels up to the deepest."""
        widths = self.backbone.widths
        return np.concatenate([np.full(widths[i], i + 1 in self.levels) for i in range(self.depth)])

    def fingerprint(self) -> dict[str, Any]:
        """Describe the features as JSON can write it; see ``FeatureExtractor.fingerprint``."""
        return {
            "backbone": self.backbone.name,
            "weights": str(self.weights) if self.weights in NAMED else str(Path(self.weights).resolve()),
            "weights_sha256": None if self.file is None else self.file.sha256,
            "levels": list(self.levels),
            "size": self.size,
            "resize": RESIZE_RULE,
            "seed": self.seed if self.file is None else None,
            "calibration_sha256": calibration_sha256(self.calibration),
            **dataclasses.asdict(self.execution),
            "gad_core": __version__,
        }

    def recipe(self) -> dict[str, Any]:
        """Give what decides a cache entry besides the image: it holds all levels up to the deepest."""
        ignored = ("weights", "levels", "gad_core")
        recipe = {key: value for key, value in self.fingerprint().items() if key not in ignored}
        # torch draws the random weights, and another version may draw others.
        torch = importlib.metadata.version("torch") if self.weights == "random" else None
        # What else than float32 is rounded where, each kind of device decides.
        full = recipe["precision"] == "fp32" or recipe["runtime"] == "openvino"
        device = None if full else choose_device(self.device).type
        return {**recipe, "torch": torch, "device": device, "depth": self.depth}
