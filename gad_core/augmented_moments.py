"""Moments of the features of randomly changed training images, and their file (Tables IV, V and VIII)."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gad_core.components import PrincipalComponents, components_from_moments
from gad_core.errors import InputError
from gad_core.feature_file import CategoryFeatures
from gad_core.files import replacing, write_npz
from gad_core.moments import Moments

FORMAT = "gad-core augmented moments 1"
_MATCHED = ("weights_sha256", "levels", "size", "resize", "seed", "calibration_sha256", "dataset_sha256")
_SUMS = ("shift", "first", "second", "third", "fourth")


@dataclass(frozen=True, eq=False)
class AugmentedMoments:
    """All that Gaussians on many passes over augmented training images are made from.

    Parameters
    ----------
    category, backbone : str
        As in `CategoryFeatures`.
    level_widths : dict of int to int
        Width of each level.
    passes : int
        How often each training image was changed at random.
    moments : dict of int to Moments
        Of each level's features, over all images of all passes.
    subspace_fourths : dict of int to (2, k) array
        Of each level, from `gad_core.components.subspace_fourths`.
    provenance : dict
        How the features were computed, as JSON can write it.
    """

    category: str
    backbone: str
    level_widths: dict[int, int]
    passes: int
    moments: dict[int, Moments]
    subspace_fourths: dict[int, NDArray[np.float64]]
    provenance: dict[str, Any]

    def components(self, level: int) -> PrincipalComponents:
        """Give the principal components of a level, from which any Gaussian or subspace can be fitted.

        Parameters
        ----------
        level : int
            One of `level_widths`.

        Raises
        ------
        InputError
            If there is no such level.
        """
        if level not in self.moments:
            raise InputError(
                f"the augmented moments of {self.category} have no level {level}; there are: "
                f"{', '.join(map(str, self.moments))}"
            )
        fitted = components_from_moments(self.moments[level])
        return dataclasses.replace(fitted, subspace_fourths=self.subspace_fourths[level])

    def require_match(self, features: CategoryFeatures) -> None:
        """Raise InputError unless these moments are of the training images that features were computed of.

        Parameters
        ----------
        features : CategoryFeatures
            Their test features are to be scored.
        """
        pairs = [(name, getattr(self, name), getattr(features, name)) for name in ("category", "backbone")]
        pairs += [(name, self.provenance.get(name), features.provenance.get(name)) for name in _MATCHED]
        for name, mine, theirs in pairs:
            if mine != theirs:
                raise InputError(
                    f"the augmented moments have {name} {mine}, the features {theirs}: compute both from the "
                    "same images with the same network (gad features augment, gad features export)"
                )

    def __repr__(self) -> str:
        count = next(iter(self.moments.values())).count
        return (
            f"AugmentedMoments({self.category!r}, {self.backbone!r}): {self.passes} passes, {count} samples"
        )


def save_augmented(path: str | os.PathLike[str], augmented: AugmentedMoments) -> None:
    """Write augmented moments to one compressed ``.npz``; the same content gives the same bytes.

    Parameters
    ----------
    path : path-like
        The file to write; it is written whole or not at all.
    augmented : AugmentedMoments
        What to write.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    about = {
        "format": FORMAT,
        "category": augmented.category,
        "backbone": augmented.backbone,
        "levels": {
            str(level): {"width": width, "count": augmented.moments[level].count}
            for level, width in augmented.level_widths.items()
        },
        "passes": augmented.passes,
        "provenance": augmented.provenance,
    }
    arrays = {"about": np.array(json.dumps(about, allow_nan=False))}
    for level, moments in augmented.moments.items():
        parts = {name: np.asarray(getattr(moments, name), np.float64) for name in _SUMS}
        parts["second"] = parts["second"][np.triu_indices(moments.n_features)]  # symmetric: half is enough
        parts["subspace_fourths"] = augmented.subspace_fourths[level]
        arrays |= {f"{name}_{level}": part for name, part in parts.items()}
    try:
        with replacing(path) as temporary:
            write_npz(temporary, arrays)
    except OSError as error:
        raise InputError(f"cannot write the moments {path}: {error.strerror or error}") from error


def load_augmented(path: str | os.PathLike[str]) -> AugmentedMoments:
    """Read augmented moments from a file of `save_augmented`.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    AugmentedMoments
        The content.

    Raises
    ------
    InputError
        If there is no such file, or it is damaged or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file of moments: {path}; make one with gad features augment")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        about = json.loads(str(arrays["about"]))
        found, levels = about["format"], {int(level): sizes for level, sizes in about["levels"].items()}
        moments = {level: _moments(arrays, level, sizes) for level, sizes in levels.items()}
        parts = {name: about[name] for name in ("category", "backbone", "passes", "provenance")}
        fourths = {level: arrays[f"subspace_fourths_{level}"] for level in levels}
    except Exception as error:  # damaged archives raise any of a dozen types
        raise InputError(
            f"{path} is damaged or no file of augmented moments; write it again with gad features augment"
        ) from error
    if found != FORMAT:
        raise InputError(f"the moments {path} have format {found!r}; this version reads {FORMAT!r}")
    widths = {level: int(sizes["width"]) for level, sizes in levels.items()}
    return AugmentedMoments(level_widths=widths, moments=moments, subspace_fourths=fourths, **parts)


def _moments(arrays: Mapping[str, NDArray], level: int, sizes: Mapping[str, int]) -> Moments:
    shift, first, half, third, fourth = (arrays[f"{name}_{level}"] for name in _SUMS)
    p = sizes["width"]
    second = np.zeros((p, p))
    second[np.triu_indices(p)] = half
    second += np.triu(second, 1).T
    return Moments(int(sizes["count"]), shift, first, second, third, float(fourth))
