"""``gad reproduce``: the paper's tables and the experiments beside them, ours beside the paper's."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import gad_core
from gad_core.cli.common import make_extractor, print_table, require_writable, selected_datasets
from gad_core.errors import InputError
from gad_core.experiments.catalogue import Experiment, chosen_experiments
from gad_core.experiments.reproduce import reproduce
from gad_core.experiments.results import Result, table_lines
from gad_core.experiments.sources import Source, embedded_sources, local_sources
from gad_core.experiments.workers import available_jobs
from gad_core.outputs import write_json
from gad_core.runtime import whole_number

HEADER = ("network", "setting", "item", "quantity", "paper", "ours", "difference", "note")


def run(args: argparse.Namespace) -> None:
    """Run the experiments, write their results, and print the paper's values beside ours."""
    experiments = chosen_experiments(args.experiments)
    tier, sources = _sources(args, experiments)
    out = args.out / tier
    require_writable(args.json, *(out / f"{each.name}.csv" for each in experiments))
    jobs = available_jobs() if args.jobs is None else whole_number(args.jobs, "--jobs", 1)
    progress = None if not args.quiet else False
    results = list(reproduce(experiments, sources, out, tier, jobs=jobs, progress=progress))
    write_json(args.json, {"gad_core": gad_core.__version__, "tier": tier, "results": _as_json(results)})
    for result in results:
        print(f"\n{result.title} ({tier} features)")
        print_table(HEADER, table_lines(result.comparison), left=("setting", "item", "quantity", "note"))
    left_out = [each.name for each in experiments if each.name not in {r.name for r in results}]
    for name in left_out:
        print(f"gad: {name} is left out: none of its networks is here", file=sys.stderr)
    print(f"gad: wrote {out}", file=sys.stderr)


def _as_json(results: list[Result]) -> list[dict[str, Any]]:
    return [
        {"experiment": r.name, "comparison": r.comparison, "rows": r.rows, "provenance": r.provenance}
        for r in results
    ]


def _sources(args: argparse.Namespace, experiments: list[Experiment]) -> tuple[str, list[Source]]:
    if args.data is None:
        for option in ("weights", "levels", "passes"):
            if getattr(args, option) is not None:
                raise InputError(
                    f"--{option} is about computing features from images: give --data ROOT too; those that "
                    "ship with the package are there already"
                )
        return "embedded", embedded_sources(args.category, args.backbone)
    asked = args.backbone or [backbone for each in experiments for backbone in each.backbones]
    backbones = list(dict.fromkeys(asked))
    args.weights = args.weights or "imagenet"
    if args.passes is not None:
        whole_number(args.passes, "--passes", 1)
    if len(backbones) > 1 and args.weights not in ("imagenet", "random"):
        raise InputError(
            f"the file {args.weights} has the weights of one network, asked for are {', '.join(backbones)}: "
            "name the one with --backbone"
        )
    extractors = [make_extractor(argparse.Namespace(**{**vars(args), "backbone": b})) for b in backbones]
    return "local", local_sources(selected_datasets(args), extractors, args.passes)
