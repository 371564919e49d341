import joblib
import numpy as np
import pytest
import torch
from torch import nn

from gad_core import FeatureExtractor
from gad_core.calibration import apply_calibration, calibrate
from gad_core.errors import InputError
from gad_core.images import MEAN, STD
from gad_core.runtime import (
    choose_device,
    computing,
    normalised,
    pooled,
    whole_number,
)

CPU = torch.device("cpu")


def small_network():
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5)
    )
    torch.random.set_rng_state(torch_state)
    return network.eval().requires_grad_(False)


def test_devices():
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cuda", "mps", "cpu")
    for absent in ("cuda:99", "tpu", "meta", "", None):
        with pytest.raises(InputError, match=f'device "{absent}" is not available'):
            choose_device(absent)


def precision():
    b = torch.backends
    return [x.fp32_precision for x in (b.cudnn.conv, b.cuda.matmul, b.mkldnn.conv, b.mkldnn.matmul)]


def test_settings_hold_inside_only():
    threads, matmul = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        torch.set_num_threads(1)
        torch.set_float32_matmul_precision("medium")  # would round to bfloat16 on some processors
        before = precision()
        with computing(CPU):
            assert torch.get_num_threads() == joblib.cpu_count()
            assert torch.is_inference_mode_enabled()
            assert set(precision()) <= {"ieee", "none"}
        assert (precision(), torch.get_num_threads()) == (before, 1)
        with pytest.raises(KeyError), computing(CPU):
            raise KeyError
        assert (precision(), torch.get_num_threads()) == (before, 1)
        assert not torch.is_inference_mode_enabled()
        with torch.autocast("cpu", dtype=torch.bfloat16), computing(CPU):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(matmul)


def test_normalised():
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), dtype=np.uint8)
    got = normalised(images, CPU)
    expected = (images / 255 - np.array(MEAN)) / np.array(STD)
    np.testing.assert_allclose(got.numpy().transpose(0, 2, 3, 1), expected, atol=1e-6)
    assert got.dtype == torch.float32
    assert got.is_contiguous(memory_format=torch.channels_last)


def test_pooled():
    maps = [torch.arange(12.0).reshape(1, 3, 2, 2), torch.full((1, 2, 1, 1), 7.0)]
    np.testing.assert_array_equal(pooled(maps), [[1.5, 5.5, 9.5, 7, 7]])


def test_calibration_is_the_average_of_the_batches_statistics():
    network = small_network()
    batches = [torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(n)) for n in (3, 4)]
    with torch.inference_mode():
        found = calibrate(network, batches)
        first = [network[0](batch) for batch in batches]
    mean = sum(x.mean((0, 2, 3)) for x in first) / 2
    variance = sum(x.var((0, 2, 3)) for x in first) / 2
    np.testing.assert_allclose(found["1.running_mean"], mean, atol=1e-6)
    np.testing.assert_allclose(found["1.running_var"], variance, rtol=1e-5)
    assert found.keys() == {f"{i}.running_{s}" for i in (1, 4) for s in ("mean", "var")}
    assert not any(module.training for module in network.modules())
    other = small_network()
    apply_calibration(other, found)
    with torch.no_grad():
        torch.testing.assert_close(other(batches[0]), network(batches[0]))


def test_a_calibration_of_another_network_is_refused():
    network = small_network()
    good = {k: v.numpy() for k, v in network.state_dict().items() if "running" in k}
    for bad in ({}, {**good, "4.running_var": np.ones(4, np.float32)}):
        with pytest.raises(InputError, match="belongs to another network"):
            apply_calibration(network, bad)


def test_calibration_on_too_little_is_an_input_error():
    with pytest.raises(InputError, match="cannot be calibrated"):
        calibrate(nn.Sequential(nn.BatchNorm2d(3)), [torch.ones(1, 3, 1, 1)])


@pytest.mark.parametrize("value", [0, 1.5, True, "3", None])
def test_whole_number(value):
    assert whole_number(np.int64(3), "n", 1) == 3
    with pytest.raises(InputError, match="n must be a whole number of at least 1"):
        whole_number(value, "n", 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("tf32", 2e-2), ("bf16", 5e-2)])
def test_cuda_agrees_with_the_cpu(precision, tolerance):
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    expected = FeatureExtractor("embedded", size=64, runtime="torch", device="cpu", progress=False).transform(
        images
    )
    found = FeatureExtractor(
        "embedded", size=64, device="cuda", precision=precision, progress=False
    ).transform(images)
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()
