"""The making of the embedded weights, in small: pictures, targets, training that continues, export."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gad_core.backbones import build, get_backbone
from gad_core.checkpoint import load_weights
from gad_core.embedded_network import embedded_network
from gad_core.errors import InputError
from training.__main__ import main
from training.batches import Examples, augmented, exposed, training_order
from training.export import export, folded
from training.loop import Plan, learning_rate, train
from training.pictures import chunk_path, chunks, draw_pictures
from training.procedural.pictures import picture
from training.record import claim
from training.runs import train_variant
from training.student import Classification, Distillation
from training.targets import TEACHER, channel_statistics, compute_targets, split_targets, target_shapes

pytestmark = pytest.mark.slow

STYLES, SIZE = 6, 64
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    draw_pictures(folder, 24, STYLES, seed=0, processes=1, chunk_length=8, size=SIZE)
    return folder


@pytest.fixture(scope="module")
def targets(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("targets")
    rng = np.random.default_rng(0)
    length = sum(int(np.prod(shape)) for shape in target_shapes())
    for chunk in range(3):
        np.save(chunk_path(folder, chunk), rng.normal(2, 3, (8, length)).astype(np.float16))
    return folder


# --- pictures on disk -------------------------------------------------------------------------------------


def test_pictures_on_disk_are_continued_and_numbered(pictures, tmp_path):
    chunk_path(tmp_path, 1).write_bytes(chunk_path(pictures, 1).read_bytes())
    before = chunk_path(tmp_path, 1).stat().st_mtime_ns
    draw_pictures(tmp_path, 24, STYLES, seed=0, processes=1, chunk_length=8, size=SIZE)
    assert chunk_path(tmp_path, 1).stat().st_mtime_ns == before
    for mine, other in zip(chunks(tmp_path), chunks(pictures), strict=True):
        assert np.array_equal(mine, other)
    instance, style = divmod(8 + 3, STYLES)
    assert np.array_equal(list(chunks(tmp_path))[1][3], picture(style, instance, size=SIZE))
    with pytest.raises(InputError, match="choose a multiple"):
        draw_pictures(tmp_path, 25, STYLES, seed=0, processes=1, chunk_length=8)
    with pytest.raises(InputError, match="begun with styles 6: choose another folder"):
        draw_pictures(tmp_path, 24, STYLES + 1, seed=0, processes=1, chunk_length=8, size=SIZE)


def test_a_missing_file_of_pictures_is_noticed(pictures, tmp_path):
    for chunk in (0, 2):
        chunk_path(tmp_path, chunk).write_bytes(chunk_path(pictures, chunk).read_bytes())
    with pytest.raises(InputError, match=r"00001\.npy is missing"):
        list(chunks(tmp_path))


# --- targets and batches ----------------------------------------------------------------------------------


def test_targets_are_the_teachers_maps(tmp_path, b4_weights):
    draw_pictures(tmp_path / "p", 2, 2, seed=0, processes=1, chunk_length=2, size=192)
    compute_targets(tmp_path / "p", tmp_path / "t", b4_weights, CPU)
    rows = torch.from_numpy(np.array(next(chunks(tmp_path / "t")))).float()
    found = split_targets(rows)
    teacher = build(get_backbone(TEACHER), 7)
    load_weights(teacher, b4_weights)
    from gad_core.runtime import normalised

    with torch.no_grad():
        maps = teacher(normalised(np.array(next(chunks(tmp_path / "p"))), CPU))
    expected = [torch.nn.functional.avg_pool2d(maps[2], 2), *maps[3:7]]
    for got, want in zip(found, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=2e-3, atol=1e-3 * want.abs().max().item())


def test_channel_statistics(targets):
    means, deviations = channel_statistics(targets)
    rows = torch.from_numpy(np.concatenate(list(chunks(targets)))).double()
    for mean, deviation, level in zip(means, deviations, split_targets(rows), strict=True):
        torch.testing.assert_close(mean.double(), level.mean((0, 2, 3), keepdim=True), rtol=1e-5, atol=1e-5)
        spread = level.std((0, 2, 3), correction=0, keepdim=True)
        torch.testing.assert_close(deviation.double(), spread, rtol=1e-4, atol=1e-5)


def test_examples_pair_pictures_with_targets_or_styles(pictures, targets):
    index = np.array([17, 0, 9])
    images, rows = Examples(pictures, targets, STYLES).take(index)
    assert np.array_equal(images[1], next(chunks(pictures))[0])
    assert np.array_equal(rows[0].numpy(), list(chunks(targets))[2][1].astype(np.float32))
    _, styles = Examples(pictures, None, STYLES).take(index)
    assert styles.tolist() == [17 % STYLES, 0, 9 % STYLES]


def test_every_epoch_is_another_permutation():
    order = training_order(10, 5, seed=0)
    epochs = [np.concatenate([next(order), next(order)]) for _ in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0].tolist() != epochs[1].tolist()


def test_augmentation_moves_pixels_and_makes_none_up(pictures):
    images = np.array(next(chunks(pictures)))
    moved = augmented(images, np.random.default_rng(0))
    assert not np.array_equal(moved, images)
    for before, after in zip(images, moved, strict=True):
        assert np.array_equal(np.sort(before.reshape(-1, 3), axis=0), np.sort(after.reshape(-1, 3), axis=0))


def test_exposure_scales_each_colour_of_a_picture(pictures):
    images = np.full((50, 4, 4, 3), 100, dtype=np.uint8)
    assert np.array_equal(exposed(images, 0.0, np.random.default_rng(0)), images)
    changed = exposed(images, 0.2, np.random.default_rng(0)).astype(float)
    assert np.all(changed == changed[:, :1, :1])  # the same at every place
    logs = np.log(changed[:, 0, 0] / 100)
    assert logs.mean(1).std() == pytest.approx(0.2, rel=0.4)
    assert 0 < (logs - logs.mean(1, keepdims=True)).std() < 0.1


# --- training and export ----------------------------------------------------------------------------------


def model_of(route, targets):
    torch.manual_seed(0)
    return Distillation(targets) if route == "distil" else Classification(STYLES)


def run(route, pictures, targets, folder, save_every=2, planned=4):
    examples = Examples(pictures, targets if route == "distil" else None, STYLES)
    plan = Plan(steps=planned, batch=4, save_every=save_every, held_out=4)
    folder.mkdir(exist_ok=True)
    model = model_of(route, targets)
    train(model, examples, plan, folder, CPU)
    return model


@pytest.mark.parametrize("route", ["distil", "classify"])
def test_a_killed_run_continues_to_the_same_weights(route, pictures, targets, tmp_path, monkeypatch):
    straight = run(route, pictures, targets, tmp_path / "a")
    from training import loop

    update, done = loop._update, []

    def killed(*args):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return update(*args)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_update", killed)
        with pytest.raises(KeyboardInterrupt):
            run(route, pictures, targets, tmp_path / "b")
    continued = run(route, pictures, targets, tmp_path / "b")
    for name, tensor in straight.state_dict().items():
        assert torch.equal(tensor, continued.state_dict()[name]), name
    with (tmp_path / "b" / "loss.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [0, 1, 2, 3]
    assert [bool(row["validation"]) for row in rows] == [False, True, False, True]
    assert "plotly" in (tmp_path / "b" / "loss.html").read_text("utf-8")


def test_distillation_learns_one_batch(pictures, targets):
    from gad_core.runtime import normalised

    images, rows = Examples(pictures, targets, STYLES).take(np.arange(4))
    model = model_of("distil", targets)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss, errors = model(normalised(images, CPU), rows)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert len(errors) == 5
    assert losses[-1] < losses[0]


def test_learning_rate_rises_then_falls_to_zero():
    plan = Plan(steps=1000, rate=0.1)
    rates = [learning_rate(step, plan) for step in range(1001)]
    assert rates[0] < 0.02 * rates[100]
    assert max(rates) <= 0.1
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert np.all(np.diff(rates[:99]) > 0)
    assert np.all(np.diff(rates[100:]) < 0)


def trained_norms(network):
    """Give batch norms the statistics and scales of a network that was trained."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            ranges = [(module.running_mean, -1), (module.running_var, 0.5)]
            ranges += [(module.weight.data, 0.5), (module.bias.data, -1)]
            for tensor, low in ranges:
                tensor.uniform_(low, low + 1.5, generator=generator)
    return network.eval()


def test_folded_batch_norms_give_the_same_maps():
    torch.manual_seed(0)
    with_norms, without = trained_norms(embedded_network(normalise=True)), embedded_network().eval()
    without.load_state_dict(folded(with_norms))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        got, want = without(images), with_norms(images)
    assert want.abs().max() > 0
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4 * want.abs().max().item())


def test_export_is_a_file_of_weights_that_says_how_it_was_made(pictures, targets, tmp_path):
    facts = {"variant": "classify", "seed": 0, "plan": {"steps": 2}}
    claim(tmp_path, facts)
    model = run("classify", pictures, targets, tmp_path, planned=2)
    path = export(tmp_path)
    network = build(get_backbone("embedded"), 5)
    load_weights(network, path)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        want = model.eval().network(images)
        torch.testing.assert_close(network(images)[-1], want, rtol=0.02, atol=0.01 * want.abs().max().item())
    with safe_open(path, framework="pt") as file:
        assert {key: json.loads(value) for key, value in file.metadata().items()} == facts
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118


# --- variants and the command line ------------------------------------------------------------------------


@pytest.fixture
def small_variants(monkeypatch):
    from dataclasses import replace

    from training import variants

    small = {
        name: replace(v, plan=replace(v.plan, steps=2, batch=4, save_every=1, held_out=4))
        for name, v in variants.VARIANTS.items()
    }
    monkeypatch.setattr(variants, "VARIANTS", small)


def test_a_variant_trains_first_what_it_starts_from(small_variants, pictures, targets, tmp_path):
    for source, name in ((pictures, "pictures"), (targets, "targets")):
        (tmp_path / name).symlink_to(source)
    train_variant(tmp_path, "exposed", 3, CPU)
    facts = json.loads((tmp_path / "exposed-3" / "made_from.json").read_text())
    assert (facts["plan"]["exposure"], facts["plan"]["seed"]) == (0.2, 4)
    assert facts["start"]["plan"]["seed"] == 3
    first, second = (
        torch.load(tmp_path / f"{name}-3" / "checkpoint.pt", weights_only=True)["model"]
        for name in ("distil", "exposed")
    )
    name = "network.features.4.0.0.weight"
    assert not torch.equal(first[name], second[name])
    assert (first[name] - second[name]).norm() < 0.2 * first[name].norm()  # it went on, not from scratch


def test_a_folder_of_another_plan_is_refused(small_variants, pictures, targets, tmp_path, monkeypatch):
    (tmp_path / "pictures").symlink_to(pictures)
    train_variant(tmp_path, "classify", 0, CPU)
    from training import variants

    changed = variants.VARIANTS["classify"]
    object.__setattr__(changed.plan, "steps", 3)
    with pytest.raises(InputError, match=r"classify-0 was begun with plan .*'steps': 2"):
        train_variant(tmp_path, "classify", 0, CPU)


def test_too_few_pictures_are_an_error_and_not_an_endless_search(pictures, tmp_path):
    examples = Examples(pictures, None, STYLES)
    with pytest.raises(InputError, match="24 pictures, of which 22 are held out"):
        train(Classification(STYLES), examples, Plan(steps=1, batch=4, held_out=22), tmp_path, CPU)


def test_everything_from_the_command_line(small_variants, tmp_path, monkeypatch, capsys):
    from training import pictures as drawing

    monkeypatch.setattr(drawing.draw_pictures, "__kwdefaults__", {"chunk_length": 8, "size": SIZE})
    options = ["--folder", str(tmp_path), "--variant", "classify", "--count", "16", "--styles", "4"]
    assert main(["all", *options, "--processes", "1"]) == 0
    path = tmp_path / "classify-0" / "embedded.safetensors"
    assert capsys.readouterr().out.strip() == str(path)
    load_weights(build(get_backbone("embedded"), 5), path)
    assert main(["train", "--folder", str(tmp_path), "--variant", "best"]) == 2
    assert "there are distil, classify" in capsys.readouterr().err
    assert main(["export", "--folder", str(tmp_path), "--variant", "distil"]) == 2


def test_shipping_describes_the_weights(tmp_path, monkeypatch):
    from training import ship as shipping

    (tmp_path / "manifest.json").write_text('{"files": {"a": {"sha256": "0"}}}')
    monkeypatch.setattr(shipping, "DATA", tmp_path)
    exported = tmp_path / "new.safetensors"
    save_file({"x": torch.zeros(2)}, exported, metadata={"seed": "5"})
    shipping.ship(exported, "python -m training all")
    entries = json.loads((tmp_path / "manifest.json").read_text())["files"]
    entry = entries["weights/embedded.safetensors"]
    assert (tmp_path / "weights/embedded.safetensors").read_bytes() == exported.read_bytes()
    assert (entry["command"], entry["made_from"]) == ("python -m training all", {"seed": 5})
    assert entries["a"] == {"sha256": "0"}
    with pytest.raises(InputError, match="export that variant first"):
        shipping.ship(tmp_path / "absent", "x")


def test_comparison_is_the_joint_gaussians(tmp_path, capsys):
    import gad_core as gad
    from gad_core.evaluation import auroc

    gad.synthesize(
        tmp_path, categories=["nut"], n_train=8, n_test_good=3, n_test_defect=1, size=64, progress=False
    )
    out = tmp_path / "out.csv"
    options = ["--weights", "random", "--data", str(tmp_path), "--out", str(out)]
    assert main(["compare", *options]) == 0
    data, extractor = gad.MVTecDataset(tmp_path, "nut"), gad.FeatureExtractor("embedded", "random")
    detector = gad.GaussianDetector(combine="joint", threshold="chi2")
    detector.fit(extractor.transform(data.train.paths))
    expected = auroc(data.test.labels, detector.mahalanobis(extractor.transform(data.test.paths)))
    rows = list(csv.DictReader(out.open()))
    assert rows == [
        {"weights": "random", "gain": "1.0", "category": "nut", "auroc_percent": f"{100 * expected:.2f}"}
    ]
    assert main(["compare", *options, "--gain", "0.5"]) == 0
    assert next(csv.DictReader(out.open()))["gain"] == "0.5"


def test_the_table_of_the_readme_is_that_of_the_results():
    folder = Path(__file__).resolve().parents[1] / "training"
    with (folder / "results.csv").open() as file:
        results = list(csv.reader(file))[1:]
    lines = re.findall(
        r"^\| (\w+ \| (?:yes|no) \|.*) \|$", (folder / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert [[cell.strip() for cell in line.split("|")] for line in lines] == results


@pytest.mark.parametrize("category", ["bottle", "screw", "transistor"])
def test_the_results_of_what_ships_are_those_of_its_features(category):
    import gad_core as gad
    from gad_core.evaluation import Setting, auroc, evaluate_distances

    with (Path(__file__).resolve().parents[1] / "training" / "results.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file) if row["common_brightness"] == "yes"}
    for variant, weights in (("exposed", None), ("random", "random")):
        f = gad.embedded_features(category, "embedded", weights)
        ((_, found),) = evaluate_distances(f.train, f.test, f.level_widths, [Setting("joint")])
        assert 100 * auroc(f.labels, found[0]) == pytest.approx(float(rows[variant][category]), abs=0.05)
