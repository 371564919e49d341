"""Networks in OpenVINO with channels in blocks, against channels last: which gain by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.timing import Comparison, compare
from gad_core.backbones import build, get_backbone
from gad_core.openvino_graph import convert, quicker_in_blocks
from gad_core.openvino_runtime import CompiledNetwork

NETWORKS = (
    "efficientnet_b0",
    "efficientnet_b4",
    "mobilenet_v3_large",
    "resnet18",
    "resnet50",
    "squeezenet1_1",
    "convnext_tiny",
    "embedded",
)
IMAGES = 8
SAME_FEATURES = 2e-6
"""Largest difference of features, of the largest: what float32 leaves open."""


def blocks() -> Iterator[Comparison | str]:
    """Compare the networks of each family; those that `Backbone.in_blocks` marks should gain."""
    if not quicker_in_blocks("fp32"):
        yield "channels in blocks: skipped, this processor lacks AVX2"
        return
    for name in NETWORKS:
        yield _compared(name)


def _compared(name: str) -> Comparison:
    backbone = get_backbone(name)
    network = build(backbone, len(backbone.widths), seed=0).eval()
    size = backbone.input_size
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 3)).astype(np.uint8)

    def runs(in_blocks: bool) -> Callable[[], Any]:
        compiled = CompiledNetwork.compile(convert(network, size, in_blocks=in_blocks))
        return lambda: compiled.start(images)()[0]

    last, blocked = runs(False), runs(True)
    expected = last()
    error = np.max(np.abs(blocked() - expected)) / np.max(np.abs(expected))
    assert error < SAME_FEATURES, f"{name}: features differ by {error:.1e}"
    return compare(name, last, blocked, target=1.0 if backbone.in_blocks else 0.0, pairs=9)
