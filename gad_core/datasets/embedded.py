"""Real features that ship with the package: no network, no images, nothing to download.

They were computed from MVTec AD and are under its licence, CC BY-NC-SA 4.0 (``data/features/LICENSE``).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from gad_core.augmented_moments import AugmentedMoments, load_augmented
from gad_core.errors import InputError
from gad_core.feature_file import CategoryFeatures, load_features
from gad_core.manifest import shipped_file, shipped_names

FOLDER = PurePosixPath("features")
AUGMENTED = FOLDER / "augmented"
RANDOM = FOLDER / "random"
WORDS = {FOLDER: "features", AUGMENTED: "augmented moments", RANDOM: "features with random weights"}


def embedded_features(
    category: str, backbone: str = "efficientnet_b4", weights: str | None = None
) -> CategoryFeatures:
    """Read the features of a category that ship with the package.

    Parameters
    ----------
    category : str
        A category of MVTec AD, such as ``"bottle"``.
    backbone : str
        The network that computed them.
    weights : "random" or None
        Whether the network was an untrained one, to compare with, or has its pretrained weights.

    Returns
    -------
    CategoryFeatures
        Features, paths and defect types of the training and test images.

    Raises
    ------
    InputError
        If these features do not ship, or their file is damaged.
    """
    if weights not in (None, "random"):
        raise InputError(f'weights must be None or "random", not {weights!r}')
    return load_features(_shipped(RANDOM if weights == "random" else FOLDER, category, backbone))


def list_embedded() -> list[tuple[str, str]]:
    """List the features of pretrained networks that ship with the package, as (category, backbone)."""
    return _listed(FOLDER)


def embedded_augmented(category: str, backbone: str = "efficientnet_b4") -> AugmentedMoments:
    """Read the moments of augmented training images that ship with the package.

    Parameters
    ----------
    category, backbone : str
        As in `embedded_features`.

    Returns
    -------
    AugmentedMoments
        Of many random passes over the images that the embedded features are of.

    Raises
    ------
    InputError
        If these moments do not ship, or their file is damaged.
    """
    return load_augmented(_shipped(AUGMENTED, category, backbone))


def list_embedded_augmented() -> list[tuple[str, str]]:
    """List the moments of augmented images that ship with the package, as (category, backbone)."""
    return _listed(AUGMENTED)


def _shipped(folder: PurePosixPath, category: str, backbone: str) -> Path:
    there = _listed(folder)
    if (category, backbone) not in there:
        listed = ", ".join(f"{c} of {b}" for c, b in there) or "none"
        raise InputError(
            f"no {WORDS[folder]} of {category} of {backbone} ship with gad-core; there are: {listed}"
        )
    return shipped_file(str(folder / backbone / f"{category}.npz"))


def _listed(folder: PurePosixPath) -> list[tuple[str, str]]:
    """Find the files ``<folder>/<backbone>/<category>.npz``."""
    paths = [PurePosixPath(name) for name in shipped_names(f"{folder}/")]
    return [(path.stem, path.parent.name) for path in paths if path.parent.parent == folder]
