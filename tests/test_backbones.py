import re
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision import models

from gad_core.backbones import BACKBONES, build, get_backbone
from gad_core.errors import InputError
from gad_core.levels import parse_levels


@pytest.mark.parametrize("name", BACKBONES)
def test_widths_match_the_network(name):
    backbone = get_backbone(name)
    network = build(backbone, len(backbone.widths))
    with torch.device("meta"):
        maps = network(torch.zeros(1, 3, 64, 64))
    assert tuple(m.shape[1] for m in maps) == backbone.widths
    sides = [m.shape[2] for m in maps]
    assert sides == sorted(sides, reverse=True)
    assert backbone.batch_norm == any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())


@pytest.mark.parametrize("name", [name for name in BACKBONES if BACKBONES[name].pretrained == "imagenet"])
def test_checkpoints_are_those_of_torchvision(name):
    backbone = BACKBONES[name]
    url = models.get_model_weights(name).IMAGENET1K_V1.url
    assert url == f"https://download.pytorch.org/models/{backbone.checkpoint}"
    assert re.fullmatch(r"[0-9a-f]{8}", backbone.checkpoint_sha256)
    assert backbone.name == name


def test_efficientnet_input_sizes_are_the_papers():
    sizes = [get_backbone(f"efficientnet_b{i}").input_size for i in range(8)]
    assert sizes == [224, 240, 260, 300, 380, 456, 528, 600]


def randomised(name):
    """torchvision's network with random parameters, without the time that its initialisation takes."""
    with torch.device("meta"):
        network = getattr(models, name)(weights=None)
    network.to_empty(device="cpu").eval()
    for key, tensor in network.state_dict().items():
        if key.endswith("running_var"):
            tensor.fill_(1)
        elif tensor.is_floating_point():
            tensor.normal_(std=0.05)
    return network


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet18", "squeezenet1_1", "mobilenet_v3_large"])
def test_maps_are_those_of_the_whole_network(name):
    backbone = get_backbone(name)
    depth = len(backbone.widths)
    whole = randomised(name)
    expected = []
    for names in backbone.stages:
        # Cloned at once: a later layer that works in place must not change a level's map.
        whole.get_submodule(names[-1]).register_forward_hook(lambda *call: expected.append(call[2].clone()))
    cut = build(backbone, depth)
    cut.load_state_dict(
        {k: v for k, v in whole.state_dict().items() if k in cut.state_dict()}, strict=True, assign=True
    )
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        whole(images)
        maps = cut(images)
    assert len(maps) == len(expected) == depth
    for got, want in zip(maps, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_nothing_behind_the_depth_is_built():
    backbone = get_backbone("efficientnet_b4")
    names = build(backbone, 7).state_dict()
    assert {name.split(".")[1] for name in names} == {"0", "1", "2", "3", "4", "5", "6"}
    assert "features.3.0.block.0.0.weight" in names
    assert all(tensor.is_meta for tensor in names.values())


def test_random_weights_depend_on_the_seed_alone():
    backbone = get_backbone("resnet18")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    deep, shallow, other = build(backbone, 5, seed=3), build(backbone, 2, seed=3), build(backbone, 2, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in shallow.state_dict().items():
        assert torch.equal(tensor, deep.state_dict()[name])
    assert not torch.equal(shallow.state_dict()["conv1.weight"], other.state_dict()["conv1.weight"])
    assert not shallow.training
    assert not any(p.requires_grad for p in shallow.parameters())


def test_unknown_backbone_lists_the_names():
    for name in ("resnet19", None, ["resnet18"]):
        with pytest.raises(InputError, match=r"there are efficientnet_b0, .*, convnext_tiny, embedded"):
            get_backbone(name)


def test_level_widths():
    b4 = get_backbone("efficientnet_b4")
    assert b4.level_widths(range(1, 8)) == {1: 48, 2: 24, 3: 32, 4: 56, 5: 112, 6: 160, 7: 272}
    assert b4.level_widths(7) == {7: 272}
    assert list(b4.level_widths()) == list(range(1, 10))


@pytest.mark.parametrize("levels", [0, 10, [], (1, 10), -1])
def test_levels_that_do_not_exist(levels):
    with pytest.raises(InputError, match="efficientnet_b4 has the levels 1 to 9"):
        get_backbone("efficientnet_b4").checked_levels(levels)


@pytest.mark.parametrize("levels", [(2, 1), (3, 3)])
def test_levels_out_of_order(levels):
    with pytest.raises(InputError, match="ascending order"):
        get_backbone("resnet18").checked_levels(levels)


@pytest.mark.parametrize("levels", ["1-7", "7", 1.5, [1.0], True])
def test_levels_of_another_type(levels):
    with pytest.raises(InputError, match="whole numbers"):
        get_backbone("resnet18").checked_levels(levels)


@given(st.sets(st.integers(1, 30), min_size=1))
def test_parse_levels_reads_single_levels(levels):
    assert parse_levels(",".join(map(str, levels))) == tuple(sorted(levels))


@given(st.integers(1, 20), st.integers(0, 20))
def test_parse_levels_reads_ranges(first, more):
    assert parse_levels(f"{first}-{first + more}") == tuple(range(first, first + more + 1))


@pytest.mark.parametrize(
    "text", ["", "a", "1-", "-3", "1,,2", "1,1", "1-3,2", "3-1", "1 2", "1.5", "1-2-3", "²", "99999"]
)
def test_parse_levels_refuses(text):
    with pytest.raises(InputError, match="7, 1-7 or 1,3,5-7"):
        parse_levels(text)


def test_parse_levels_allows_spaces():
    assert parse_levels(" 1, 3, 5 - 7 ") == (1, 3, 5, 6, 7)


def test_names_and_widths_need_no_torch():
    code = "import sys, gad_core.backbones as b; b.BACKBONES; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
