"""What the machine is and how fast it can be: the floors that all other numbers are compared with."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np

REPEATS = 5


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system and versions."""
    import openvino
    import torch

    return {
        "processor": processor(),
        "model": processor_model(),
        "cores": joblib.cpu_count(),
        "extensions": extensions(),
        "memory_gb": round(_memory_bytes() / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "openvino": openvino.__version__.partition("-")[0],
    }


def processor() -> str:
    """Name the processor as the system does."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def processor_model() -> str:
    """Tell the processor's family and model, which rented machines leave out of its name; else empty text."""
    found = _cpuinfo()
    return ", ".join(f"{key.split()[-1]} {found[key]}" for key in ("cpu family", "model") if key in found)


def _cpuinfo() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def extensions() -> list[str]:
    """Name the instructions that decide how fast a network runs."""
    from gad_core.openvino_graph import vector_extensions
    from gad_core.openvino_runtime import supports_bf16

    return [*vector_extensions(), *(["bfloat16"] if supports_bf16() else [])]


def _memory_bytes() -> int:
    import os

    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def best_seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Shortest of several runs, after one to warm up: a floor is what the machine can do undisturbed."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def product_rate(dtype: type[np.floating], sizes: tuple[int, ...] = (1024, 2048)) -> float:
    """Measure floating-point operations per second of a product of two square matrices on all cores.

    NumPy, torch and OpenVINO (float32 only) bring libraries of their own for it. Which is the fastest depends
    on the processor, by a factor of two on some; the fastest counts.
    """
    rates = []
    for n in sizes:
        a, b = (np.random.default_rng(seed).random((n, n)).astype(dtype) for seed in (0, 1))
        rates += [2 * n**3 / best_seconds(product) for product in _products(a, b)]
    return max(rates)


def _products(a: np.ndarray, b: np.ndarray) -> Iterator[Callable[[], object]]:
    """Give the same product as each library computes it."""
    import torch

    out = np.empty_like(a)
    yield lambda: np.matmul(a, b, out=out)
    tensors = (torch.from_numpy(a), torch.from_numpy(b))
    yield lambda: torch.matmul(*tensors, out=torch.from_numpy(out))
    if a.dtype == np.float32:
        yield _openvino_product(a, b)


def _openvino_product(a: np.ndarray, b: np.ndarray) -> Callable[[], object]:
    import openvino
    from openvino import opset13 as operations

    rows = operations.parameter(list(a.shape), np.float32)
    model = openvino.Model([operations.matmul(rows, operations.constant(b), False, False)], [rows])
    asked = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(model, "CPU", asked).create_infer_request()
    request.set_input_tensor(openvino.Tensor(a))
    return request.infer


def memory_rate(megabytes: int = 512) -> float:
    """Measure bytes per second of copying an array that no cache holds; read and written bytes count."""
    source = np.ones(megabytes * 2**20 // 8)
    target = np.empty_like(source)
    return 2 * source.nbytes / best_seconds(lambda: np.copyto(target, source))
