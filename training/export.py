"""From a trained student to the file that ships: batch norms folded, half precision, with its history."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gad_core.embedded_network import embedded_network
from gad_core.files import replacing

FACTS = ("route", "seed", "picture_seed", "count", "styles", "steps", "batch", "rate", "exposure", "start")
"""Options of a run that the file names."""


def folded(network: nn.Module) -> dict[str, Tensor]:
    """Fold the batch norms of a trained network into its convolutions.

    Parameters
    ----------
    network : torch.nn.Module
        From ``embedded_network(normalise=True)``.

    Returns
    -------
    dict of str to torch.Tensor
        A state for ``embedded_network(normalise=False)``, which gives the same maps.
    """
    state: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Sequential) and isinstance(module[-1], nn.BatchNorm2d):
            convolution, norm = module
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            state[f"{name}.0.weight"] = convolution.weight * scale[:, None, None, None]
            state[f"{name}.0.bias"] = norm.bias - norm.running_mean * scale
    expected = embedded_network().state_dict().keys()
    if state.keys() != expected:
        raise ValueError(f"the network does not fold: {state.keys() ^ expected}")
    return {name: tensor.detach().contiguous() for name, tensor in state.items()}


def export(model: nn.Module, folder: Path, options: Mapping[str, Any]) -> Path:
    """Write the network of a training run's last checkpoint as ``embedded.safetensors`` in its folder.

    Parameters
    ----------
    model : torch.nn.Module
        Of the run's route, freshly built.
    folder : pathlib.Path
        Of the run.
    options : mapping
        Of the run; those in `FACTS` become metadata.

    Returns
    -------
    pathlib.Path
        The file.
    """
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True, map_location="cpu")
    model.load_state_dict(checkpoint["model"])
    halves = {name: tensor.to(torch.float16) for name, tensor in folded(model.network).items()}
    facts = {name: str(options[name]) for name in FACTS}
    path = folder / "embedded.safetensors"
    with replacing(path) as temporary:
        save_file(halves, temporary, metadata=facts)
    return path
