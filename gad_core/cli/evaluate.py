"""``gad evaluate``: AUROC of every setting on every category."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gad_core
from gad_core.cli.common import (
    make_extractor,
    parse_combine,
    print_table,
    require_writable,
    selected_datasets,
)
from gad_core.cli.profile import print_profile, profile_summary
from gad_core.copies import find_copies, named
from gad_core.datasets.layout import MVTecDataset
from gad_core.errors import InputError
from gad_core.evaluation import evaluate_distances, evaluation_row, sem, settings_grid, training_folds
from gad_core.features import FeatureExtractor
from gad_core.levels import checked_combine
from gad_core.outputs import write_json
from gad_core.stages import StageTimes, staged
from gad_core.subspaces import format_reduce, parse_reduce

FPR = 0.05
"""False-positive rate at which the table gives the true-positive rate."""


def run(args: argparse.Namespace) -> None:
    """Evaluate and print one row for each category and setting."""
    require_writable(args.json)
    extractor = make_extractor(args)
    settings = settings_grid(
        dict.fromkeys(checked_combine(extractor.level_widths, parse_combine(t)) for t in args.combine),
        dict.fromkeys(parse_reduce(text) for text in args.reduce),
        dict.fromkeys(args.covariance),
    )
    datasets, rows, fingerprints = _datasets(args), [], {}
    if args.profile:
        extractor.cache = None
    for data in datasets:
        training_folds(len(data.train), args.folds)  # refuse before any image is read
    start = time.perf_counter()
    with extractor.profiled() if args.profile else contextlib.nullcontext() as times:
        for data in datasets:
            rows += _evaluate(data, extractor, settings, args.folds, times)
            fingerprints[data.category] = extractor.fingerprint()
    found: dict[str, Any] = {"gad_core": gad_core.__version__, "results": rows, "extractors": fingerprints}
    if times is not None:
        images = sum(len(data.train) + len(data.test) for data in datasets)
        found["profile"] = profile_summary(times, time.perf_counter() - start, images)
    write_json(args.json, found)
    _print(rows)
    if times is not None:
        print_profile(found["profile"])


def _datasets(args: argparse.Namespace) -> list[MVTecDataset]:
    datasets = selected_datasets(args)
    for data in datasets:
        labels = data.test.labels
        if not (np.any(labels == 0) and np.any(labels == 1)):
            raise InputError(
                f"{data.root / data.category} has {int(np.sum(labels == 0))} normal and "
                f"{int(np.sum(labels))} anomalous test images: an evaluation needs both, in test/good and "
                "test/<defect>"
            )
    return datasets


def _evaluate(
    data: MVTecDataset,
    extractor: FeatureExtractor,
    settings: list,
    folds: int,
    times: StageTimes | None,
) -> list[dict[str, Any]]:
    train = extractor.fit(data.train.paths).transform(data.train.paths)
    test = extractor.transform(data.test.paths)
    _warn_of_copies(data, train, test)
    with staged(times, "statistics", threaded=True):
        return [
            {
                "category": data.category,
                "combine": str(setting.combine),
                "reduce": format_reduce(setting.reduce),
                "covariance": setting.covariance,
                "folds": folds,
                **evaluation_row(data.test.labels, distances, np.random.default_rng(0), [FPR]),
            }
            for setting, distances in evaluate_distances(train, test, extractor.level_widths, settings, folds)
        ]


def _warn_of_copies(data: MVTecDataset, train: NDArray[np.float32], test: NDArray[np.float32]) -> None:
    if copies := find_copies(data.train.paths, train, data.test.paths, test).test:
        print(
            f"gad: warning: {data.category}: {len(copies)} of {len(data.test)} test images are copies of "
            f"training images ({named(copies)}), so the results say too little about new images: take them "
            "out of the test images or out of train/good (gad audit --csv FOLDER lists all)",
            file=sys.stderr,
        )


def _print(rows: list[dict[str, Any]]) -> None:
    header = ("category", "combine", "reduce", "covariance", "folds", "AUROC %", "95 % interval", "AUPR %",
              f"TPR % at FPR {FPR:.0%}")  # fmt: skip
    lines: list[tuple[str, ...]] = [
        (
            row["category"], row["combine"], row["reduce"], row["covariance"], str(row["folds"]),
            f"{100 * row['auroc']:.2f}", f"{100 * row['auroc_low']:.1f} - {100 * row['auroc_high']:.1f}",
            f"{100 * row['aupr']:.2f}", f"{100 * row[f'tpr_at_fpr_{FPR:g}']:.2f}",
        )
        for row in rows
    ]  # fmt: skip
    print_table(header, lines + _means(rows))


def _means(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Mean and standard error over categories of each setting, when there are several categories."""
    cells: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        key = (row["combine"], row["reduce"], row["covariance"], str(row["folds"]))
        cells.setdefault(key, []).append(100 * row["auroc"])
    return [
        (f"mean of {len(values)}", *key, f"{np.mean(values):.2f}", f"SEM {sem(values):.2f}", "", "")
        for key, values in cells.items()
        if len(values) > 1
    ]
