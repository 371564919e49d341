"""How features are computed: runtime and precision, decided without importing torch where possible."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from gad_core.errors import InputError

Runtime = Literal["auto", "torch", "openvino"]
"""What runs the network."""

Precision = Literal["auto", "fp32", "tf32", "bf16"]
"""The numbers it computes with: float32, or on request TensorFloat-32 (CUDA) or bfloat16."""

OLDEST_OPENVINO = (2025, 4)
"""The first version of OpenVINO, as pyproject.toml asks for it, that works here."""

_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""What the drivers of NVIDIA's cards, of cards under Windows' Linux, and of AMD's cards make on Linux."""


@dataclass(frozen=True)
class Execution:
    """What runs a network, and with which numbers; both decide the last digits of the features."""

    runtime: Literal["torch", "openvino"]
    precision: Literal["fp32", "tf32", "bf16"]


def choose_execution(
    device: str, runtime: Runtime = "auto", precision: Precision = "auto", *, random_weights: bool = False
) -> Execution:
    """Decide what runs a network.

    ``runtime="auto"`` is OpenVINO if it is installed (2025.4 or later) and the device is the CPU, else torch.
    Networks with random weights stay in torch, where they are drawn and calibrated. ``precision="auto"`` is
    float32 everywhere, because published numbers should not depend on the processor.

    Parameters
    ----------
    device : str
        As in `gad_core.runtime.choose_device`.
    runtime : {"auto", "torch", "openvino"}
        What to use.
    precision : {"auto", "fp32", "tf32", "bf16"}
        What to compute with. bfloat16 is fast only on processors that have it; OpenVINO refuses the others.
    random_weights : bool
        Whether the weights are random.

    Returns
    -------
    Execution
        The decision.

    Raises
    ------
    InputError
        If a name is unknown, OpenVINO is not installed, is too old or is to use a GPU, or the machine cannot
        compute with that precision.
    """
    _check_name("runtime", runtime, get_args(Runtime))
    _check_name("precision", precision, get_args(Precision))
    numbers: Literal["fp32", "tf32", "bf16"] = "fp32" if precision == "auto" else precision
    if numbers == "tf32":
        _require_cuda(device, runtime)
        return Execution("torch", numbers)
    if runtime == "openvino":
        _require_openvino(device, numbers)
        return Execution("openvino", numbers)
    usable = runtime == "auto" and not random_weights and openvino_installed() and is_cpu(device)
    if usable and (numbers == "fp32" or _has_bf16()):
        return Execution("openvino", numbers)
    return Execution("torch", numbers)


def openvino_installed() -> bool:
    """Whether the package openvino is there, in a version that can import a compiled network from memory."""
    try:
        year, release = importlib.metadata.version("openvino").split(".")[:2]
    except importlib.metadata.PackageNotFoundError:
        return False
    return (int(year), int(release)) >= OLDEST_OPENVINO


def is_cpu(device: str) -> bool:
    """Whether a device, as in `gad_core.runtime.choose_device`, is the CPU on this machine."""
    if device != "auto":
        return str(device).partition(":")[0] == "cpu"
    if sys.platform == "linux" and not any(Path(driver).exists() for driver in _DRIVERS):
        return True  # no accelerator without a driver, so there is no need to import torch and ask it
    from gad_core.runtime import choose_device

    return choose_device(device).type == "cpu"


def _check_name(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, not {value!r}")


def _require_cuda(device: str, runtime: str) -> None:
    from gad_core.runtime import choose_device

    if runtime == "openvino" or choose_device(device).type != "cuda":
        raise InputError(
            'precision="tf32" is arithmetic of CUDA devices in torch: use precision="fp32", or a CUDA device'
        )


def _require_openvino(device: str, precision: str) -> None:
    if not openvino_installed():
        raise InputError(
            'runtime="openvino" needs the package openvino, {}.{} or later: '.format(*OLDEST_OPENVINO)
            + 'pip install "gad-core[fast]", or use runtime="torch"'
        )
    if device != "auto" and not is_cpu(device):
        raise InputError(
            f'runtime="openvino" computes on the CPU, and the device is "{device}": use device="cpu", or '
            'runtime="torch"'
        )
    if precision == "bf16" and not _has_bf16():
        raise InputError(
            'precision="bf16" is not possible in OpenVINO on this processor, which has no bfloat16 '
            'arithmetic: use precision="fp32"'
        )


def _has_bf16() -> bool:
    from gad_core.openvino_runtime import supports_bf16

    return supports_bf16()
