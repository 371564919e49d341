"""OpenVINO's own choice of kernels against blocked ones, network alone, one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.timing import Comparison, compare
from gad_core.backbones import build, get_backbone
from gad_core.openvino_kernels import Kernels, best_kernels, blocked_kernels_known, with_kernels
from gad_core.openvino_runtime import convert

NETWORKS = {"efficientnet_b4": 380, "mobilenet_v3_large": 224, "embedded": 224, "resnet18": 224,
            "convnext_tiny": 224}  # fmt: skip
IMAGES = 4


def kernels() -> Iterator[Comparison | str]:
    """Compare on each network; random weights, which cost the same."""
    if not blocked_kernels_known():
        yield "OpenVINO's own choice of kernels is kept on this processor"
        return
    for name, size in NETWORKS.items():
        backbone = get_backbone(name)
        model = convert(build(backbone, len(backbone.widths), seed=0).eval(), size, kernels="default")
        blocked, default = _runs(model, "blocked", size), _runs(model, "default", size)
        if best_kernels(model) == "blocked":
            yield compare(f"{name}, {size} px: blocked, not default", default, blocked, target=1.0, pairs=7)
        else:
            yield compare(f"{name}, {size} px: default, not blocked", blocked, default, target=1.0, pairs=7)


def _runs(model: Any, which: Kernels, size: int) -> Callable[[], object]:
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(with_kernels(model, which), "CPU", options)
    request = compiled.create_infer_request()
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    return lambda: [request.infer({0: image}) for _ in range(IMAGES)]
