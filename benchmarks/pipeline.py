"""From 900 px PNG files to features of EfficientNet-B4: against eager torch, and against the floor."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import plain
from benchmarks.extraction import SHARED_WEIGHTS, write_images
from benchmarks.machine import best_seconds, memory_rate, product_rate
from benchmarks.timing import Comparison, compare
from gad_core import FeatureExtractor
from gad_core.backbones import build, get_backbone
from gad_core.decoding import decoded_batches
from gad_core.errors import InputError
from gad_core.execution import choose_execution
from gad_core.stages import STAGES

NAME, DEPTH, SIZE, PIXELS = "efficientnet_b4", 7, 380, 900
IMAGES = 96
"""About as many as a small test set of MVTec AD has (bottle: 83).

Both ways load their network for them anew. Ours takes longer to load, so the ratio rises with their number.
"""
TARGETS = {"fp32": 3.0, "bf16": 5.0}
SAME_FEATURES = {"fp32": 1e-4, "bf16": 5e-2}
ORIGINALS = SHARED_WEIGHTS.parent / "mvtec_original"
SHARE = 0.85
"""Share of the end-to-end time in which the network has to be at work."""


def pipeline() -> Iterator[Comparison | str]:
    """Compare end to end, in float32 and in bfloat16 where the processor has it."""
    weights = _weights()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), IMAGES, PIXELS)
        expected = plain.extract(NAME, weights, SIZE, DEPTH, paths)
        for precision in ("fp32", "bf16"):
            try:
                choose_execution("cpu", "openvino", precision)
            except InputError as error:
                yield f"{precision}: skipped, {error}"
                continue
            yield _compared(precision, weights, paths, expected)


def _compared(precision: str, weights: Path | None, paths: list[Path], expected: np.ndarray) -> Comparison:
    extractor = _extractor(weights, precision=precision)
    # Both ways load the network anew each time, ours from the cache: that is what a second run costs.
    with tempfile.TemporaryDirectory() as cache:

        def ours() -> np.ndarray:
            fresh = FeatureExtractor(**extractor.get_params()).set_params(cache=Path(cache))
            found = fresh.transform(paths)
            for entry in Path(cache).rglob("*.npz"):
                entry.unlink()  # the network stays, the features do not
            return found

        error = np.max(np.abs(ours() - expected)) / np.max(np.abs(expected))
        print(f"{precision}: features differ by at most {error:.1e} of the largest")
        assert error < SAME_FEATURES[precision], error
        return compare(
            f"{NAME} 1-{DEPTH}, {PIXELS} px PNG, {precision}",
            lambda: plain.extract(NAME, weights, SIZE, DEPTH, paths), ours,
            target=TARGETS[precision], pairs=5,
        )  # fmt: skip


def network_share() -> dict[str, float]:
    """Seconds of a run, and the share of it in which the network was at work; loading is left out."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), IMAGES, PIXELS)
        extractor = _extractor(_weights())
        with extractor.profiled() as times:
            extractor.transform(paths[:8])
            before, start = times.busy["network"], time.perf_counter()
            extractor.transform(paths)
            seconds = time.perf_counter() - start
            busy = times.busy["network"] - before
    return {"images": IMAGES, "seconds": seconds, "network": busy, "share": busy / seconds}


def stages() -> list[dict[str, Any]]:
    """Milliseconds an image of each stage, from MVTec's own files where they are, and from made-up ones."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        made_up = write_images(Path(folder), IMAGES, PIXELS)
        originals = sorted(path for path in ORIGINALS.rglob("*.png") if "ground_truth" not in path.parts)
        for source, paths in (("bottles as published", originals), ("made up", made_up)):
            if paths:
                repeated = (paths * IMAGES)[:IMAGES]
                rows += [{"images": source, **row} for row in _stages(repeated)]
    return rows


def _stages(paths: list[Path]) -> Iterator[dict[str, Any]]:
    extractor = _extractor(_weights())
    extractor.transform(paths[:8])
    with extractor.profiled() as times:
        extractor.transform(paths)
    for name in STAGES:
        if name != "loading" and name in times.busy:
            busy = times.busy[name]
            work = 1e3 * times.work[name] / len(paths) if name in times.work else None
            yield {"stage": name, "busy_ms": 1e3 * busy / len(paths), "processor_ms": work}


def floors() -> list[dict[str, Any]]:
    """Milliseconds an image that nothing can undercut on this machine, one row for each reason."""
    from torch.utils.flop_counter import FlopCounterMode

    network = build(get_backbone(NAME), DEPTH, seed=0)
    counter = FlopCounterMode(display=False)
    import torch

    with counter, torch.no_grad():
        network(torch.zeros(1, 3, SIZE, SIZE))
    flops, rate = counter.get_total_flops(), product_rate(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder), IMAGES, PIXELS)
        batches = [range(i, i + 8) for i in range(0, IMAGES, 8)]
        decoding = best_seconds(lambda: list(decoded_batches(paths, batches, SIZE, with_digests=False)))
    return [
        {"what": "operations of the network", "amount": flops / 1e9, "unit": "GFLOP"},
        {"what": "matrix products, float32", "amount": rate / 1e9, "unit": "GFLOP/s"},
        {"what": "matrix products, float64", "amount": product_rate(np.float64) / 1e9, "unit": "GFLOP/s"},
        {"what": "copying memory", "amount": memory_rate() / 1e9, "unit": "GB/s"},
        {"what": "floor of the network", "amount": 1e3 * flops / rate, "unit": "ms an image"},
        {
            "what": "decoding and resizing, all cores",
            "amount": 1e3 * decoding / IMAGES,
            "unit": "ms an image",
        },
    ]


def _weights() -> Path | None:
    path = SHARED_WEIGHTS / "efficientnet_b4_levels1-7.safetensors"
    return path if path.is_file() else None


def _extractor(weights: Path | None, **options: Any) -> FeatureExtractor:
    extractor = FeatureExtractor(NAME, weights or "random", range(1, DEPTH + 1), progress=False,
                                 runtime="openvino", **options)  # fmt: skip
    if weights is None:
        state = plain.plain_network(NAME, None, DEPTH).state_dict()
        extractor.set_calibration({k: v.numpy() for k, v in state.items() if "running" in k})
    return extractor
