"""The network alone, and with the cheapest activation function: how much of its time is no product at all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.pipeline import DEPTH, NAME, SIZE
from gad_core.backbones import build, get_backbone
from gad_core.openvino_graph import convert, quicker_in_blocks
from gad_core.openvino_runtime import CompiledNetwork, supports_bf16

IMAGES, ROUNDS = 16, 9


def activations() -> Iterator[dict[str, Any]]:
    """Milliseconds an image of the network with its own activation function, Swish, and with ReLU instead."""
    network = build(get_backbone(NAME), DEPTH, seed=0).eval()
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, SIZE, SIZE, 3)).astype(np.uint8)
    for precision in ("fp32", "bf16") if supports_bf16() else ("fp32",):
        in_blocks = quicker_in_blocks(precision)
        runs = []
        for change in (lambda _: None, _with_relu):
            model = convert(network, SIZE, in_blocks=in_blocks)
            change(model)
            runs.append(_run(CompiledNetwork.compile(model, precision), images))
        swish, relu = _milliseconds(runs)
        yield {"precision": precision, "swish_ms": swish, "relu_ms": relu, "share": 1 - relu / swish}


def _with_relu(model: Any) -> None:
    from openvino import opset13 as operations

    found = [operation for operation in model.get_ordered_ops() if operation.get_type_name() == "Swish"]
    assert found, "OpenVINO calls the activation function by another name"
    for operation in found:
        relu = operations.relu(operation.input_value(0))
        for user in operation.output(0).get_target_inputs():
            user.replace_source_output(relu.output(0))


def _run(network: CompiledNetwork, images: np.ndarray) -> Callable[[], Any]:
    return lambda: network.start(images)()


def _milliseconds(runs: list[Callable[[], Any]]) -> list[float]:
    """Median milliseconds an image of each, run in turn; the first round is left out."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS + 1):
        for found, run in zip(seconds, runs, strict=True):
            start = time.perf_counter()
            run()
            found.append(time.perf_counter() - start)
    return [1e3 * statistics.median(found[1:]) / IMAGES for found in seconds]
