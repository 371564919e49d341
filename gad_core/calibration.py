"""Statistics for the batch norms of random weights: found on training images, kept with a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gad_core.checkpoint import batch_norms
from gad_core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

Calibration = Mapping[str, NDArray[np.float32]]
"""Running statistics of batch norms, by torchvision's names of the buffers."""


def calibrate(network: nn.Module, batches: Iterable[Tensor]) -> dict[str, NDArray[np.float32]]:
    """Find the statistics that the batch norms of a random network meet on given images.

    With torch's initial statistics (mean 0, variance 1) the features of a deep random network underflow.

    Parameters
    ----------
    network : torch.nn.Module
        Its running statistics are replaced.
    batches : iterable of (b, 3, s, s) torch.Tensor
        Normalised images; the statistics are the plain average over the batches.

    Returns
    -------
    dict of str to float32 array
        The running means and variances by their names.
    """
    norms = batch_norms(network)
    for norm in norms.values():
        norm.reset_running_stats()
        norm.momentum = None  # torch's way to ask for the cumulative average
        norm.train()
    try:
        for batch in batches:
            network(batch)
    except ValueError as error:
        raise InputError(
            f"batch norm cannot be calibrated on these images ({error}); give more or larger ones"
        ) from error
    network.eval()
    return {
        f"{name}.{buffer}": getattr(norm, buffer).cpu().numpy().copy()
        for name, norm in norms.items()
        for buffer in ("running_mean", "running_var")
    }


def apply_calibration(network: nn.Module, calibration: Calibration) -> None:
    """Give a network the running statistics that `calibrate` found.

    Parameters
    ----------
    network : torch.nn.Module
        Its running statistics are replaced.
    calibration : mapping of str to float32 array
        Statistics of at least the batch norms that it has.

    Raises
    ------
    InputError
        If one is missing or of another length.
    """
    import torch

    for name, norm in batch_norms(network).items():
        for buffer in ("running_mean", "running_var"):
            values, target = calibration.get(f"{name}.{buffer}"), getattr(norm, buffer)
            if values is None or np.shape(values) != tuple(target.shape):
                raise InputError(
                    f"the calibration has no fitting {name}.{buffer}: it belongs to another network or fewer "
                    "levels; call fit with training images again"
                )
            target.copy_(torch.from_numpy(np.array(values, dtype=np.float32)))
