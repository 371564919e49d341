"""Which of OpenVINO's kernels compute the convolutions: blocked ones, where those are faster.

On processors without AVX-512 OpenVINO has two kinds of kernels for float32. Its own choice is the one for
maps whose channels come last ("brgconv_avx2"); the other is for maps in blocks of eight channels. Blocked
ones are faster for networks of depthwise and 1 x 1 convolutions (EfficientNet, MobileNet) and slower for most
others; `python -m benchmarks kernels` measures it. OpenVINO reads what a convolution prefers from the
attribute ``primitives_priority`` of a written model.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np

Kernels = Literal["default", "blocked"]
"""OpenVINO's own choice, or kernels for maps in blocks of channels."""

CHANNELS_LAST = "brgconv_avx2"
"""How the names of the kernels begin that blocked ones may be faster than."""

PRIORITY = "cpu:jit_avx2_1x1,cpu:jit_avx2_dw,cpu:jit_avx2"
"""The blocked kernels: of 1 x 1, depthwise and all other convolutions."""

CONVOLUTIONS = ("Convolution", "GroupConvolution")


def best_kernels(model: Any) -> Kernels:
    """Decide which kernels are best for a network on this processor.

    Parameters
    ----------
    model : openvino.Model
        The network.

    Returns
    -------
    {"default", "blocked"}
        "blocked" if the processor knows them, and the network has depthwise convolutions and no dense layers:
        ConvNeXt has both, and for its dense layers each map would have to be reordered.
    """
    kinds = {operation.get_type_name() for operation in model.get_ops()}
    inverted_residuals = "GroupConvolution" in kinds and "MatMul" not in kinds
    return "blocked" if inverted_residuals and blocked_kernels_known() else "default"


@functools.cache
def blocked_kernels_known() -> bool:
    """Whether OpenVINO computes a 1 x 1 convolution of float32 by a kernel of AVX2 on this processor."""
    from openvino import Model
    from openvino import opset13 as operations

    maps = operations.parameter([1, 8, 8, 8], np.float32)
    weights = operations.constant(np.ones((8, 8, 1, 1), np.float32))
    convolution = operations.convolution(maps, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    return any(name.startswith(CHANNELS_LAST) for name in used_kernels(Model([convolution], [maps])))


def used_kernels(model: Any) -> set[str]:
    """Give the names of the kernels that OpenVINO computes a model's operations with, in float32.

    Parameters
    ----------
    model : openvino.Model
        Any model.

    Returns
    -------
    set of str
        Such as ``jit_avx2_1x1_f32``.
    """
    import openvino

    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    operations = compiled.get_runtime_model().get_ops()
    return {str(operation.get_rt_info()["primitiveType"].value) for operation in operations}


def with_kernels(model: Any, kernels: Kernels) -> Any:
    """Let a model ask for kernels for its convolutions.

    Parameters
    ----------
    model : openvino.Model
        Any model; it stays as it is.
    kernels : {"default", "blocked"}
        From `best_kernels`.

    Returns
    -------
    openvino.Model
        The same network. Other kernels sum in another order, so its numbers differ in the last digits.
    """
    if kernels == "default":
        return model
    import openvino

    with tempfile.TemporaryDirectory() as name:
        graph, weights = Path(name) / "model.xml", Path(name) / "model.bin"
        openvino.serialize(model, graph, weights)
        root = ElementTree.fromstring(graph.read_bytes())
        values = np.fromfile(weights, np.uint8)
    for layer in root.iter("layer"):
        if layer.get("type") in CONVOLUTIONS:
            _ask_for(layer, PRIORITY)
    return openvino.Core().read_model(ElementTree.tostring(root), openvino.Tensor(values))


def _ask_for(layer: ElementTree.Element, priority: str) -> None:
    information = layer.find("rt_info")
    if information is None:
        information = ElementTree.SubElement(layer, "rt_info")
    ElementTree.SubElement(information, "attribute", name="primitives_priority", version="0", value=priority)
