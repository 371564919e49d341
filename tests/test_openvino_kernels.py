"""Which kernels OpenVINO computes convolutions with: what is asked for, and that the numbers stay."""

import numpy as np
import pytest
import torch

pytest.importorskip("openvino", reason="the package openvino is not installed (extra fast)")

from gad_core import FeatureExtractor
from gad_core.backbones import get_backbone
from gad_core.openvino_kernels import (
    CHANNELS_LAST,
    CONVOLUTIONS,
    best_kernels,
    blocked_kernels_known,
    used_kernels,
    with_kernels,
)
from gad_core.openvino_runtime import CompiledNetwork, convert
from gad_core.runtime import load_network

SIZE = 64
knows_blocked = pytest.mark.skipif(
    not blocked_kernels_known(), reason="OpenVINO has other kernels than those of AVX2 on this processor"
)


def converted(name, **options):
    backbone = get_backbone(name)
    network = load_network(backbone, len(backbone.widths), None, 0, None, torch.device("cpu"))
    return convert(network, SIZE, **options)


@pytest.fixture(scope="module")
def efficientnet():
    return converted("efficientnet_b0", kernels="default")


def asking(model, folder):
    """Count the convolutions of a model, and those that ask for kernels, in the file that OpenVINO writes."""
    import openvino

    openvino.serialize(model, folder / "model.xml")
    text = (folder / "model.xml").read_text()
    kinds = [operation.get_type_name() for operation in model.get_ops()]
    return sum(kinds.count(kind) for kind in CONVOLUTIONS), text.count('name="primitives_priority"')


def test_every_convolution_asks_once(efficientnet, tmp_path):
    convolutions, before = asking(efficientnet, tmp_path)
    blocked = with_kernels(efficientnet, "blocked")
    assert before == 0
    assert asking(blocked, tmp_path) == (convolutions, convolutions)
    assert asking(with_kernels(efficientnet, "default"), tmp_path) == (convolutions, 0)


@knows_blocked
def test_blocked_kernels_are_used(efficientnet):
    assert any(name.startswith(CHANNELS_LAST) for name in used_kernels(efficientnet))
    blocked = used_kernels(with_kernels(efficientnet, "blocked"))
    assert not any(name.startswith("brgconv") for name in blocked)


def test_numbers_stay(efficientnet):
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    (expected,) = CompiledNetwork(efficientnet).start(images)()
    (found,) = CompiledNetwork(with_kernels(efficientnet, "blocked")).start(images)()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@knows_blocked
def test_networks_that_gain_get_blocked_kernels(efficientnet):
    assert best_kernels(efficientnet) == "blocked"
    assert best_kernels(converted("mobilenet_v3_large", with_maps=True)) == "blocked"
    for name in ("embedded", "resnet18", "convnext_tiny"):  # no depthwise convolutions, or dense layers
        assert best_kernels(converted(name)) == "default"


def test_a_kept_network_is_for_one_kind_of_processor(tmp_path, monkeypatch):
    images = np.zeros((1, SIZE, SIZE, 3), np.uint8)

    def kept(known):
        monkeypatch.setattr("gad_core.openvino_kernels.blocked_kernels_known", lambda: known)
        options = {"runtime": "openvino", "size": SIZE, "progress": False, "cache": tmp_path}
        FeatureExtractor("embedded", **options).transform(images)
        for entry in tmp_path.rglob("*.npz"):
            entry.unlink()
        return set((tmp_path / "networks").iterdir())

    first, second = kept(True), kept(False)
    assert len(first) == 1
    assert len(second) == 2
