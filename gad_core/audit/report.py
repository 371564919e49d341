"""The audit of one category: all checks, their rows and their findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core.audit.background import background_finding, check_background
from gad_core.audit.checks import (
    Match,
    Photometry,
    Subject,
    check_patches,
    check_photometry,
    images_with_masks,
)
from gad_core.audit.confounders import as_rows
from gad_core.audit.findings import (
    Finding,
    copies_finding,
    data_findings,
    detector_finding,
    patch_finding,
)
from gad_core.copies import Copies, find_copies, short
from gad_core.errors import InputError
from gad_core.experiments.results import read_rows
from gad_core.experiments.tables import predictor_name
from gad_core.outputs import write_csv


@dataclass(frozen=True)
class Audit:
    """What an audit of one category gave.

    Parameters
    ----------
    subject : Subject
        What was audited.
    copies : Copies
        Images that are there twice.
    photometry : Photometry
        Statistics of the images, tests, and the detector on matched images.
    region : (S, S) bool array or None
        What was taken out for the background check.
    background, patches : list of dict
        Rows of `check_background` and of `check_patches`.
    findings : list of Finding
        In plain words.
    """

    subject: Subject
    copies: Copies
    photometry: Photometry
    region: NDArray[np.bool_] | None
    background: list[dict[str, Any]]
    patches: list[dict[str, Any]]
    findings: list[Finding] = field(default_factory=list)

    @property
    def flagged(self) -> bool:
        """Whether any check was."""
        return any(finding.flagged for finding in self.findings)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Tidy rows by the name of their file."""
        return {
            "copies": [
                self.subject.named(
                    {"split": split, "image": short(copy.path), "original": short(copy.original)}
                )
                for split, copies in self.copies._asdict().items()
                for copy in copies
            ],
            "statistics": [
                self.subject.named({**row, "seed": self.subject.seed})
                for row in as_rows(self.photometry.comparisons)
            ],
            "photometry": self.photometry.rows,
            "background": self.background,
            "repair": [row for row in self.patches if row["test"].startswith("repair")],
            "transplant": [row for row in self.patches if row["test"].startswith("transplant")],
        }


def audit(
    subject: Subject,
    matches: Sequence[Match] = ("channels",),
    centre: float | None = None,
    patches: bool = False,
) -> Audit:
    """Run the checks on a category.

    Parameters
    ----------
    subject : Subject
        The category, its features and predictors.
    matches : sequence of str
        What is made equal in all images; the finding is about the first one.
    centre : float, optional
        See `check_background`.
    patches : bool
        Whether to repair and transplant defects too, which needs masks.

    Returns
    -------
    Audit
        Rows and findings.
    """
    if patches:
        images_with_masks(subject.data)  # refuse before hours are spent on the other checks
    data = subject.data
    copies = find_copies(data.train.paths, subject.train, data.test.paths, subject.test)
    photometry = check_photometry(subject, matches)
    region, background = check_background(subject, centre)
    patched = check_patches(subject) if patches else []
    # One predictor's are enough to read; the tables have all.
    shown = [row for row in patched if row["predictor"] == predictor_name(subject.predictors[-1])]
    of_data = data_findings(photometry.comparisons)
    findings = [
        copies_finding(copies, len(data.train), len(data.test)),  # first, because copies spoil all the others
        *of_data,
        detector_finding(
            [row for row in photometry.rows if row["matched"] == matches[0]],
            confounded=any(finding.flagged for finding in of_data),
        ),
        background_finding(background, copied=bool(copies.test)),
        *([patch_finding(shown)] if shown else []),
    ]
    return Audit(subject, copies, photometry, region, background, patched, findings)


def write_tables(folder: Path | None, audits: Sequence[Audit]) -> None:
    """Write the rows of audits as CSV files into a folder, if one was asked for.

    Rows of other categories or networks that are there already stay.

    Parameters
    ----------
    folder : pathlib.Path or None
        Where ``copies.csv`` (if there are any), ``statistics.csv``, ``photometry.csv``, ``background.csv``,
        and with patches ``repair.csv`` and ``transplant.csv`` go.
    audits : sequence of Audit
        What was found.
    """
    if folder is None:
        return
    done = {(a.subject.data.category, a.subject.extractor.backbone) for a in audits}
    for name in audits[0].tables():
        rows = [row for each in audits for row in each.tables()[name]]
        if rows or name == "copies":  # that there are none is a result too; other checks were not made then
            rows += [row for row in _others(folder, name, rows) if _names(row) not in done]
        if rows:
            write_csv(folder / f"{name}.csv", sorted(rows, key=_names))
        elif name == "copies":
            (folder / f"{name}.csv").unlink(missing_ok=True)


def _names(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["category"], row["backbone"]


def _others(folder: Path, name: str, new: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows that are there already; InputError unless they have the columns of the new ones."""
    if not (folder / f"{name}.csv").is_file():
        return []
    rows = read_rows(folder, name)
    if new and any(list(row) != list(new[0]) for row in rows):
        raise InputError(
            f"{folder / name}.csv has other columns than an audit of this version writes: move it away, or "
            "name another folder"
        )
    return rows
