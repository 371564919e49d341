"""A cache of features on disk: one small file an image, named by the hash of all that decides its content."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gad_core.errors import InputError
from gad_core.files import replacing

FORMAT = 1
"""Version of what an entry holds and of how images are decoded; a change makes older entries unknown."""


def default_cache_folder() -> Path:
    """Folder of the cache: the environment variable GAD_CACHE, else one in the user's cache folder.

    Returns
    -------
    pathlib.Path
        The folder; it need not exist yet.
    """
    if folder := os.environ.get("GAD_CACHE"):
        return Path(folder).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("gad-core")) / "features"


def image_digest(image: bytes | NDArray) -> str:
    """Hash the content of an image file or an array.

    Parameters
    ----------
    image : bytes or array
        A file's content, or pixels; of pixels the type and shape count too.

    Returns
    -------
    str
        SHA-256 as 64 hexadecimal digits.
    """
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    digest = hashlib.sha256(f"array {image.dtype.str} {image.shape} ".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def entry_key(digest: str, recipe: Mapping[str, object]) -> str:
    """Name an entry by the hash of all that decides its content.

    Parameters
    ----------
    digest : str
        Of the image, from `image_digest`.
    recipe : mapping
        What is done with the image, as JSON can write it: network, weights, depth, size, resize rule, ...

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    content = {"format": FORMAT, "image": digest, "recipe": recipe}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class FeatureCache:
    """Feature vectors in a folder, one file each, written whole and verified when read.

    Several processes may use one folder at once.

    Parameters
    ----------
    folder : path-like, optional
        Where the entries are; by default `default_cache_folder`. It is made when the first entry is written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = FeatureCache(folder)
    ...     key = entry_key(image_digest(b"a file"), {"backbone": "resnet18"})
    ...     cache.put(key, np.arange(3, dtype=np.float32))
    ...     cache.get(key, width=3)
    array([0., 1., 2.], dtype=float32)
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = default_cache_folder() if folder is None else Path(folder)

    def path(self, key: str) -> Path:
        """Path of the entry of a key, there or not."""
        return self.folder / key[:2] / f"{key}.npz"

    def get(self, key: str, width: int) -> NDArray[np.float32] | None:
        """Read an entry.

        Parameters
        ----------
        key : str
            From `entry_key`.
        width : int
            The number of features that it must have.

        Returns
        -------
        (width,) float32 array or None
            None if there is no entry, or it is damaged; of the latter a warning tells.
        """
        path = self.path(key)
        try:
            # numpy reads each member to its end, where zipfile compares the stored checksum.
            with np.load(path, allow_pickle=False) as entry:
                features, stored = entry["features"], str(entry["key"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:  # damaged archives raise any of half a dozen types
            _warn_damaged(path, str(error))
            return None
        if stored != key or features.dtype != np.float32 or features.shape != (width,):
            _warn_damaged(path, "it is the entry of something else")
            return None
        return features

    def put(self, key: str, features: NDArray[np.float32]) -> None:
        """Write an entry, or replace it.

        Parameters
        ----------
        key : str
            From `entry_key`.
        features : (width,) float32 array
            The features of all levels up to the depth of the network.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        try:
            with replacing(self.path(key)) as temporary:
                np.savez(temporary, key=np.array(key), features=features.astype(np.float32, copy=False))
        except OSError as error:
            raise self._unwritable(error) from error

    def require_writable(self) -> None:
        """Raise InputError unless entries can be written, before time is spent on what they would hold."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"the feature cache {self.folder} cannot be written ({error.strerror or error}); name another "
            "folder (cache=FOLDER, or the environment variable GAD_CACHE), or go without (cache=None)"
        )


def _warn_damaged(path: Path, reason: str) -> None:
    warnings.warn(
        f"the cached features {path} are damaged ({reason}); they are not used, but computed again",
        RuntimeWarning,
        stacklevel=3,
    )
