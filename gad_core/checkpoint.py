"""Load a file of weights into a network: safetensors or a torch state dict, checked tensor by tensor."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gad_core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

MISSING_SHOWN = 3
"""How many missing tensors an error message names."""


def load_weights(network: nn.Module, path: str | os.PathLike[str]) -> None:
    """Give a network the weights of a file.

    Tensors that the network does not have are ignored; floating-point tensors become float32. The metadata
    key ``bn_eps`` of a safetensors file overrides the epsilon of every batch norm.

    Parameters
    ----------
    network : torch.nn.Module
        Its parameters are replaced, so they may be without storage.
    path : path-like
        A safetensors file or a torch state dict (loaded with ``weights_only=True``), in the network's
        own names of parameters: torchvision's, but for the embedded network.

    Raises
    ------
    InputError
        If the file is damaged or foreign, or a tensor that the network needs is missing, of another shape or
        not finite.
    """
    path = Path(path)
    expected = network.state_dict()
    tensors, metadata = read_tensors(path, expected)
    eps = _batch_norm_epsilon(metadata, path)  # before anything is changed
    state = _fitting(expected, tensors, path)
    network.load_state_dict(state, strict=True, assign=True)
    network.requires_grad_(False)
    if eps is not None:
        for module in batch_norms(network).values():
            module.eps = eps


def read_tensors(path: Path, names: Iterable[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of the given names, as far as the file has them, and its metadata.

    Parameters
    ----------
    path : pathlib.Path
        A safetensors file or a torch state dict; which of them is seen from its content.
    names : iterable of str
        The tensors that are wanted.

    Returns
    -------
    tensors : dict of str to torch.Tensor
        The wanted tensors that are there, on the CPU.
    metadata : dict of str to str
        Of a safetensors file; else empty.

    Raises
    ------
    InputError
        If the file is neither, or damaged.
    """
    try:
        with path.open("rb") as file:
            is_safetensors = file.read(9)[8:] == b"{"
        return (_read_safetensors if is_safetensors else _read_state_dict)(path, set(names))
    except Exception as error:  # the two readers raise a dozen types on damaged or foreign files
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{path} is no readable safetensors file or state dict ({reason}); check or fetch it again"
        ) from error


def _read_safetensors(path: Path, names: set[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        # Cloned: the tensors are views of the mapped file, which may be replaced while they are in use.
        tensors = {name: file.get_tensor(name).clone() for name in names.intersection(file.keys())}
        return tensors, file.metadata() or {}


def _read_state_dict(path: Path, names: set[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    import torch

    with path.open("rb") as file:  # a file, because of a path torch believes the suffix
        content = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(content, Mapping):
        raise TypeError(f"it holds a {type(content).__name__}, not a dictionary of tensors")
    return {n: v for n, v in content.items() if n in names and isinstance(v, torch.Tensor)}, {}


def _fitting(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Check the tensors found against those expected, and convert them to the expected types."""
    import torch

    # How many batches a batch norm has seen matters in training only, so files may leave it out.
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = [name for name in expected if name not in found and name not in counters]
    if missing:
        shown = ", ".join(missing[:MISSING_SHOWN]) + (", ..." if len(missing) > MISSING_SHOWN else "")
        raise InputError(
            f"{path} lacks {len(missing)} of the {len(expected) - len(counters)} tensors that this network "
            f"and these levels need ({shown}); give weights of this network under its own names, or ask "
            "for fewer levels"
        )
    state = {name: torch.zeros((), dtype=torch.long) for name in counters}
    for name in expected.keys() - counters:
        shape, tensor = tuple(expected[name].shape), found[name]
        if tuple(tensor.shape) != shape or not tensor.is_floating_point():
            raise InputError(
                f"{path}: tensor {name} is {tuple(tensor.shape)} of {tensor.dtype}, and this network needs "
                f"{shape} of a floating-point type; give weights of this network"
            )
        state[name] = tensor.detach().to(torch.float32)
        if not state[name].isfinite().all():  # some arithmetic would hide it behind an activation
            raise InputError(f"{path}: tensor {name} holds values that are not finite; fetch the file again")
    return state


def _batch_norm_epsilon(metadata: Mapping[str, str], path: Path) -> float | None:
    if "bn_eps" not in metadata:
        return None
    try:
        eps = float(metadata["bn_eps"])
    except ValueError:
        eps = -1.0
    if not 0 < eps < 1:
        raise InputError(
            f"{path}: the metadata key bn_eps is {metadata['bn_eps']!r}, which is no number between 0 and 1; "
            "write the file again"
        )
    return eps


def batch_norms(network: nn.Module) -> dict[str, Any]:
    """Find the batch-norm layers of a network.

    Parameters
    ----------
    network : torch.nn.Module
        The network.

    Returns
    -------
    dict of str to torch.nn.BatchNorm2d
        Each layer by its name.
    """
    from torch import nn

    return {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
