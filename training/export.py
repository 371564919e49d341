"""From a trained student to the file that ships: batch norms folded, half precision, with its history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gad_core.embedded_network import embedded_network
from gad_core.files import replacing
from training.loop import load_checkpoint
from training.record import read_facts


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
            convolution, norm = cast(nn.Conv2d, module[0]), cast(nn.BatchNorm2d, module[1])
            mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
            scale = norm.weight / torch.sqrt(variance + norm.eps)
            state[f"{name}.0.weight"] = convolution.weight * scale[:, None, None, None]
            state[f"{name}.0.bias"] = norm.bias - mean * scale
    return {name: tensor.detach().contiguous() for name, tensor in state.items()}


def export(run: Path) -> Path:
    """Write the network of a run's last checkpoint as ``embedded.safetensors`` in its folder.

    Parameters
    ----------
    run : pathlib.Path
        Folder of the run; what it was made from becomes the file's metadata.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    InputError
        If the run has no checkpoint, or does not say what it was made from.
    """
    facts = {name: json.dumps(value) for name, value in read_facts(run).items()}
    trained, prefix = embedded_network(normalise=True), "network."
    state = load_checkpoint(run)["model"]
    trained.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    halves = {name: tensor.to(torch.float16) for name, tensor in folded(trained).items()}
    path = run / "embedded.safetensors"
    with replacing(path) as temporary:
        save_file(halves, temporary, metadata=facts)
    return path
