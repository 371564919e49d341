import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from gad_core import execution
from gad_core.errors import InputError
from gad_core.execution import Execution, choose_execution, is_cpu

FP32_TORCH, FP32_OPENVINO = Execution("torch", "fp32"), Execution("openvino", "fp32")


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(execution, "openvino_installed", lambda: True)


def test_auto_is_openvino_on_the_cpu_for_pretrained_weights(installed, monkeypatch):
    assert choose_execution("cpu") == FP32_OPENVINO
    assert choose_execution("cpu", random_weights=True) == FP32_TORCH
    assert choose_execution("cuda:0") == FP32_TORCH
    assert choose_execution("cpu", "torch") == FP32_TORCH
    assert choose_execution("cpu", "openvino", random_weights=True) == FP32_OPENVINO
    monkeypatch.setattr(execution, "is_cpu", lambda _: False)
    assert choose_execution("auto") == FP32_TORCH
    monkeypatch.setattr(execution, "is_cpu", lambda _: True)
    monkeypatch.setattr(execution, "openvino_installed", lambda: False)
    assert choose_execution("cpu") == FP32_TORCH


def test_bfloat16_goes_where_the_processor_has_it(installed, monkeypatch):
    monkeypatch.setattr(execution, "_has_bf16", lambda: True)
    assert choose_execution("cpu", precision="bf16") == Execution("openvino", "bf16")
    assert choose_execution("cpu", "openvino", "bf16") == Execution("openvino", "bf16")
    monkeypatch.setattr(execution, "_has_bf16", lambda: False)
    assert choose_execution("cpu", precision="bf16") == Execution("torch", "bf16")
    with pytest.raises(InputError, match="no bfloat16 arithmetic"):
        choose_execution("cpu", "openvino", "bf16")


@pytest.mark.parametrize(
    ("device", "runtime", "precision", "message"),
    [
        ("cpu", "onnx", "auto", "runtime must be one of auto, torch, openvino, not 'onnx'"),
        ("cpu", "auto", "fp16", "precision must be one of auto, fp32, tf32, bf16, not 'fp16'"),
        ("cuda:0", "openvino", "auto", 'computes on the CPU, and the device is "cuda:0"'),
        ("cpu", "auto", "tf32", "arithmetic of CUDA devices"),
        ("cpu", "openvino", "tf32", "arithmetic of CUDA devices"),
    ],
)
def test_what_is_not_possible_is_refused(installed, device, runtime, precision, message):
    with pytest.raises(InputError, match=message):
        choose_execution(device, runtime, precision)


def test_openvino_must_be_installed(monkeypatch):
    monkeypatch.setattr(execution, "openvino_installed", lambda: False)
    with pytest.raises(InputError, match=r'pip install "gad-core\[fast\]"'):
        choose_execution("cpu", "openvino")


@pytest.mark.parametrize(
    ("version", "works"), [("2024.6.0", False), ("2025.3.0", False), ("2025.4.0", True), ("2026.0.0", True)]
)
def test_an_old_openvino_counts_as_none(monkeypatch, version, works):
    monkeypatch.setattr(execution.importlib.metadata, "version", lambda _: version)
    assert execution.openvino_installed() is works
    if not works:
        assert choose_execution("cpu") == FP32_TORCH
        with pytest.raises(InputError, match=r"openvino, 2025\.4 or later"):
            choose_execution("cpu", "openvino")


def test_without_the_package_openvino_is_not_installed(monkeypatch):
    def absent(name):
        raise execution.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(execution.importlib.metadata, "version", absent)
    assert not execution.openvino_installed()


def test_the_oldest_openvino_is_that_of_the_extra():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    (extra,) = project["optional-dependencies"]["fast"]
    assert extra == "openvino>={}.{}".format(*execution.OLDEST_OPENVINO)


def test_devices():
    assert is_cpu("cpu")
    assert is_cpu("cpu:0")
    assert not is_cpu("cuda:1")
    assert not is_cpu("mps")
    accelerated = torch.cuda.is_available() or torch.backends.mps.is_available()
    assert is_cpu("auto") != accelerated


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch is asked for accelerators")
@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU torch is asked")
def test_without_a_driver_the_choice_needs_no_torch():
    code = (
        "import sys; from gad_core.execution import choose_execution; choose_execution('auto'); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
