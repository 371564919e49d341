"""Weights of a network: where they come from, and which file it is exactly."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gad_core.backbones import Backbone
from gad_core.errors import InputError
from gad_core.files import sha256
from gad_core.manifest import DATA, shipped_file

URL = "https://download.pytorch.org/models/"
"""Where torchvision's weights files are published."""

EMBEDDED = "weights/embedded.safetensors"
"""The embedded network's weights among the shipped files."""

Weights = str | os.PathLike[str] | None
"""The name of weights, the path of a file, or None for the backbone's own pretrained ones."""

NAMED = ("imagenet", "embedded", "random")
"""Weights that are known by a name."""

_CHOICES = '"imagenet", "embedded", "random", or a safetensors or state-dict file'


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights and its checksum.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    sha256 : str
        SHA-256 of its content, 64 hexadecimal digits.
    stamp : (int, int)
        Its size in bytes and time of change in ns when it was hashed.
    """

    path: Path
    sha256: str
    stamp: tuple[int, int]

    @classmethod
    def hashed(cls, path: Path) -> WeightsFile:
        """Hash a file; InputError if it cannot be read."""
        try:
            return cls(path, sha256(path), _stamp(path))
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions") from error

    def is_unchanged(self) -> bool:
        """Whether the file still has the size and time of change that it had when it was hashed."""
        try:
            return _stamp(self.path) == self.stamp
        except OSError:
            return False


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def checkpoint_path(backbone: Backbone) -> Path:
    """Path of a network's pretrained weights, there or not; needs no torch.

    Parameters
    ----------
    backbone : Backbone
        The network.

    Returns
    -------
    pathlib.Path
        ImageNet weights lie where torch keeps downloads: in ``hub/checkpoints`` of ``$TORCH_HOME``, else of
        ``$XDG_CACHE_HOME/torch``, else of ``~/.cache/torch``. Those of the embedded network ship with the
        package.
    """
    if backbone.pretrained == "embedded":
        return DATA / EMBEDDED
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", Path(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints" / backbone.checkpoint


def resolve_weights(weights: Weights, backbone: Backbone) -> WeightsFile | None:
    """Find the file of weights, downloading ImageNet weights that are not there yet.

    Parameters
    ----------
    weights : {"imagenet", "embedded", "random"}, path-like or None
        torchvision's IMAGENET1K_V1 weights, those that ship with the package, none, or those of a file. None
        stands for the backbone's own pretrained ones.
    backbone : Backbone
        The network they are for.

    Returns
    -------
    WeightsFile or None
        The file; None for random weights.

    Raises
    ------
    InputError
        If the file is missing or damaged, or cannot be downloaded, or the network has no such weights.
    """
    weights = named_weights(weights, backbone)
    if weights == "random":
        return None
    if weights == "imagenet":
        return imagenet_weights(backbone)
    if weights == "embedded":
        return WeightsFile.hashed(shipped_file(EMBEDDED))
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"{path}: no such weights file; give one of {_CHOICES}")
    return WeightsFile.hashed(path)


def named_weights(weights: Weights, backbone: Backbone) -> str | os.PathLike[str]:
    """Name the weights that are meant, checked against those that the backbone has.

    Parameters
    ----------
    weights : {"imagenet", "embedded", "random"}, path-like or None
        As in `resolve_weights`.
    backbone : Backbone
        The network they are for.

    Returns
    -------
    str or path-like
        One of the three names, or the path.

    Raises
    ------
    InputError
        If the network has no pretrained weights of that name.
    """
    if weights is None:
        return backbone.pretrained
    if not isinstance(weights, str | os.PathLike):
        raise InputError(f"weights must be one of {_CHOICES}, not {weights!r}")
    if weights in ("imagenet", "embedded") and weights != backbone.pretrained:
        other = ' (backbone="embedded", --backbone embedded)' if weights == "embedded" else ""
        raise InputError(
            f"there are no {weights} weights of the backbone {backbone.name}: leave the weights out for its "
            f"own, which are called {backbone.pretrained}, or choose another backbone{other}"
        )
    return weights


def imagenet_weights(backbone: Backbone) -> WeightsFile:
    """Find torchvision's ImageNet weights in torch's folder, or download them there.

    Parameters
    ----------
    backbone : Backbone
        The network they are for.

    Returns
    -------
    WeightsFile
        The verified file.

    Raises
    ------
    InputError
        If the file cannot be downloaded, or its checksum is not the published one.
    """
    path = checkpoint_path(backbone)
    if not path.is_file():
        _download(backbone.checkpoint, path, backbone.checkpoint_sha256)
    file = WeightsFile.hashed(path)
    if not file.sha256.startswith(backbone.checkpoint_sha256):
        raise InputError(
            f"{path} is damaged: its sha256 begins with {file.sha256[:8]}, not {backbone.checkpoint_sha256}; "
            "delete it, and it is downloaded again"
        )
    return file


def _download(name: str, path: Path, digest: str) -> None:
    from gad_core.datasets.download import fetch

    try:
        fetch(URL + name, path, digest, description=name)
    except (InputError, OSError) as error:
        raise InputError(
            f"the ImageNet weights {name} could not be had: give a local safetensors or state-dict file with "
            "--weights FILE, or choose the network that ships with the package with --backbone embedded "
            f'(in Python backbone="embedded"). The cause: {error}'
        ) from error
