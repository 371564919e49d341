"""``gad localise``: how well score maps and attributions find the defects of a data set."""

from __future__ import annotations

import argparse
from typing import Any

from tqdm import tqdm

import gad_core
from gad_core.cli.common import (
    make_extractor,
    parse_combine,
    print_table,
    require_writable,
    selected_datasets,
)
from gad_core.datasets.layout import MVTecDataset
from gad_core.experiments.faithfulness import TABLES, faithfulness_rows
from gad_core.experiments.localisation import EXACT, SAMPLES, STEPS, WINDOWS, localisation_rows
from gad_core.export import dataset_sha256, provenance
from gad_core.features import FeatureExtractor
from gad_core.levels import Combine, checked_combine
from gad_core.outputs import write_csv, write_json
from gad_core.runtime import whole_number

Rows = list[dict[str, Any]]

MEASURES = {
    "pixel_auroc": "pixel AUROC %",
    "pro": "PRO %",
    "pointing": "pointing %",
    "inside": "inside %",
    "area": "area %",
    "completeness_error": "completeness error %",
}


def run(args: argparse.Namespace) -> None:
    """Measure every category, print a table and write the rows."""
    if args.limit is not None:
        whole_number(args.limit, "--limit", 1)
    extractor, datasets = make_extractor(args), selected_datasets(args)
    widths = extractor.level_widths
    predictors = [checked_combine(widths, parse_combine(text)) for text in args.predictor or ()]
    folder = args.faithfulness
    followed = {} if folder is None else {name: folder / f"{name}.csv" for name in TABLES}
    require_writable(args.csv, args.json, *followed.values())
    rows: Rows = []
    sources = []
    tables: dict[str, Rows] = {name: [] for name in followed}
    for data in datasets:
        found, curves = _measured(data, extractor, predictors, args)
        rows += found
        tables = {name: tables[name] + curves[name] for name in tables}
        sources.append(_source(data, extractor))
    write_csv(args.csv, rows)
    for name, path in followed.items():
        if tables[name]:  # no picture with an object in front of a background, no rows
            write_csv(path, tables[name])
    write_json(args.json, {**_parameters(args), "features": sources, "results": rows})
    print_table(
        ("category", "method", "predictor", "images", *MEASURES.values()), map(_cells, rows),
        left=("method", "predictor"),
    )  # fmt: skip


def _measured(
    data: MVTecDataset, extractor: FeatureExtractor, predictors: list[Combine], args: argparse.Namespace
) -> tuple[Rows, dict[str, Rows]]:
    """Give a category's rows and, if they are asked for, the tables of its curves."""
    chosen: dict[str, Any] = {"predictors": predictors or None, "limit": args.limit, "seed": args.seed}
    with tqdm(desc=f"maps {data.category}", unit="image", disable=args.quiet) as bar:
        rows = localisation_rows(data, extractor, methods=args.method, tick=bar.update, **chosen)
    if args.faithfulness is None:
        return rows, {}
    with tqdm(desc=f"curves {data.category}", unit="image", disable=args.quiet) as bar:
        return rows, faithfulness_rows(data, extractor, tick=bar.update, **chosen)


def _source(data: MVTecDataset, extractor: FeatureExtractor) -> dict[str, Any]:
    """Say which images, masks and features a category's rows are of."""
    masks = dataset_sha256(data.root / data.category, [mask for mask in data.test.masks if mask])
    return {"category": data.category, "masks_sha256": masks, "provenance": provenance(data, extractor)}


def _parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Say how the rows were computed."""
    limited = {"limit": args.limit, "seed": args.seed} if args.limit else {}
    effort = {"integrated_steps": STEPS, "smoothgrad_samples": SAMPLES, "occlusion_windows": WINDOWS}
    return {"gad_core": gad_core.__version__, **limited, **(effort if args.method != [EXACT] else {})}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    measured = ("" if row[key] is None else f"{100 * row[key]:.1f}" for key in MEASURES)
    return (row["category"], row["method"], row["predictor"], str(row["images"]), *measured)
