"""Networks as OpenVINO graphs: converted from torch, averaged precisely, channels in blocks if quicker."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from gad_core.images import MEAN, STD

if TYPE_CHECKING:
    from torch import nn

TRACED_SIZE = 64
"""Side in pixels of the image that a network is traced with; the graph holds for every size."""

POOLING = "pooling_of_level"
"""How the names of the operations begin that average the maps."""

_IN_BLOCKS = ",".join(f"cpu:jit_{isa}{kind}" for isa in ("avx512", "avx2") for kind in ("_1x1", "_dw", ""))
"""The kernels whose channels lie in blocks, as OpenVINO calls them; the first that exists is taken."""


def convert(network: nn.Module, size: int, *, with_maps: bool = False, in_blocks: bool = False) -> Any:
    """Convert a network to OpenVINO, with normalisation before and pooling behind it.

    Parameters
    ----------
    network : torch.nn.Module
        Gives the list of maps, as from `gad_core.runtime.load_network` for the CPU.
    size : int
        Side of the input in pixels.
    with_maps : bool
        Whether the outputs are the maps instead of their averages.
    in_blocks : bool
        Whether to ask for kernels whose channels lie in blocks; see `quicker_in_blocks`.

    Returns
    -------
    openvino.Model
        Takes (1, size, size, 3) uint8 images; gives the averages side by side, or one map a level.
    """
    import openvino
    import torch

    # torch advises against tracing, but it is the way that OpenVINO's own converter takes.
    quiet = warnings.catch_warnings(action="ignore", category=FutureWarning)
    with torch.no_grad(), torch.inference_mode(False), quiet:
        example = torch.zeros(1, 3, TRACED_SIZE, TRACED_SIZE)
        traced = torch.jit.trace(network, example, check_trace=False, strict=False)  # it returns a list
    model = openvino.convert_model(traced, input=[1, 3, size, size])
    steps = openvino.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    numbers = steps.input().preprocess().convert_element_type(openvino.Type.f32)
    numbers.mean([255 * value for value in MEAN]).scale([255 * value for value in STD])
    model = steps.build()
    _average_rows_first(model)
    if not with_maps:
        model = _pooled(model)
    return _in_blocks(model) if in_blocks else model


def quicker_in_blocks(precision: str) -> bool:
    """Whether convolutions are quicker here with channels in blocks: in float32 on processors with AVX2.

    Left alone, OpenVINO takes kernels with the channels last. Networks of 1 x 1 and depthwise convolutions
    take as much time or less with the channels in blocks of one register, eight with AVX2 and sixteen with
    AVX-512; others gain little or lose (see `gad_core.backbones.Backbone.in_blocks`). bfloat16 keeps the
    channels last: EfficientNet-B4 gained nothing, and some processors have instructions that only those
    kernels use.
    """
    return precision == "fp32" and "AVX2" in vector_extensions()


def vector_extensions() -> list[str]:
    """Name the instructions on long vectors that the processor has: "AVX2", "AVX-512"."""
    has = set(instruction_sets())
    # NumPy's names, old and new.
    names = {"AVX2": {"AVX2", "X86_V3"}, "AVX-512": {"AVX512F", "AVX512_SKX", "X86_V4"}}
    return [name for name, numpys in names.items() if has & numpys]


def instruction_sets() -> list[str]:
    """Name all instruction sets that NumPy knows and the processor has, in NumPy's words."""
    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    return sorted({*extensions.get("baseline", ()), *extensions.get("found", ())})


def as_bytes(model: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Write a model as its graph (XML) and its weights."""
    import openvino

    with tempfile.TemporaryDirectory() as name:
        xml, binary = Path(name) / "model.xml", Path(name) / "model.bin"
        openvino.serialize(model, xml, binary)
        return np.fromfile(xml, dtype=np.uint8), np.fromfile(binary, dtype=np.uint8)


def from_bytes(graph: NDArray[np.uint8], weights: NDArray[np.uint8]) -> Any:
    """Read a model that `as_bytes` wrote."""
    import openvino

    return openvino.Core().read_model(graph.tobytes(), openvino.Tensor(weights))


def _pooled(model: Any) -> Any:
    """Replace the outputs of a model, which are maps, by their averages side by side."""
    import openvino
    from openvino import opset13 as operations

    averages = [
        operations.squeeze(_average(result.input_value(0), f"{POOLING}{i}"), [2, 3])
        for i, result in enumerate(model.get_results())
    ]
    return openvino.Model([operations.concat(averages, 1)], model.get_parameters())


def _average_rows_first(model: Any) -> None:
    """Replace averages over whole maps, as in squeeze-and-excitation, by those of `_average`."""
    from openvino import opset13 as operations

    for operation in model.get_ordered_ops():
        if operation.get_type_name() != "ReduceMean" or not _is_over_maps(operation):
            continue
        average = _average(operation.input_value(0), operation.get_friendly_name())
        if not operation.get_attributes()["keep_dims"]:
            average = operations.squeeze(average, [2, 3])
        for user in operation.output(0).get_target_inputs():
            user.replace_source_output(average.output(0))
    model.validate_nodes_and_infer_types()


def _is_over_maps(operation: Any) -> bool:
    axes, rank = operation.input_value(1).get_node(), len(operation.input_value(0).get_shape())
    constant = axes.get_type_name() == "Constant"
    return constant and rank == 4 and sorted(int(axis) % 4 for axis in axes.get_data().ravel()) == [2, 3]


def _average(maps: Any, name: str) -> Any:
    """Average (1, c, h, w) maps to (1, c, 1, 1): each row, then the rows.

    One sum over tens of thousands of float32 numbers loses digits where OpenVINO sums them one by one, as it
    does with channels in blocks: there EfficientNet-B4's first level was wrong in the fourth digit. Sums of a
    hundred are not. Two ReduceMean would be merged into one again, two AvgPool are not.
    """
    from openvino import opset13 as operations

    height, width = list(maps.get_shape())[2:]
    for step, window in (("rows", (1, width)), ("columns", (height, 1))):
        maps = operations.avg_pool(maps, window, (0, 0), (0, 0), window, exclude_pad=False)
        maps.set_friendly_name(f"{name}/{step}")
    return maps


def _in_blocks(model: Any) -> Any:
    """Ask for kernels with channels in blocks; OpenVINO takes the wish from the graph's XML only."""
    graph, weights = as_bytes(model)
    root = ElementTree.fromstring(graph.tobytes())
    for layer in root.iter("layer"):
        if layer.get("type") in ("Convolution", "GroupConvolution"):
            info = layer.find("rt_info")
            if info is None:
                info = ElementTree.Element("rt_info")
                layer.insert(1, info)  # behind the data
            ElementTree.SubElement(
                info, "attribute", name="primitives_priority", version="0", value=_IN_BLOCKS
            )
    return from_bytes(np.frombuffer(ElementTree.tostring(root), dtype=np.uint8), weights)
