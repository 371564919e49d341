"""Run a network: device, threads and precision, normalised input, calibration of random weights.

All functions import torch when called, so that the module can be imported without it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from numpy.typing import NDArray

from gad_core.backbones import Backbone, build
from gad_core.checkpoint import batch_norms, load_weights
from gad_core.errors import InputError
from gad_core.images import MEAN, STD
from gad_core.weights import WeightsFile

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Calibration = Mapping[str, NDArray[np.float32]]
"""Running statistics of batch norms, by torchvision's names of the buffers."""


def choose_device(device: str) -> torch.device:
    """Find the device to compute on.

    Parameters
    ----------
    device : str
        ``"auto"`` (CUDA, else MPS, else the CPU) or one of torch's names, such as ``"cpu"`` or ``"cuda:1"``.

    Returns
    -------
    torch.device
        A device that is there.

    Raises
    ------
    InputError
        If the device does not exist.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).cpu()
    except Exception as error:  # torch raises a different type for each way of not having a device
        reason = str(error).partition("\n")[0]
        raise InputError(f'device "{device}" is not available ({reason}); use "auto" or "cpu"') from error
    return chosen


@contextlib.contextmanager
def computing(device: torch.device, *, gradients: bool = False) -> Iterator[None]:
    """Compute in full float32 precision and on all allowed cores, inside the block only.

    The number of cores is what affinity and container limits allow, not what the machine has. Lower precision
    for float32 (TF32, bfloat16, autocast) is off, because small features in it would depend on the device.

    Parameters
    ----------
    device : torch.device
        Where the block computes.
    gradients : bool
        Whether autograd records; without it memory is not spent on that.
    """
    import torch

    threads = torch.get_num_threads()
    recording = torch.enable_grad() if gradients else torch.inference_mode()
    with _full_precision(), recording, torch.autocast(device.type, enabled=False):
        torch.set_num_threads(joblib.cpu_count())
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    from torch import backends

    switches: list[tuple[Any, str, Any]]
    if hasattr(backends.cudnn, "conv"):
        known: Any = backends  # torch's type hints lack some of these
        operators = (known.cudnn.conv, known.cuda.matmul, known.mkldnn.conv, known.mkldnn.matmul)
        switches = [(operator, "fp32_precision", "ieee") for operator in operators]
    else:  # torch before 2.9
        switches = [(backends.cudnn, "allow_tf32", False), (backends.cuda.matmul, "allow_tf32", False)]
    before = [getattr(owner, name) for owner, name, _ in switches]
    # Those already at full precision stay untouched: writing one makes an inherited setting explicit.
    changed = [
        (switch, old)
        for switch, old in zip(switches, before, strict=True)
        if old not in ("none", "ieee", False)
    ]
    try:
        for (owner, name, value), _ in changed:
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name, _), old in changed:
            setattr(owner, name, old)


def whole_number(value: Any, name: str, least: int) -> int:
    """Return an integer parameter, or raise InputError if it is no whole number or too small."""
    whole = not isinstance(value, bool) and hasattr(value, "__index__")
    if not whole or not least <= value.__index__() < 2**63:
        raise InputError(f"{name} must be a whole number of at least {least} and below 2**63, not {value!r}")
    return int(value)


def load_network(
    backbone: Backbone,
    depth: int,
    weights: WeightsFile | None,
    seed: int,
    calibration: Calibration | None,
    device: torch.device,
) -> nn.Module:
    """Build a network up to a level, with its weights, on a device.

    Parameters
    ----------
    backbone : Backbone
        Which network.
    depth : int
        The deepest level.
    weights : WeightsFile or None
        The file of weights; None for random ones.
    seed : int
        Seed of random weights.
    calibration : mapping or None
        Running statistics for the batch norms of random weights.
    device : torch.device
        Where to put it.

    Returns
    -------
    torch.nn.Module
        As from `gad_core.backbones.build`.
    """
    import torch

    network = build(backbone, depth, seed=seed if weights is None else None)
    if weights is not None:
        load_weights(network, weights.path)
    elif calibration is not None:
        apply_calibration(network, calibration)
    # oneDNN's convolutions are about twice as fast when the channels come last.
    layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
    return network.to(device).to(memory_format=layout)


def normalised(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Turn a batch of images into a network's input (method: Protocol).

    Parameters
    ----------
    images : (b, s, s, 3) uint8 array
        The images.
    device : torch.device
        Where the network is; the normalisation is computed there.

    Returns
    -------
    (b, 3, s, s) float32 torch.Tensor
        ``(images / 255 - MEAN) / STD``.
    """
    import torch

    x = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).to(torch.float32)
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (MEAN, STD))
    x = x.div_(255).sub_(mean).div_(std)
    return x if device.type == "cpu" else x.contiguous()


def pooled(maps: Iterable[Tensor]) -> NDArray[np.float32]:
    """Average each map over its positions, and put the levels side by side.

    Parameters
    ----------
    maps : iterable of (b, c, h, w) torch.Tensor
        One map a level.

    Returns
    -------
    (b, sum of c) float32 array
        The feature vectors (method: Protocol).
    """
    import torch

    return torch.cat([m.mean(dim=(2, 3)) for m in maps], dim=1).cpu().numpy()


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
