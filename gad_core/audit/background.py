"""The background check of an audit: the detector on pictures without the object, as rows and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import mannwhitneyu

from gad_core.audit.checks import Subject
from gad_core.audit.confounders import ALPHA, FEWEST, holm
from gad_core.audit.findings import Finding, percent
from gad_core.datasets.layout import Split
from gad_core.explain.background import central_region, object_region, without_object
from gad_core.explain.changes import auroc_change, change_rows
from gad_core.explain.masks import read_mask

LOOK_AT_BACKGROUND = (
    "Look at the pictures without the object: what differs there between normal and anomalous images is no "
    "defect. Crop the images to the object, or photograph all of them on the same ground in the same light."
)
GIVE_MASKS = (
    "Give masks, ground_truth/<defect>/<name>_mask.png, or look whether defects reach outside of the centre: "
    "they, and not the background, may be what is seen."
)
TAKE_OUT_MORE = (
    "Take out more, with a larger --centre SHARE, so that the defects are gone with the object and the "
    "background alone is left."
)


def check_background(subject: Subject, centre: float | None = None) -> tuple[NDArray | None, list[dict]]:
    """Measure the detector on pictures without the object: it should be blind.

    An anomalous image whose defect reaches outside of what was taken out still shows it, and may be told by
    it. Which images those are, their masks say, not their backgrounds. So the test leaves them out, and with
    them those without a mask; only if no image has a mask do all count.

    Parameters
    ----------
    subject : Subject
        What is audited.
    centre : float, optional
        Take out the central square (rectangle) of this share of the sides, instead of the region that holds
        the object in all training images.

    Returns
    -------
    region : (S, S) bool array or None
        What was taken out; None if no object was found.
    rows : list of dict
        For each predictor ``change_rows`` of all images, with the ``share`` of the picture that was taken
        out. Then the number of ``anomalous`` images, how many of their defects are ``reaching`` outside (None
        without any mask) and how many images are ``counted``; for these ``blind``, the AUROC without the
        object, its interval, its ``p_value`` against one half, and it ``adjusted`` for all predictors. These
        are None if fewer than `FEWEST` images are counted.
    """
    data, size = subject.data, subject.extractor.input_size
    region = (
        object_region(subject.image(path) for path in data.train.paths)
        if centre is None
        else central_region(size, centre)
    )
    if region is None:
        return None, []
    before = subject.distances(subject.train, subject.test)
    after = subject.after(partial(without_object, region=region), "without object")
    reaching = reaches_outside(data.test, region)
    counted = counted_images(data.test.labels, reaching)
    numbers = {
        "anomalous": int(data.test.labels.sum()),
        "reaching": None if set(reaching) == {None} else reaching.count(True),
        "counted": int(data.test.labels[counted].sum()),
    }
    blind = _blind_rows(
        data.test.labels[counted],
        [(before[combine][counted], after[combine][counted]) for combine in before],
        subject.seed,
    )
    rows = change_rows(data.test.labels, before, after, subject.seed)
    return region, [
        subject.named(
            {
                "region": "object" if centre is None else "centre",
                "share": float(region.mean()),
                **row,
                **numbers,
                **tested,
            }
        )
        for row, tested in zip(rows, blind, strict=True)
    ]


def reaches_outside(test: Split, region: NDArray[np.bool_]) -> list[bool | None]:
    """Say of each test image whether its defect reaches outside of a region.

    Parameters
    ----------
    test : Split
        Test images.
    region : (S, S) bool array
        What is taken out.

    Returns
    -------
    list of bool or None
        None where there is no mask, as for normal images.
    """
    # Resizing spreads a defect into the pixel beside it.
    outside = ndimage.binary_dilation(~region, np.ones((3, 3)))
    masks = (None if mask is None else read_mask(mask, len(region)) for mask in test.masks)
    return [None if mask is None else bool((mask & outside).any()) for mask in masks]


def counted_images(labels: NDArray[np.int64], reaching: Sequence[bool | None]) -> NDArray[np.bool_]:
    """Mark the images that tell whether the background gives the labels away.

    Parameters
    ----------
    labels : (m,) array
        1 for anomalies, 0 for normal images.
    reaching : sequence of bool or None
        From `reaches_outside`.

    Returns
    -------
    (m,) bool array
        Normal images, and anomalous ones whose defect is gone; all images if no image has a mask.

    Examples
    --------
    >>> counted_images(np.array([0, 1, 1, 1]), [None, True, False, None]).tolist()
    [True, False, True, False]
    >>> counted_images(np.array([0, 1]), [None, None]).tolist()
    [True, True]
    """
    if set(reaching) == {None}:
        return np.ones(len(labels), dtype=bool)
    return (labels == 0) | np.array([reaches is False for reaches in reaching])


def _blind_rows(
    labels: NDArray[np.int64], distances: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], seed: int
) -> list[dict[str, float | None]]:
    """AUROC after, its interval and p-values, of each predictor's distances; None of too few anomalies."""
    if labels.sum() < FEWEST:
        return [dict.fromkeys(("blind", "blind_low", "blind_high", "p_value", "adjusted"))] * len(distances)
    p_values = [float(mannwhitneyu(d[labels == 1], d[labels == 0]).pvalue) for _, d in distances]
    # As for all images, so that the intervals are the same too where all count.
    changes = [auroc_change(labels, *both, np.random.default_rng(seed)) for both in distances]
    return [
        {
            **{f"blind{bound}": change[f"after{bound}"] for bound in ("", "_low", "_high")},
            "p_value": p,
            "adjusted": adjusted,
        }
        for change, p, adjusted in zip(changes, p_values, holm(p_values).tolist(), strict=True)
    ]


def background_finding(rows: Sequence[Mapping[str, Any]], copied: bool = False) -> Finding:
    """Say whether the detector still tells the labels without the object.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of `check_background`; none if no object was found.
    copied : bool
        Whether test images are training images too. The detector knows those without their object as well,
        which is no fault of the background.

    Returns
    -------
    Finding
        Flagged if the AUROC of any predictor differs from chance on the images that count; without verdict
        if these are too few, or the difference may be that of copies, or of defects without a mask around a
        square that nobody has compared with the object.
    """
    question = "Does the background give the labels away?"
    if not rows:
        return Finding(
            question,
            None,
            [
                "No object was found in front of a plain background, as in pictures of a surface. If there "
                "is one, --centre SHARE takes out the central square of that share of the side instead."
            ],
        )
    what = f"{100 * rows[0]['share']:.0f} % of the picture, the {rows[0]['region']}, taken out"
    words = _who_counts(rows[0])
    if rows[0]["blind"] is None:
        few = f"Fewer than {FEWEST} are left, too few to tell whether the background gives the labels away."
        return Finding(question, None, [*words, few], TAKE_OUT_MORE if rows[0]["reaching"] else "")
    by_effect = sorted(rows, key=lambda row: -abs(row["blind"] - 0.5))
    seen = [row for row in by_effect if row["adjusted"] <= ALPHA]
    if not seen:
        nothing = f"With {what}, no predictor tells the labels apart; furthest from chance is "
        return Finding(question, False, [nothing + _blind(by_effect[0]), *words])
    found = [f"With {what}, the detector still tells the labels apart: {_blind(row)}" for row in seen]
    if copied:
        return Finding(question, None, [*found, *words, "This may be the copies alone: take them out first."])
    if rows[0]["reaching"] is None and rows[0]["region"] == "centre":
        return Finding(question, None, found + words, GIVE_MASKS)
    return Finding(question, True, found + words, LOOK_AT_BACKGROUND)


def _who_counts(row: Mapping[str, Any]) -> list[str]:
    """Say which anomalous images were left out, if any, or that nobody knows where the defects are."""
    if row["reaching"] is None:
        return [f"No image has a mask: a defect that reaches outside of the {row['region']} counts too."]
    unknown = row["anomalous"] - row["counted"] - row["reaching"]
    reasons = [
        reason
        for count, reason in (
            (row["reaching"], f"in {row['reaching']} it reaches outside of the {row['region']}"),
            (unknown, f"for {unknown} there is no mask that would tell"),
        )
        if count
    ]
    if not reasons:
        return []
    return [
        f"Of {row['anomalous']} anomalous images {row['counted']} count here. The others may still show "
        f"their defect: {' and '.join(reasons)}."
    ]


def _blind(row: Mapping[str, Any]) -> str:
    return (
        f"{row['predictor']}, AUROC {percent(row, 'blind')}, where 50 is chance (corrected p "
        f"{row['adjusted']:.2g})."
    )
