import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gad_core.backbones import build, get_backbone
from gad_core.checkpoint import batch_norms, load_weights
from gad_core.errors import InputError
from gad_core.weights import checkpoint_path, resolve_weights

RESNET = get_backbone("resnet18")


@pytest.fixture(scope="module")
def state():
    return build(RESNET, 2, seed=1).state_dict()


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch"


def loaded(path, depth=2):
    network = build(RESNET, depth)
    load_weights(network, path)
    return network


def assert_same(network, state):
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[name].to(tensor.dtype)), name


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "weights"])
def test_both_file_types_whatever_the_suffix(tmp_path, state, suffix):
    for save, name in ((save_file, f"a.{suffix}"), (torch.save, f"b.{suffix}")):
        save(state, tmp_path / name)
        assert_same(loaded(tmp_path / name), state)


def test_other_tensors_are_ignored_and_counters_may_be_missing(tmp_path, state):
    lean = {name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}
    save_file({**lean, "classifier.weight": torch.ones(3)}, tmp_path / "w.safetensors")
    network = loaded(tmp_path / "w.safetensors")
    assert_same(network, {**state, "bn1.num_batches_tracked": torch.tensor(0)})
    assert not any(p.requires_grad or p.is_meta for p in network.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path, state, dtype):
    other = {name: t.to(dtype) if t.is_floating_point() else t for name, t in state.items()}
    save_file(other, tmp_path / "w.safetensors")
    network = loaded(tmp_path / "w.safetensors")
    assert_same(network, other)
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_metadata_overrides_the_epsilon(tmp_path, state):
    save_file(state, tmp_path / "w.safetensors", metadata={"bn_eps": "1e-3"})
    norms = batch_norms(loaded(tmp_path / "w.safetensors")).values()
    assert {norm.eps for norm in norms} == {1e-3}
    for bad in ("0", "nan", "small"):
        save_file(state, tmp_path / "w.safetensors", metadata={"bn_eps": bad})
        with pytest.raises(InputError, match="bn_eps"):
            loaded(tmp_path / "w.safetensors")


def test_missing_tensors_are_named(tmp_path, state):
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"w\.safetensors lacks .*layer2\.0\.conv1\.weight.*\.\.\."):
        loaded(tmp_path / "w.safetensors", depth=3)


def test_a_wrong_shape_or_type_is_named(tmp_path, state):
    for wrong in (torch.ones(64, 1, 7, 7), state["conv1.weight"].to(torch.int8)):
        save_file({**state, "conv1.weight": wrong}, tmp_path / "w.safetensors")
        with pytest.raises(InputError, match=r"w\.safetensors: tensor conv1\.weight"):
            loaded(tmp_path / "w.safetensors")


def test_damaged_and_foreign_files(tmp_path, state):
    save_file(state, tmp_path / "cut.safetensors")
    torch.save(state, tmp_path / "cut.pth")
    for name in ("cut.safetensors", "cut.pth"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("no weights at all")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save(RESNET, tmp_path / "object.pth")  # an arbitrary object, which weights_only does not load
    for name in ("cut.safetensors", "cut.pth", "empty", "text", "list.pth", "object.pth"):
        with pytest.raises(InputError, match=f"{name} is no readable safetensors file or state dict"):
            loaded(tmp_path / name)


def test_loaded_weights_do_not_change_with_the_file(tmp_path, state):
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    network = loaded(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert_same(network, state)


def test_a_failed_load_leaves_the_epsilon(tmp_path, state):
    save_file(state, tmp_path / "w.safetensors", metadata={"bn_eps": "0.5"})
    network = build(RESNET, 3)
    with pytest.raises(InputError, match="lacks"):
        load_weights(network, tmp_path / "w.safetensors")
    assert {norm.eps for norm in batch_norms(network).values()} == {1e-5}


def test_checkpoint_path_is_that_of_torch_hub(tmp_path, monkeypatch):
    for variables in ({}, {"XDG_CACHE_HOME": str(tmp_path)}, {"TORCH_HOME": "~/t", "XDG_CACHE_HOME": "x"}):
        for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        expected = Path(torch.hub.get_dir()) / "checkpoints" / "resnet18-f37072fd.pth"
        assert checkpoint_path(RESNET) == expected


def test_resolve_a_file_or_random(tmp_path):
    path = tmp_path / "w"
    path.write_bytes(b"content")
    assert resolve_weights("random", RESNET) is None
    for given in (path, str(path)):
        file = resolve_weights(given, RESNET)
        assert file.sha256 == hashlib.sha256(b"content").hexdigest()
        assert file.path == path
    assert file.is_unchanged()
    path.write_bytes(b"other content")
    assert not file.is_unchanged()
    path.unlink()
    assert not file.is_unchanged()


@pytest.mark.parametrize("given", ["absent.safetensors", ".", 3])
def test_resolve_what_is_no_file(given):
    with pytest.raises(InputError, match='"imagenet", "embedded", "random"'):
        resolve_weights(given, RESNET)


def faked(content):
    """A network whose published weights file is `content`."""
    digest = hashlib.sha256(content).hexdigest()[:8]
    return type(RESNET)("fake", 224, (64,), (("conv1",),), f"fake-{digest}.pth")


def test_imagenet_weights_are_downloaded_once(torch_home, monkeypatch):
    from gad_core.datasets import download

    asked = []

    def fetch(url, path, sha256=None, *, description=""):
        asked.append((url, sha256))
        path.parent.mkdir(parents=True)
        path.write_bytes(b"weights")
        return path

    monkeypatch.setattr(download, "fetch", fetch)
    backbone = faked(b"weights")
    for _ in range(2):
        file = resolve_weights("imagenet", backbone)
        assert file.path == torch_home / "hub" / "checkpoints" / backbone.checkpoint
        assert file.sha256.startswith(backbone.checkpoint_sha256)
    url = f"https://download.pytorch.org/models/{backbone.checkpoint}"
    assert asked == [(url, backbone.checkpoint_sha256)]


@pytest.mark.parametrize("error", [InputError("no route to the host"), OSError("no route to the host")])
def test_a_failed_download_says_what_else_there_is(torch_home, monkeypatch, error):
    from gad_core.datasets import download

    def fetch(*args, **kwargs):
        raise error

    monkeypatch.setattr(download, "fetch", fetch)
    pattern = r"resnet18-f37072fd\.pth .*--weights FILE.*--backbone embedded.*no route"
    with pytest.raises(InputError, match=pattern):
        resolve_weights("imagenet", RESNET)
    assert not torch_home.exists()


def test_a_damaged_checkpoint_is_refused(torch_home):
    path = checkpoint_path(RESNET)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not these")
    with pytest.raises(InputError, match=r"resnet18-f37072fd\.pth is damaged.*delete it"):
        resolve_weights("imagenet", RESNET)


def test_given_weights_of_efficientnet_b4(b4_weights):
    network = build(get_backbone("efficientnet_b4"), 7)
    load_weights(network, b4_weights)
    header = b4_weights.read_bytes()
    metadata = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])["__metadata__"]
    assert {norm.eps for norm in batch_norms(network).values()} == {float(metadata["bn_eps"])}
    with pytest.raises(InputError, match=r"lacks .*features\.7\."):
        load_weights(build(get_backbone("efficientnet_b4"), 8), b4_weights)
