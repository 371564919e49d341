"""What the checks found, in plain words: flagged or not, the numbers behind it, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gad_core.audit.confounders import (
    ALPHA,
    AWAY_FROM_DEFECTS,
    FEWEST,
    NORMAL_AGAINST_TRAINING,
    WHOLE_IMAGES,
    Comparison,
)
from gad_core.copies import Copies, named

SAME_CONDITIONS = (
    "Take training and test images under the same conditions, best of all in mixed order. If that cannot be "
    "had, put normal images of all conditions into train/good, or match the exposure of every image before "
    "fitting and scoring (gad_core.explain.photometry.matched)."
)
SAME_FOR_BOTH = (
    "Take normal and anomalous images under the same conditions, best of all in mixed order. Until then the "
    "AUROC on this test set also measures how well the detector knows the conditions."
)
REMOVE_FROM_TEST = (
    "Take the copies out of the test images, or their originals out of train/good, and audit again. Until "
    "then nothing below can be trusted: the detector was fitted to these very images, and knows them even by "
    "their background."
)
REMOVE_FROM_TRAINING = (
    "Keep one of each in train/good. A cross-validated threshold is too small otherwise: an image that is "
    "held out counts as normal because its copy was fitted to, and new normal images raise more false alarms "
    "than were asked for."
)
BELIEVE_MATCHED = (
    "Judge the detector by the AUROC after matching, and prefer a predictor that changes little, or the "
    "backbone embedded, which brings every image to one brightness itself."
)


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Parameters
    ----------
    check : str
        The question that it asks.
    flagged : bool or None
        Whether there is something to mend; None if the check does not apply or gives no verdict.
    words : list of str
        What was found, with the numbers.
    advice : str
        What to do; empty if there is nothing.
    """

    check: str
    flagged: bool | None
    words: list[str]
    advice: str = ""

    @property
    def verdict(self) -> str:
        """The verdict in capitals, or what stands for it."""
        return {True: "FLAGGED", False: "not flagged", None: "no verdict"}[self.flagged]


def percent(row: Mapping[str, Any], name: str, sign: str = "") -> str:
    """Write a number of a row in percent, a change (with its sign) in points, with the 95 % interval."""
    value, low, high = (100 * row[key] for key in (name, f"{name}_low", f"{name}_high"))
    return (
        f"{value:{sign}.1f} {'points' if sign else '%'} (95 % interval {low:{sign}.1f} to {high:{sign}.1f})"
    )


def copies_finding(copies: Copies, n_train: int, n_test: int) -> Finding:
    """Say which images are there twice.

    Parameters
    ----------
    copies : Copies
        From `gad_core.copies.find_copies`.
    n_train, n_test : int
        Number of training and of test images.

    Returns
    -------
    Finding
        Flagged if any image has the same pixels as a training image.
    """
    words, advice = [], []
    if copies.test:
        words.append(f"{len(copies.test)} of {n_test} test images have the same pixels as a training image: "
                     f"{named(copies.test)}.")  # fmt: skip
        advice.append(REMOVE_FROM_TEST)
    if copies.train:
        words.append(f"{len(copies.train)} of {n_train} training images have the same pixels as an earlier "
                     f"one: {named(copies.train)}.")  # fmt: skip
        advice.append(REMOVE_FROM_TRAINING)
    question = "Are test images among the training images, or training images there twice?"
    none = "No test image has the same pixels as a training image, and no two training images have the same."
    return Finding(question, bool(words), words or [none], " ".join(advice))


def data_findings(comparisons: Sequence[Comparison]) -> list[Finding]:
    """Say what the photometric statistics of the data tell.

    Parameters
    ----------
    comparisons : sequence of Comparison
        From `gad_core.audit.confounders.compare_photometry`.

    Returns
    -------
    list of Finding
        One about normal test images and training images, one about anomalous and normal test images.
    """
    groups = {c.groups: [d for d in comparisons if d.groups == c.groups] for c in comparisons}
    found = [
        _data_finding(
            "Do the normal test images look like the training images?",
            "normal test images",
            "training images",
            groups[NORMAL_AGAINST_TRAINING],
            SAME_CONDITIONS,
        )
    ]
    question = "Do anomalous images look like normal ones, away from the defects?"
    if AWAY_FROM_DEFECTS in groups:
        found.append(
            _data_finding(
                question,
                "anomalous test images, away from their defects,",
                "normal ones",
                groups[AWAY_FROM_DEFECTS],
                SAME_FOR_BOTH,
            )
        )
    else:
        words = [f"Fewer than {FEWEST} anomalous images have a mask, so it cannot be told whether a "
                 "difference is a defect or the way the pictures were taken. Defects included:"]  # fmt: skip
        words += [_sentence("anomalous test images", "normal ones", c) for c in groups.get(WHOLE_IMAGES, [])]
        found.append(Finding(question, None, words))
    return found


def _data_finding(
    question: str, first: str, second: str, comparisons: Sequence[Comparison], advice: str
) -> Finding:
    different = sorted((c for c in comparisons if c.flagged()), key=lambda c: c.adjusted or 0)
    if different:
        return Finding(question, True, [_sentence(first, second, c) for c in different], advice)
    smallest = min(comparisons, key=lambda c: 1 if c.adjusted is None else c.adjusted)
    return Finding(
        question,
        False,
        [
            f"No statistic of brightness, colour or sharpness tells them apart; closest is "
            f"{smallest.statistic}, {_numbers(smallest)}, where {ALPHA:g} or less would count."
        ],
    )


def _sentence(first: str, second: str, c: Comparison) -> str:
    text = f"{first} differ from {second} in {c.statistic}: {_numbers(c)}."
    return text[0].upper() + text[1:]


def _numbers(c: Comparison) -> str:
    p = "not tested" if c.adjusted is None else f"corrected p {c.adjusted:.2g}"
    return (
        f"mean {c.first:.4g} against {c.second:.4g}; a picture of the first kind has the larger value in "
        f"{100 * c.auroc:.0f} % of pairs ({100 * c.low:.0f} to {100 * c.high:.0f}; 50 is chance; {p})"
    )


def detector_finding(rows: Sequence[Mapping[str, Any]], confounded: bool) -> Finding:
    """Say what matching the exposure does to the detector.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of `gad_core.audit.checks.check_photometry` for one kind of matching.
    confounded : bool
        Whether the data were flagged. Without that, a change shows only that matching takes something away
        from the defects too.

    Returns
    -------
    Finding
        Flagged if the data are, and the AUROC of any predictor changes by more than its interval allows.
    """
    question = "Does the detector's score use it?"
    changed = [row for row in rows if row["change_low"] > 0 or row["change_high"] < 0]
    words = [
        f"When the exposure of all images is made equal ({row['matched']}), the AUROC of {row['predictor']} "
        f"goes from {100 * row['before']:.1f} to {100 * row['after']:.1f} %: {percent(row, 'change', '+')}."
        for row in sorted(changed, key=lambda row: -abs(row["change"]))
    ]
    steady = [row["predictor"] for row in rows if row not in changed]
    if changed and steady:
        words.append(f"No change beyond chance: {', '.join(steady)}.")
    if confounded and changed:
        return Finding(question, True, words, BELIEVE_MATCHED)
    largest = max(rows, key=lambda row: abs(row["change"]))
    if not changed:
        words = [
            "Making the exposure of all images equal changes no predictor's AUROC by more than chance "
            f"allows; most for {largest['predictor']}: {percent(largest, 'change', '+')}."
        ]
    elif not confounded:
        words.append(
            "As nothing in the data shows a confounder, this is no alarm: matching takes away brightness and "
            "colour of the defects too."
        )
    return Finding(question, False, words)


def patch_finding(rows: Sequence[Mapping[str, Any]]) -> Finding:
    """Say how often repairing a defect, or transplanting it, turns the verdict round.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of `gad_core.audit.checks.check_patches`.

    Returns
    -------
    Finding
        Without verdict: a patch is judged by its control, which stands beside it.
    """
    done = {
        "repair": "repairing the defect ({fill}) makes normal",
        "repair control": "the same patch ({fill}) on a normal image makes anomalous",
        "transplant": "the defect put on a normal image makes anomalous",
        "transplant control": "a patch of another normal image makes anomalous",
    }
    words = []
    for row in rows:
        if row["defect"] == "all" and row["share"] is not None:
            text = (
                f"{row['predictor']}: {done[row['test']].format(**row)} {row['flipped']} of {row['eligible']}"
            )
            words.append(f"{text}, {percent(row, 'share')}.")
    return Finding("Is it the defect that makes the score?", None, words)
