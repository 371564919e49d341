"""Against anomalib's PaDiM, PatchCore and DFM: ``make peers``, or ``python -m benchmarks.peers``.

Every method runs in a fresh process, one after another, on the same images with the same weights. anomalib
lives in an environment of its own, .venv-peers. Rows are written after each method; those of a category
replace the former ones, so all of a category is from one run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peer_run import MODELS, weights_of
from gad_core.backbones import get_backbone
from gad_core.experiments.results import read_rows
from gad_core.outputs import write_csv

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "mvtec"
SPEED = ROOT / "gad_core" / "data" / "results" / "speed"
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
CATEGORIES = ("bottle", "screw", "transistor")
MEASURED = ("fit_s", "score_ms", "peak_mb", "state_mb", "auroc")
RANDOM = "random weights: costs only"


class Run(NamedTuple):
    """A method, its network, and the side of the images in pixels."""

    method: str
    network: str
    size: int


RUNS = (
    Run("gad_core", "efficientnet_b4", 380),
    Run("gad_core", "embedded", get_backbone("embedded").input_size),
    *(
        Run(method, network, 256)
        for network in ("resnet18", "efficientnet_b4")
        for method in ("gad_core", "DFM", "PaDiM", "PatchCore 1 %")
    ),
)
"""Ours as it is meant to be used; then all methods with a small network, and with the paper's."""


def command(run: Run, data: Path, category: str, limit: int | None, peers_python: Path) -> list[str]:
    """Give the command line of one measurement; ours runs with this interpreter."""
    python = sys.executable if run.method == "gad_core" else str(peers_python)
    options = [] if limit is None else ["--limit", str(limit)]
    return [python, "-m", "benchmarks.peer_run", *map(str, run), str(data), category, *options]


def row(category: str, run: Run, measured: dict[str, float] | str, *, random: bool) -> dict[str, Any]:
    """Make a tidy row of what was measured, or of the reason why nothing was.

    With random weights the costs are those of the real ones, but the AUROC means nothing and is left out.
    """
    key = {"category": category, **run._asdict()}
    if isinstance(measured, str):
        return {**key, **dict.fromkeys(MEASURED), "note": measured}
    found = {name: measured[name] for name in MEASURED}
    return {**key, **found, **({"auroc": None, "note": RANDOM} if random else {"note": ""})}


def measured_rows(category: str, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure all runs on one category, one after another."""
    for run in RUNS:
        random = run.network != "embedded" and weights_of(run.network) is None
        yield row(category, run, _measured(run, category, args), random=random)


def _measured(run: Run, category: str, args: argparse.Namespace) -> dict[str, float] | str:
    if not (args.data / category).is_dir():
        return f"skipped: no folder {category} in the data"
    if run.method in MODELS and not args.peers_python.is_file():
        return "skipped: no environment .venv-peers (make peers)"
    asked = command(run, args.data, category, args.limit, args.peers_python)
    try:
        done = subprocess.run(
            asked, cwd=ROOT, capture_output=True, text=True, check=False, timeout=args.seconds
        )
    except subprocess.TimeoutExpired:
        return f"not done after {args.seconds} s"
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return f"failed: {_reason(done)}"
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"ended from outside by signal {-done.returncode}"
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]


def merged(former: Sequence[dict[str, Any]], fresh: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put a category's fresh rows in the place of all its former ones, in the order of the categories."""
    kept = [each for each in former if each["category"] != fresh[0]["category"]] if fresh else list(former)
    return sorted([*kept, *fresh], key=lambda each: CATEGORIES.index(each["category"]))


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    found = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    found.add_argument("--data", type=Path, default=SHARED_DATA, help="MVTec-style folder")
    found.add_argument("--categories", nargs="+", choices=CATEGORIES, default=CATEGORIES)
    found.add_argument("--limit", type=int, help="take only so many images of each split")
    found.add_argument("--seconds", type=int, help="end a method that takes longer")
    found.add_argument("--folder", type=Path, default=SPEED, help="where peers.csv is written")
    found.add_argument("--peers-python", type=Path, default=PEERS_PYTHON, help="interpreter with anomalib")
    return found


def main(arguments: Sequence[str]) -> None:
    """Measure, print and write."""
    args = parser().parse_args(arguments)
    for category in args.categories:
        former = read_rows(args.folder, "peers") if (args.folder / "peers.csv").is_file() else []
        fresh: list[dict[str, Any]] = []
        for each in measured_rows(category, args):
            fresh.append(each)
            print(each, flush=True)
            write_csv(args.folder / "peers.csv", merged(former, fresh))


if __name__ == "__main__":
    main(sys.argv[1:])
