"""Is it the defect that makes the score? Repaired and transplanted pictures, with their controls.

A repaired picture that is called normal shows that the score came from the defect; a normal picture that is
called anomalous once it has the defect shows that the defect is enough. A patch can also change a score by
itself, by its seam or by pixels that do not fit. So each test has a control, the same patch without a defect
in it, and counts for as much as its control stays away from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core.errors import InputError
from gad_core.experiments.rates import clopper_pearson
from gad_core.explain.patches import Fill, blend

Images = Sequence[NDArray[np.uint8]]
Masks = Sequence[NDArray[np.bool_]]

REPAIR, REPAIR_CONTROL = "repair", "repair control"
TRANSPLANT, TRANSPLANT_CONTROL = "transplant", "transplant control"


@dataclass(frozen=True)
class Patched:
    """Patched pictures of one test, one for each defect.

    Parameters
    ----------
    test : str
        "repair", "repair control", "transplant" or "transplant control".
    hosts : (k,) int array
        Positions of the pictures that were patched: among the anomalous ones for "repair", else among the
        normal ones.
    images : list of (H, W, 3) uint8 arrays
        The results; the i-th has the mask of the i-th anomalous picture.
    """

    test: str
    hosts: NDArray[np.intp]
    images: list[NDArray[np.uint8]]


def repaired(
    anomalous: Images, masks: Masks, normal: Images, fill: Fill, rng: np.random.Generator
) -> tuple[Patched, Patched]:
    """Replace each defect by normal pixels; as a control, the same part of a normal picture.

    Parameters
    ----------
    anomalous : sequence of k (H, W, 3) uint8 arrays
        Pictures with a defect.
    masks : sequence of k (H, W) bool arrays
        Where it is.
    normal : sequence of (H, W, 3) uint8 arrays
        Normal pictures that the detector was not fitted on.
    fill : callable
        Gives the normal pixels, such as `gad_core.explain.patches.surroundings`; see
        `gad_core.audit.checks.fills` for others.
    rng : numpy.random.Generator
        Chooses the normal picture of each control.

    Returns
    -------
    Patched, Patched
        Repair and its control.

    Raises
    ------
    InputError
        If there is no anomalous or no normal picture, or a mask is empty or of another size than its picture.
    """
    bases = _bases(anomalous, masks, normal, rng)
    return (
        Patched(
            REPAIR,
            np.arange(len(masks)),
            [blend(image, fill(image, mask), mask) for image, mask in zip(anomalous, masks, strict=True)],
        ),
        Patched(
            REPAIR_CONTROL,
            bases,
            [blend(normal[j], fill(normal[j], mask), mask) for j, mask in zip(bases, masks, strict=True)],
        ),
    )


def transplanted(
    anomalous: Images, masks: Masks, normal: Images, rng: np.random.Generator
) -> tuple[Patched, Patched]:
    """Put each defect, and nothing else, into a normal picture; as a control, the same part of another one.

    Parameters, errors and result are those of `repaired`; there must be two normal pictures at least.
    """
    bases = _bases(anomalous, masks, normal, rng)
    if len(normal) < 2:
        raise InputError("a transplant and its control need at least two normal images; there is one")
    others = (bases + rng.integers(1, len(normal), len(bases))) % len(normal)
    return (
        Patched(
            TRANSPLANT,
            bases,
            [blend(normal[j], image, mask) for j, image, mask in zip(bases, anomalous, masks, strict=True)],
        ),
        Patched(
            TRANSPLANT_CONTROL,
            bases,
            [blend(normal[j], normal[k], mask) for j, k, mask in zip(bases, others, masks, strict=True)],
        ),
    )


def _bases(anomalous: Images, masks: Masks, normal: Images, rng: np.random.Generator) -> NDArray[np.intp]:
    """Choose a normal picture for each defect, each as often as any other."""
    if not len(anomalous) == len(masks) > 0:
        raise InputError(
            f"there are {len(anomalous)} anomalous images and {len(masks)} masks: give at least one "
            "anomalous image, and a mask for each"
        )
    if not len(normal):
        raise InputError("there is no normal image to compare with: give normal test images")
    return rng.permuted(np.arange(len(masks)) % len(normal))


def flip_row(
    before: NDArray[np.float64], after: NDArray[np.float64], threshold: float, falls: bool
) -> dict[str, Any]:
    """Count the verdicts that a patch turned round.

    Parameters
    ----------
    before, after : (k,) arrays
        Distances of the pictures before and after.
    threshold : float
        A distance above it is an anomaly.
    falls : bool
        True counts the anomalies that became normal (repair), False the normal ones that became anomalous.

    Returns
    -------
    dict
        ``images``; ``eligible``, those that had the verdict to be turned; ``flipped`` of them, as ``share``
        with its 95 % Clopper-Pearson interval ``share_low``, ``share_high`` (None if none is eligible); and
        the means ``before`` and ``after``, with the ``threshold``.
    """
    eligible = (before > threshold) == falls
    flipped = eligible & ((after > threshold) != falls)
    count, trials = int(flipped.sum()), int(eligible.sum())
    low, high = clopper_pearson(count, trials) if trials else (None, None)
    return {
        "images": len(before),
        "eligible": trials,
        "flipped": count,
        "share": count / trials if trials else None,
        "share_low": low,
        "share_high": high,
        "before": float(before.mean()),
        "after": float(after.mean()),
        "threshold": threshold,
    }
