"""How well maps find defects, measured against ground-truth masks.

A map may have any resolution: it is brought to that of its mask by `gad_core.explain.resample.resample`.
A mask that marks nothing is that of a normal image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gad_core.errors import InputError
from gad_core.explain.resample import resample

PRO_LIMIT = 0.3
"""False-positive rate of pixels up to which the per-region overlap is averaged."""

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class RankedPixels:
    """Where the pixels of defects stand among those of all normal regions.

    Parameters
    ----------
    above, not_below : (n,) int64 arrays
        For each pixel of a defect, the number of normal pixels of a higher, and of an at least equal value.
    region_weights : (n,) array
        One over the number of pixels of the connected region that the pixel belongs to.
    normal : int
        Number of normal pixels in all images.
    regions : int
        Number of connected regions.
    """

    above: NDArray[np.int64]
    not_below: NDArray[np.int64]
    region_weights: NDArray[np.float64]
    normal: int
    regions: int

    def auroc(self) -> float:
        """Probability that a pixel of a defect has a higher value than a normal one; ties count one half."""
        return self._area(np.full(len(self.above), 1 / len(self.above)), 1.0)

    def region_overlap(self, limit: float = PRO_LIMIT) -> float:
        """Mean share of each region that is above the threshold, averaged over rates up to `limit`."""
        return self._area(self.region_weights / self.regions, limit)

    def _area(self, weights: NDArray[np.float64], limit: float) -> float:
        """Mean, over false-positive rates from 0 to a limit, of the weight of the pixels found at that rate.

        Lowering the threshold past the value of a defect's pixel takes the rate from that of the pixels above
        to that of those not below, and adds the pixel's weight in proportion (the trapezoidal rule).
        """
        first, last = self.above / self.normal, self.not_below / self.normal
        widths = last - first
        inside = np.clip(limit - first, 0, widths)
        rising = np.divide(inside**2, 2 * widths, out=np.zeros_like(widths), where=widths > 0)
        return float(weights @ (rising + np.maximum(limit - last, 0)) / limit)


def rank_pixels(maps: Sequence[NDArray], masks: Sequence[NDArray[np.bool_]]) -> RankedPixels:
    """Rank the pixels of defects among the normal ones, image by image.

    All values of defects are held and sorted once; those of normal pixels are only counted against them, so
    that memory does not grow with the number of images.

    Parameters
    ----------
    maps : sequence of (h, w) arrays
        Higher is more anomalous.
    masks : sequence of (H, W) bool arrays
        True on defects.

    Returns
    -------
    RankedPixels
        What AUROC and per-region overlap are computed from.

    Raises
    ------
    InputError
        If the numbers of maps and masks differ, a map is not finite, or no pixel is marked or none normal.
    """
    values, weights, regions = _defect_pixels(maps, masks)
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    # Entry i counts the normal pixels that are above (not below) the first i values and no more.
    above, not_below = (np.zeros(len(values) + 1, dtype=np.int64) for _ in range(2))
    for found, mask in _at_masks(maps, masks):
        normal = np.sort(found[~mask])
        above += np.bincount(np.searchsorted(values, normal, "left"), minlength=len(above))
        not_below += np.bincount(np.searchsorted(values, normal, "right"), minlength=len(above))
    total = int(above.sum())
    if not total:
        raise InputError("every pixel of every mask is marked: without normal pixels nothing can be ranked")
    higher, at_least = (total - np.cumsum(counts)[:-1] for counts in (above, not_below))
    return RankedPixels(higher, at_least, weights, total, regions)


def pixel_auroc(maps: Sequence[NDArray], masks: Sequence[NDArray[np.bool_]]) -> float:
    """Area under the ROC curve of all pixels of all images together, a fraction; see `rank_pixels`."""
    return rank_pixels(maps, masks).auroc()


def region_overlap(
    maps: Sequence[NDArray], masks: Sequence[NDArray[np.bool_]], limit: float = PRO_LIMIT
) -> float:
    """Per-region overlap (PRO): how much of each defect is found, large or small, at few false positives.

    Parameters
    ----------
    maps, masks
        As in `rank_pixels`. A region is a set of marked pixels connected along sides or corners.
    limit : float
        Largest share of normal pixels above the threshold, 0 < limit <= 1.

    Returns
    -------
    float
        Mean over regions of their share above the threshold, averaged over all thresholds with a rate of
        false positives up to `limit`: 1 is best.

    References
    ----------
    Bergmann, Fauser, Sattlegger and Steger, "Uninformed Students", CVPR 2020.
    """
    if not 0 < limit <= 1:
        raise InputError(f"limit is a false-positive rate of pixels, 0 < limit <= 1, not {limit!r}")
    return rank_pixels(maps, masks).region_overlap(limit)


def pointing_game(maps: Sequence[NDArray], masks: Sequence[NDArray[np.bool_]]) -> float:
    """Share of the anomalous images whose highest value lies on a defect; equal maxima count in proportion.

    Parameters
    ----------
    maps, masks
        As in `rank_pixels`; normal images are passed over.

    Returns
    -------
    float
        A fraction.

    References
    ----------
    Zhang, Bargal, Lin, Brandt, Shen and Sclaroff, "Top-down neural attention by excitation backprop", IJCV
    126, 2018 (there with a tolerance of 15 pixels, here without).
    """
    return float(np.mean([mask[found == found.max()].mean() for found, mask in _anomalous(maps, masks)]))


def relevance_inside(maps: Sequence[NDArray], masks: Sequence[NDArray[np.bool_]]) -> float:
    """Share of the positive relevance that lies on defects, averaged over the anomalous images.

    Parameters
    ----------
    maps, masks
        As in `rank_pixels`; normal images are passed over.

    Returns
    -------
    float
        A fraction; a map without positive values counts as 0. `marked_area` is what chance would give.
    """
    return float(np.mean([_inside(found, mask) for found, mask in _anomalous(maps, masks)]))


def marked_area(masks: Sequence[NDArray[np.bool_]]) -> float:
    """Share of an anomalous image that is marked, on average: what a map that is equal everywhere reaches.

    Parameters
    ----------
    masks : sequence of (H, W) bool arrays
        Those of normal images are passed over.

    Returns
    -------
    float
        A fraction: that of `pointing_game` and `relevance_inside` by chance.
    """
    return float(np.mean([mask.mean() for _, mask in _anomalous([np.zeros((1, 1))] * len(masks), masks)]))


def localisation(maps: Sequence[NDArray], masks: Sequence[NDArray[np.bool_]]) -> dict[str, float]:
    """All measures at once.

    Parameters
    ----------
    maps, masks
        As in `rank_pixels`.

    Returns
    -------
    dict
        ``pixel_auroc``, ``pro`` (up to 30 %), ``pointing``, ``inside`` and ``area``, all fractions.
    """
    ranked = rank_pixels(maps, masks)
    return {
        "pixel_auroc": ranked.auroc(),
        "pro": ranked.region_overlap(),
        "pointing": pointing_game(maps, masks),
        "inside": relevance_inside(maps, masks),
        "area": marked_area(masks),
    }


def _inside(found: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    positive = np.maximum(found, 0, dtype=np.float64)
    total = positive.sum()
    return float(positive[mask].sum() / total) if total else 0.0


def _defect_pixels(
    maps: Sequence[NDArray], masks: Sequence[NDArray[np.bool_]]
) -> tuple[NDArray[np.float32], NDArray[np.float64], int]:
    """Values of all pixels on defects, one over the size of each one's region, and the number of regions."""
    values, weights, regions = [], [], 0
    for found, mask in _anomalous(maps, masks):
        labels, count = ndimage.label(mask, structure=_EIGHT_NEIGHBOURS)
        of_pixel = labels[mask]
        values.append(found[mask])
        weights.append(1 / np.bincount(of_pixel)[of_pixel])
        regions += count
    return np.concatenate(values), np.concatenate(weights), regions


def _anomalous(
    maps: Sequence[NDArray], masks: Sequence[NDArray[np.bool_]]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    if not any(np.any(mask) for mask in masks):
        raise InputError("no mask marks a pixel: localisation needs anomalous images with their masks")
    yield from _at_masks(maps, masks, only_anomalous=True)


def _at_masks(
    maps: Sequence[NDArray], masks: Sequence[NDArray[np.bool_]], only_anomalous: bool = False
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Each map at the resolution of its mask."""
    if len(maps) != len(masks):
        raise InputError(f"there are {len(maps)} maps and {len(masks)} masks: give one mask for each map")
    for i, (found, mask) in enumerate(zip(maps, masks, strict=True)):
        if only_anomalous and not np.any(mask):
            continue
        if np.ndim(found) != 2 or np.ndim(mask) != 2:
            raise InputError(f"map {i} and its mask must have two axes, not shapes {np.shape(found)} and "
                             f"{np.shape(mask)}")  # fmt: skip
        if not np.isfinite(found).all():
            raise InputError(f"map {i} holds NaN or infinity: compute it again")
        yield resample(found, mask.shape).astype(np.float32), np.asarray(mask, dtype=bool)
