"""Real features that ship with the package: no network, no images, nothing to download.

They were computed from MVTec AD and are under its licence, CC BY-NC-SA 4.0 (``data/features/LICENSE``).
"""

from __future__ import annotations

from pathlib import PurePosixPath

from gad_core.backbones import BACKBONES
from gad_core.errors import InputError
from gad_core.feature_file import CategoryFeatures, load_features
from gad_core.manifest import shipped_file, shipped_names

FOLDER = "features/"


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
        Features of the untrained network, to compare with, or of the pretrained one.

    Returns
    -------
    CategoryFeatures
        Features, paths and defect types of the training and test images.

    Raises
    ------
    InputError
        If these features do not ship, or their file is damaged.
    """
    name = features_path(category, backbone, weights)
    there = [PurePosixPath(each) for each in shipped_names(FOLDER)]
    if PurePosixPath(FOLDER) / name not in there:
        listed = ", ".join(f"{path.stem} of {path.parent.name}" for path in there) or "none"
        network = name.parent.name
        raise InputError(f"no features of {category} of {network} ship with gad-core; there are: {listed}")
    return load_features(shipped_file(f"{FOLDER}{name}"))


def features_path(category: str, backbone: str, weights: str | None) -> PurePosixPath:
    """Path of a category's features below a folder of features: those of random weights lie apart.

    Examples
    --------
    >>> str(features_path("bottle", "embedded", "random"))
    'embedded-random/bottle.npz'
    """
    return PurePosixPath(f"{backbone}-random" if weights == "random" else backbone, f"{category}.npz")


def list_embedded() -> list[tuple[str, str]]:
    """List the features of pretrained networks that ship with the package, as (category, backbone)."""
    paths = [PurePosixPath(name) for name in shipped_names(FOLDER)]
    return [(path.stem, path.parent.name) for path in paths if path.parent.name in BACKBONES]
