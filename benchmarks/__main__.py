"""Run the benchmarks and print tables: ``python -m benchmarks [PART ...]``."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Iterator

import joblib

from benchmarks.activations import activations
from benchmarks.blocks import blocks
from benchmarks.extraction import embedded, extraction
from benchmarks.gaussian_stage import million, shares
from benchmarks.growth import growth
from benchmarks.memory import memory
from benchmarks.pipeline import SHARE, floors, network_share, pipeline
from benchmarks.precision import precisions
from benchmarks.reproduction import reproduction
from benchmarks.score_maps import score_maps
from benchmarks.statistics import grid, one_gaussian
from gad_core.cli.common import print_table

HEADER = ("what", "plain s", "ours s", "ratio", "target", "")


def run_statistics() -> None:
    """Print the ratios of the Gaussian stage."""
    print_table(HEADER, [one_gaussian().row(), grid().row()])


def run_extraction() -> None:
    """Print the ratios of extraction, each as soon as it is known."""
    for comparison in extraction():
        print_table(HEADER, [comparison.row()])


def run_embedded() -> None:
    """Print how much faster the embedded network is than the paper's."""
    for comparison in embedded():
        print_table(HEADER, [comparison.row()])


def run_maps() -> None:
    """Print what score maps cost beside scoring alone."""
    for comparison in score_maps():
        print_table(HEADER, [comparison.row()])


def run_reproduction() -> None:
    """Print how much longer the tables take without stored features; counted, see the module."""
    found = reproduction()
    if isinstance(found, str):
        print(found)
    else:
        print_table(HEADER, [found.row()])


def run_pipeline() -> None:
    """Print the ratio of B4 from large files, how much of the time the network is at work, and the floors."""
    for comparison in pipeline():
        if isinstance(comparison, str):
            print(comparison)
        else:
            print_table(HEADER, [comparison.row()])
    share = network_share()["share"]
    print(f"the network is at work in {share:.1%} of the time; asked for are {SHARE:.0%}")
    rows = [(f["what"], f"{f['amount']:.3g} {f['unit']}") for f in floors()]
    print_table(("floor", "measured"), rows)


def run_precision() -> None:
    """Print AUROC in float32 and bfloat16."""
    rows = list(precisions())
    for row in rows:
        if row["note"]:
            print(f"bfloat16: {row['note']}")
    names = ("fp32", "bf16", "mixed", "larger", "noise")
    shown = [
        (row["category"], str(row["combine"]), *(f"{row[name]:.4f}" for name in names))
        for row in rows
        if not row["note"]
    ]
    print_table(("category", "combine", "AUROC, fp32", "bf16", "mixed", "times larger", "noise, std"), shown)


def run_blocks() -> None:
    """Print which networks gain by channels in blocks; the target 0 marks those that do not ask for them."""
    for comparison in blocks():
        print(comparison) if isinstance(comparison, str) else print_table(HEADER, [comparison.row()])


def run_activations() -> None:
    """Print how much of the network's time its activation functions take."""
    rows = [
        (a["precision"], f"{a['swish_ms']:.1f}", f"{a['relu_ms']:.1f}", f"{a['share']:.0%}")
        for a in activations()
    ]
    print_table(("network alone", "ms an image", "with ReLU", "less"), rows)


def run_gaussian() -> None:
    """Print how near the Gaussian stage is to the matrix products that it consists of."""
    rows = [(s["what"], f"{s['gflops']:.3g}", f"{s['share']:.0%}") for s in shares()]
    print_table(("what", "GFLOP/s", "share of the peak"), rows)
    found = million()
    print(
        f"{found['rows']} samples of {found['p']} features from a file: {found['seconds']:.2f} s, "
        f"{found['allocated_mb']:.0f} MB allocated"
    )


def run_growth() -> None:
    """Print exponents of growth."""
    rows = {(r["grows"], r["what"]): r["exponent"] for r in growth()}
    print_table(("what grows", "cost of", "exponent"), [(*key, f"{v:.2f}") for key, v in rows.items()])


def run_memory() -> None:
    """Print peaks of memory."""
    rows: Iterator[tuple[str, str, str]] = memory()
    print_table(("whole process", "peak", "bound"), list(rows))


PARTS: dict[str, Callable[[], None]] = {
    "statistics": run_statistics,
    "gaussian": run_gaussian,
    "growth": run_growth,
    "pipeline": run_pipeline,
    "precision": run_precision,
    "blocks": run_blocks,
    "activations": run_activations,
    "extraction": run_extraction,
    "embedded": run_embedded,
    "maps": run_maps,
    "reproduction": run_reproduction,
    "memory": run_memory,
}


def main(names: list[str]) -> None:
    """Run the named parts, or all."""
    print(
        f"{platform.machine()}, {joblib.cpu_count()} cores, Python {platform.python_version()}; seconds are"
    )
    print("medians, ratios are plain over ours, pair by pair in one run: above 1 ours is faster")
    for name in names or PARTS:
        print(f"\n{name}", flush=True)
        PARTS[name]()


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure speed and memory.")
    parser.add_argument("part", nargs="*", help=f"all, or some of: {', '.join(PARTS)}")
    chosen = parser.parse_args().part
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}")
    main(chosen)
