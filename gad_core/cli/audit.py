"""``gad audit``: what gives anomalies away beside the defect."""

from __future__ import annotations

import argparse
from typing import Any

import gad_core
from gad_core.audit.checks import MATCHES, Subject
from gad_core.audit.page import write_page
from gad_core.audit.report import Audit, audit, write_tables
from gad_core.cli.common import (
    make_extractor,
    parse_combine,
    print_table,
    require_writable,
    selected_datasets,
)
from gad_core.datasets.layout import MVTecDataset
from gad_core.explain.background import checked_share
from gad_core.levels import checked_combine
from gad_core.outputs import write_json


def run(args: argparse.Namespace) -> None:
    """Audit each category, print what was found, write it."""
    tables = [] if args.csv is None else [args.csv / "statistics.csv"]
    require_writable(args.html, args.json, *tables)
    if args.centre is not None:
        checked_share(args.centre)
    audits = [_audit(data, args) for data in selected_datasets(args)]
    write_page(args.html, audits)
    write_tables(args.csv, audits)
    write_json(args.json, {"gad_core": gad_core.__version__, "audits": [_as_json(each) for each in audits]})
    for each in audits:
        _print(each)


def _audit(data: MVTecDataset, args: argparse.Namespace) -> Audit:
    extractor = make_extractor(args)
    levels = extractor.level_widths
    chosen = args.combine and [checked_combine(levels, parse_combine(t)) for t in dict.fromkeys(args.combine)]
    subject = Subject.of(data, extractor, chosen, args.seed)
    return audit(subject, list(dict.fromkeys(args.match)), args.centre, args.patches)


def _as_json(found: Audit) -> dict[str, Any]:
    return {
        "category": found.subject.data.category,
        "flagged": found.flagged,
        "findings": [{**vars(f), "verdict": f.verdict} for f in found.findings],
        **found.tables(),
        "extractor": found.subject.extractor.fingerprint(),
    }


def _print(found: Audit) -> None:
    data = found.subject.data
    print(f"\n{data.category}: {len(data.train)} training and {len(data.test)} test images")
    for finding in found.findings:
        print(f"\n{finding.check} {finding.verdict}")
        for sentence in finding.words:
            print(f"  {sentence}")
        if finding.advice:
            print(f"  What to do: {finding.advice}")
    print()
    print_table(("AUROC %", "as they are", *(f"matched {m}" for m in _matches(found)),
                 *(f"{row['region']} taken out" for row in found.background[:1])), _lines(found))  # fmt: skip


def _matches(found: Audit) -> list[str]:
    return [m for m in MATCHES if any(row["matched"] == m for row in found.photometry.rows)]


def _lines(found: Audit) -> list[tuple[str, ...]]:
    cells: dict[str, list[str]] = {}
    for match in _matches(found):
        for row in found.photometry.rows:
            if row["matched"] == match:
                cells.setdefault(row["predictor"], [_percent(row, "before")]).append(_percent(row, "after"))
    for row in found.background:
        cells[row["predictor"]].append(_percent(row, "after"))
    return [(predictor, *texts) for predictor, texts in cells.items()]


def _percent(row: dict[str, Any], name: str) -> str:
    return f"{100 * row[name]:.1f} ({100 * row[f'{name}_low']:.1f} - {100 * row[f'{name}_high']:.1f})"
