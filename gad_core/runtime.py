"""Run a network in torch: device, threads and precision, normalised input, pooling.

All functions import torch when called, so that the module can be imported without it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gad_core.backbones import Backbone, build
from gad_core.calibration import Calibration, apply_calibration
from gad_core.checkpoint import load_weights
from gad_core.errors import InputError
from gad_core.images import MEAN, STD
from gad_core.stages import StageTimes, staged
from gad_core.threads import thread_count
from gad_core.weights import WeightsFile

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


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
def computing(device: torch.device, *, gradients: bool = False, precision: str = "fp32") -> Iterator[None]:
    """Compute in a given precision and on all allowed cores, inside the block only.

    The number of cores is what affinity and container limits allow, not what the machine has. Unless it is
    asked for, lower precision for float32 (TF32, bfloat16, autocast) is off, because small features in it
    would depend on the device.

    Parameters
    ----------
    device : torch.device
        Where the block computes.
    gradients : bool
        Whether autograd records; without it memory is not spent on that.
    precision : {"fp32", "tf32", "bf16"}
        "tf32" is for products and convolutions on CUDA, "bf16" for those of autocast.
    """
    import torch

    threads = torch.get_num_threads()
    recording = torch.enable_grad() if gradients else torch.inference_mode()
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    with _float32_precision(precision), recording, autocast:
        torch.set_num_threads(thread_count())
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@contextlib.contextmanager
def _float32_precision(precision: str) -> Iterator[None]:
    """Switch TensorFloat-32 on, or all lower precision for float32 off."""
    from torch import backends

    switches: list[tuple[Any, str, Any]]
    if hasattr(backends.cudnn, "conv"):
        known: Any = backends  # torch's type hints lack some of these
        on_cuda, on_cpu = (known.cudnn.conv, known.cuda.matmul), (known.mkldnn.conv, known.mkldnn.matmul)
        wanted = "tf32" if precision == "tf32" else "ieee"
        switches = [(operator, "fp32_precision", wanted) for operator in on_cuda]
        switches += [(operator, "fp32_precision", "ieee") for operator in on_cpu]
    else:  # torch before 2.9
        wide = precision == "tf32"
        switches = [(backends.cudnn, "allow_tf32", wide), (backends.cuda.matmul, "allow_tf32", wide)]
    before = [getattr(owner, name) for owner, name, _ in switches]
    # Those already at full precision stay untouched: writing one makes an inherited setting explicit.
    changed = [
        (switch, old)
        for switch, old in zip(switches, before, strict=True)
        if old != switch[2] and not (switch[2] == "ieee" and old == "none")
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

    return torch.cat([m.float().mean(dim=(2, 3)) for m in maps], dim=1).cpu().numpy()


def torch_maps(
    network: nn.Module, device: torch.device
) -> Callable[[NDArray[np.uint8]], Callable[[], list[Tensor]]]:
    """Give the function that prepares to compute the maps of a batch of images, in float32.

    Parameters
    ----------
    network, device
        From `load_network`.

    Returns
    -------
    callable
        Takes (b, s, s, 3) uint8 images; gives a function that computes the (b, c, h, w) maps of all levels,
        when it is called: maps are large, and two batches of them need not exist.
    """

    def start(images: NDArray[np.uint8]) -> Callable[[], list[Tensor]]:
        def wait() -> list[Tensor]:
            with computing(device):
                maps: list[Tensor] = network(normalised(images, device))
            return maps

        return wait

    return start


def torch_features(
    network: nn.Module, device: torch.device, precision: str = "fp32", times: StageTimes | None = None
) -> Callable[[NDArray[np.uint8]], Callable[[], NDArray[np.float32]]]:
    """Give the function that starts to compute the features of a batch of images.

    Parameters
    ----------
    network, device
        From `load_network`.
    precision : {"fp32", "tf32", "bf16"}
        As in `computing`.
    times : StageTimes or None
        Clocks of the stages. A GPU has done its part when the averages are there, so it is timed with them.

    Returns
    -------
    callable
        Takes (b, s, s, 3) uint8 images; gives a function that waits for the (b, sum of c) features.
    """

    def start(images: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        with computing(device, precision=precision):
            with staged(times, "network", threaded=True):
                maps = network(normalised(images, device))
            with staged(times, "pooling", threaded=True):
                features = pooled(maps)
        return lambda: features

    return start
