"""Real features that ship with the package: no network, no images, nothing to download.

They were computed from MVTec AD and are under its licence, CC BY-NC-SA 4.0 (``data/features/LICENSE``).
"""

from __future__ import annotations

from pathlib import PurePosixPath

from gad_core.errors import InputError
from gad_core.feature_file import CategoryFeatures, load_features
from gad_core.manifest import shipped_file, shipped_names

FOLDER = "features/"


def embedded_features(category: str, backbone: str = "efficientnet_b4") -> CategoryFeatures:
    """Read the features of a category that ship with the package.

    Parameters
    ----------
    category : str
        A category of MVTec AD, such as ``"bottle"``.
    backbone : str
        The network that computed them.

    Returns
    -------
    CategoryFeatures
        Features, paths and defect types of the training and test images.

    Raises
    ------
    InputError
        If these features do not ship, or their file is damaged.
    """
    there = list_embedded()
    if (category, backbone) not in there:
        listed = ", ".join(f"{c} of {b}" for c, b in there) or "none"
        raise InputError(f"no features of {category} of {backbone} ship with gad-core; there are: {listed}")
    return load_features(shipped_file(f"{FOLDER}{backbone}/{category}.npz"))


def list_embedded() -> list[tuple[str, str]]:
    """List the features that ship with the package, as (category, backbone)."""
    paths = [PurePosixPath(name) for name in shipped_names(FOLDER)]
    return [(path.stem, path.parent.name) for path in paths if path.suffix == ".npz"]
