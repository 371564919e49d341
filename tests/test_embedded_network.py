"""The network that ships with the package, from pictures to a verdict without any download."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

import gad_core as gad
from gad_core.backbones import build, get_backbone
from gad_core.checkpoint import load_weights
from gad_core.cli import main
from gad_core.datasets import download
from gad_core.embedded_network import BLOCKS, STRIDES, WIDTHS, embedded_network
from gad_core.errors import InputError
from gad_core.evaluation import auroc
from gad_core.images import MEAN, STD
from gad_core.manifest import describe, shipped_file
from gad_core.weights import EMBEDDED, checkpoint_path, resolve_weights

LARGEST = 8_000_000  # bytes
BACKBONE = get_backbone("embedded")


@pytest.fixture(autouse=True)
def no_download(monkeypatch):
    def fetch(*args, **kwargs):
        raise AssertionError("nothing may be downloaded for the embedded network")

    monkeypatch.setattr(download, "fetch", fetch)


def test_the_weights_are_small_and_say_how_they_were_made():
    path, entry = shipped_file(EMBEDDED), describe(EMBEDDED)
    assert path == checkpoint_path(BACKBONE)
    assert path.stat().st_size == entry["bytes"] <= LARGEST
    assert "python -m training" in entry["command"]
    with safe_open(path, framework="pt") as file:
        made_from = {key: json.loads(value) for key, value in file.metadata().items()}
    assert entry["made_from"] == made_from
    assert made_from["plan"]["seed"] >= made_from["seed"] >= 0
    for fact in ("licence", "source", "date", "chosen_on"):
        assert len(entry[fact]) > 9, fact


def test_they_are_the_default_and_the_only_pretrained_ones():
    for given in (None, "embedded"):
        assert resolve_weights(given, BACKBONE).path == shipped_file(EMBEDDED)
    with pytest.raises(InputError, match=r"no imagenet weights of the backbone embedded.*called embedded"):
        resolve_weights("imagenet", BACKBONE)
    with pytest.raises(
        InputError, match=r"no embedded weights of the backbone resnet18.*--backbone embedded"
    ):
        resolve_weights("embedded", get_backbone("resnet18"))


def test_imagenet_weights_that_cannot_be_had_are_not_replaced(monkeypatch, tmp_path):
    def fetch(*args, **kwargs):
        raise OSError("no route to the host")

    monkeypatch.setattr(download, "fetch", fetch)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    extractor = gad.FeatureExtractor("squeezenet1_1", progress=False)
    with pytest.raises(InputError, match=r"--backbone embedded.*no route"):
        extractor.transform([np.zeros((64, 64), np.uint8)])


def test_levels_have_their_widths_and_strides():
    network = build(BACKBONE, len(WIDTHS), seed=0)
    maps = network(torch.zeros(1, 3, 96, 96))
    assert [m.shape[1] for m in maps] == list(WIDTHS)
    assert [96 // m.shape[2] for m in maps] == (2 * np.cumprod(STRIDES)).tolist()
    assert all((m >= 0).all() for m in maps)
    blocks = [
        [type(layer).__name__ for layer in level].count("Residual") for level in network.features.children()
    ]
    assert tuple(blocks) == BLOCKS


@pytest.mark.parametrize("gain", [0.6, 0.92, 1.3])
def test_maps_do_not_depend_on_the_exposure(gain):
    network = build(BACKBONE, len(WIDTHS))
    load_weights(network, shipped_file(EMBEDDED))
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    light = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    plain, other = (network((light * factor - mean) / std) for factor in (1.0, gain))
    for a, b in zip(plain, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * a.abs().max().item())
    colour = network((light * torch.tensor([1.0, gain, 1.0])[:, None, None] - mean) / std)
    assert (colour[-1] - plain[-1]).abs().max() > 0.01 * plain[-1].abs().max()  # colours still count


def test_a_black_image_has_finite_maps():
    maps = build(BACKBONE, 1, seed=0)(torch.zeros(1, 3, 32, 32) - torch.tensor(MEAN)[:, None, None])
    assert maps[0].isfinite().all()


def test_drawn_parameters_keep_the_size_of_the_signal():
    network = build(BACKBONE, len(WIDTHS), seed=1)
    maps = network(torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0)))
    sizes = [m.pow(2).mean().sqrt().item() for m in maps]
    assert all(0.1 < size < 100 for size in sizes), sizes


def test_batch_norms_are_for_training_only():
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in embedded_network().modules())
    norms = [m for m in embedded_network(normalise=True).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    convolutions = [m for m in embedded_network().modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(norms) == len(convolutions)


def test_shipped_weights_fill_the_network():
    network = build(BACKBONE, len(WIDTHS))
    load_weights(network, shipped_file(EMBEDDED))
    random = build(BACKBONE, len(WIDTHS), seed=0)
    for (name, tensor), other in zip(network.state_dict().items(), random.state_dict().values(), strict=True):
        assert tensor.isfinite().all(), name
        assert not torch.equal(tensor, other), name


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    gad.synthesize(
        root, seed=3, categories=["nut"], n_train=24, n_test_good=10, n_test_defect=6, progress=False
    )
    return gad.MVTecDataset(root, "nut")


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The extractor with the shipped weights, which computes no image twice."""
    return gad.FeatureExtractor("embedded", cache=tmp_path_factory.mktemp("cache"), progress=False)


def random(seed):
    return gad.FeatureExtractor("embedded", weights="random", seed=seed, progress=False)


def joint_auroc(data, extractor):
    detector = gad.GaussianDetector(extractor.level_widths, combine="joint")
    detector.fit(extractor.transform(data.train.paths))
    return auroc(data.test.labels, detector.mahalanobis(extractor.transform(data.test.paths)))


@pytest.mark.slow
def test_learned_weights_beat_random_ones_on_made_up_images(data, learned):
    of_random = np.median([joint_auroc(data, random(seed)) for seed in range(3)])
    assert joint_auroc(data, learned) > of_random + 0.05


def test_a_saved_model_names_the_weights_and_finds_them_again(data, learned, tmp_path):
    assert learned.fingerprint()["weights"] == "embedded"
    assert learned.fingerprint()["weights_sha256"] == describe(EMBEDDED)["sha256"]
    X = learned.transform(data.train.paths)
    gad.GaussianDetector(learned.level_widths, combine="joint").fit(X).save(tmp_path / "m", learned)
    stored = gad.load(tmp_path / "m").extractor_["fingerprint"]
    again = gad.FeatureExtractor.from_fingerprint(stored, progress=False)
    np.testing.assert_array_equal(again.transform(data.train.paths), X)


@pytest.mark.slow
def test_from_folders_to_a_verdict_on_the_command_line(data, learned, tmp_path, capsys):
    model, scores = tmp_path / "nut.safetensors", tmp_path / "scores.json"
    options = ["--data", str(data.root), "--category", "nut", "--backbone", "embedded", "--quiet"]
    cache = ["--cache", str(tmp_path / "cache")]
    assert main(["evaluate", *options, *cache, "--combine", "joint", "--json", str(scores)]) == 0
    (row,) = json.loads(scores.read_text())["results"]
    assert row["auroc"] == pytest.approx(joint_auroc(data, learned), abs=1e-6)
    assert main(["fit", *options, *cache, "--combine", "joint", "--fpr", "0.1", "--out", str(model)]) == 0
    images = [str(path) for path in data.test.paths]
    assert main(["score", str(model), *images, *cache, "--quiet", "--json", str(scores)]) == 0
    rows = json.loads(scores.read_text())["results"]
    distances = [each["distance"] for each in rows]
    assert auroc(data.test.labels, distances) == pytest.approx(row["auroc"], abs=1e-6)
    assert [each["anomalous"] for each in rows] == [d > rows[0]["threshold"] for d in distances]
    assert capsys.readouterr().err == ""
