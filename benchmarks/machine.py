"""What the machine is and how fast it can be: the floors that all other numbers are compared with."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
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


def product_rate(dtype: type[np.floating], n: int = 2048) -> float:
    """Measure floating-point operations per second of a product of two n x n matrices on all cores.

    NumPy and torch bring different libraries for it, and which is faster depends on the processor: the faster
    counts.
    """
    import torch

    a, b = (np.random.default_rng(seed).random((n, n)).astype(dtype) for seed in (0, 1))
    out = np.empty_like(a)
    tensors = [torch.from_numpy(array) for array in (a, b)]
    tensor_out = torch.from_numpy(out)
    ways = (lambda: np.matmul(a, b, out=out), lambda: torch.matmul(*tensors, out=tensor_out))
    return 2 * n**3 / min(best_seconds(way) for way in ways)


def memory_rate(megabytes: int = 512) -> float:
    """Measure bytes per second of copying an array that no cache holds; read and written bytes count."""
    source = np.ones(megabytes * 2**20 // 8)
    target = np.empty_like(source)
    return 2 * source.nbytes / best_seconds(lambda: np.copyto(target, source))
