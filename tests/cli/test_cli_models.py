"""``gad fit`` and ``gad score`` as a user meets them: from images to a model file to verdicts."""

import csv
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_pictures import NETWORK, picture, put
from PIL import Image
from safetensors.torch import save_file

import gad_core as gad
from gad_core.backbones import build, get_backbone
from gad_core.cli import main
from gad_core.runner import NetworkRunner


def test_own_normal_images_to_verdicts_without_labels(run, root, tmp_path):
    images, model = put(tmp_path / "mine", 30), tmp_path / "m.safetensors"
    status, out, _ = run("fit", "--images", images, *NETWORK, "--fpr", 0.1, "--out", model)
    assert status == 0
    assert "fitted on 30 normal images" in out
    status, out, _ = run(
        "score", model, put(tmp_path / "new", 18, first=300), root / "nut/test/hole/200.png",
        root / "nut/test/hole/201.png", "--csv", tmp_path / "s.csv", "--json", tmp_path / "s.json", "--quiet",
    )  # fmt: skip
    assert status == 0
    assert out.split("\n")[0].split() == ["path", "distance", "p_value", "threshold", "anomalous"]
    assert len(out.splitlines()) == 21
    with (tmp_path / "s.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "distance", "p_value", "threshold", "anomalous"]
    assert [r["anomalous"] for r in rows[-2:]] == ["True", "True"]
    assert sum(r["anomalous"] == "True" for r in rows[:18]) <= 6
    for row in rows:
        assert 0 < float(row["p_value"]) <= 1
        assert (float(row["distance"]) > float(row["threshold"])) == (row["anomalous"] == "True")
    assert json.loads((tmp_path / "s.json").read_text())["results"][0]["path"] == rows[0]["path"]


@pytest.mark.parametrize("threshold", ["cross_validated", "conformal", "chi2"])
def test_a_model_from_the_command_line_is_the_detector_of_python(run, root, tmp_path, threshold):
    model = tmp_path / "m.safetensors"
    run("fit", "--data", root, "--category", "nut", *NETWORK, "--combine", "joint", "--fpr", 0.2,
        "--threshold", threshold, "--out", model)  # fmt: skip
    detector = gad.load(model)
    assert detector.get_params()["combine"] == "joint"
    paths = gad.MVTecDataset(root, "nut").train.paths
    extractor = gad.FeatureExtractor("squeezenet1_1", weights="random", levels=range(1, 4))
    again = gad.GaussianDetector(**detector.get_params()).fit(extractor.transform(paths))
    assert again.threshold_ == pytest.approx(detector.threshold_, rel=1e-5)


def test_what_makes_a_threshold_wrong_is_said(run, root, tmp_path):
    def warnings(folder, *options):
        out = tmp_path / "m.safetensors"
        status, _, err = run("fit", "--images", folder, *NETWORK, "--fpr", 0.2, *options, "--out", out)
        assert status == 0
        return [line for line in err.splitlines() if line.startswith("gad: warning: ")]

    twice = tmp_path / "twice"
    for name in ("a", "b"):
        put(twice / name, 8)
    for path in (twice / "b").iterdir():
        path.rename(twice / "a" / f"again{path.name}")
    (found,) = warnings(twice / "a")
    assert "8 of 16 images are copies of others" in found
    assert "again000.png is twice/a/000.png" in found
    (found,) = warnings(twice / "a", "--threshold", "chi2")  # for which nothing is held out
    assert "16 images are too few" in found
    (found,) = warnings(root / "nut/train/good", "--threshold", "chi2", "--fpr", 0.001)
    assert "more than 0.1 % of normal images" in found
    assert "24 images are too few for the chi-square law of 128 features" in found
    assert not warnings(root / "nut/train/good")


def test_random_batch_norm_weights_are_calibrated_once_and_travel_with_the_model(run, root, tmp_path):
    network = ["--backbone", "resnet18", "--weights", "random", "--levels", "1-2", "--quiet"]
    model = tmp_path / "m.safetensors"
    assert run("fit", "--data", root, "--category", "nut", *network, "--out", model)[0] == 0
    status, out, _ = run("score", model, root / "nut/train/good", "--quiet", "--no-cache")
    assert status == 0
    distances = [float(line.split()[1]) for line in out.splitlines()[1:]]
    extractor = gad.FeatureExtractor("resnet18", weights="random", levels=[1, 2])
    paths = gad.MVTecDataset(root, "nut").train.paths
    X = extractor.fit(paths).transform(paths)
    np.testing.assert_allclose(distances, gad.load(model).mahalanobis(X), rtol=1e-3)


def test_a_weights_file_is_found_again_by_the_model_and_verified(run, refused, root, tmp_path):
    def write(path, seed):
        network = build(get_backbone("squeezenet1_1"), 3, seed=seed)
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
        return path

    weights, model = write(tmp_path / "w.safetensors", 1), tmp_path / "m.safetensors"
    options = ["--backbone", "squeezenet1_1", "--levels", "1-3", "--quiet"]
    assert (
        run("fit", "--data", root, "--category", "nut", *options, "--weights", weights, "--out", model)[0]
        == 0
    )
    image = root / "nut/test/good/100.png"
    expected = run("score", model, image, "--quiet")[1]
    weights.rename(tmp_path / "moved.safetensors")
    assert "moved or deleted" in refused("score", model, image, "--quiet")
    assert run("score", model, image, "--weights", tmp_path / "moved.safetensors", "--quiet")[1] == expected
    line = refused("score", model, image, "--weights", write(tmp_path / "other.safetensors", 2), "--quiet")
    assert "the model was fitted with weights sha256" in line
    assert "give the same file with --weights" in line


def test_kinds_of_images_are_accepted(run, root, tmp_path):
    folder = put(tmp_path / "kinds", 14)
    base = picture(77, size=(60, 44))
    base.convert("L").save(folder / "grey.png")
    base.convert("P").save(folder / "palette.png")
    base.convert("RGBA").save(folder / "alpha.png")
    base.convert("CMYK").save(folder / "cmyk.jpg")
    base.convert("1").save(folder / "bits.png")
    Image.fromarray(np.asarray(base.convert("L")).astype("u2") * 257).save(folder / "deep.png")
    picture(78, size=(91, 33)).save(folder / "wide.bmp")
    model = tmp_path / "m.safetensors"
    status, out, err = run("fit", "--images", folder, *NETWORK, "--out", model)
    assert status == 0
    (warning,) = err.splitlines()  # the same image with 8 and with 16 bits
    assert "1 of 21 images are copies of others" in warning
    assert "grey.png" in warning
    assert "deep.png" in warning
    assert "fitted on 21 normal images" in out
    status, out, _ = run("score", model, folder / "grey.png", folder / "deep.png", "--quiet")
    grey, deep = (line.split()[1] for line in out.splitlines()[1:])
    assert grey == deep  # the high byte of 16 bits is the 8-bit image


def test_what_is_left_out_of_a_folder_is_noted(run, root, tmp_path):
    folder, model = put(tmp_path / "mine", 20), tmp_path / "m.safetensors"
    (folder / "000.png").rename(folder / "000.jfif")
    (folder / "notes.txt").touch()
    (folder / "gone.png").symlink_to("nowhere")
    note = f"gad: note: {folder} has 20 images; left out: 2 (dangling links: 1, other suffixes: 1)\n"
    loud = [word for word in NETWORK if word != "--quiet"]
    status, out, err = run("fit", "--images", folder, *loud, "--out", model)
    assert status == 0
    assert "fitted on 20 normal images" in out
    assert err.startswith(note)
    assert run("score", model, folder)[2].startswith(note)
    assert run("score", model, folder, "--quiet")[2] == ""
    assert run("fit", "--images", folder, *NETWORK, "--out", model)[2] == ""


@pytest.mark.filterwarnings("default")
def test_few_samples_for_a_small_rate_are_a_warning_of_one_line(run, root, tmp_path):
    status, _, err = run(
        "fit", "--data", root, "--category", "own", *NETWORK, "--out", tmp_path / "m", "--fpr", 0.01
    )
    assert status == 0
    assert err.startswith("gad: warning: 5 normal samples cannot resolve a false-positive rate of 0.01")
    assert err.count("\n") == 1


def test_names_that_no_terminal_can_show_are_written_as_they_are(run, root, tmp_path):
    model, folder = tmp_path / "m.safetensors", tmp_path / "names"
    run("fit", "--data", root, "--category", "nut", *NETWORK, "--out", model)
    folder.mkdir()
    name = os.fsdecode(b"b\xff.png")
    picture(3).save(folder / "a.png")
    (folder / "a.png").rename(folder / name)
    status, _, _ = run("score", model, folder, "--csv", tmp_path / "s.csv", "--quiet")
    assert status == 0
    assert b"b\xff.png" in (tmp_path / "s.csv").read_bytes()


def test_the_files_are_written_even_if_nobody_reads_the_output(root, tmp_path):
    main(["fit", "--data", str(root), "--category", "nut", *NETWORK, "--out", str(tmp_path / "m")])
    score = ["score", str(tmp_path / "m"), str(root / "nut/test/good"), "--quiet"]
    assert main(score) == 0  # the other process finds the features in the cache
    words = [sys.executable, "-m", "gad_core.cli", *score]
    reader, writer = os.pipe()
    os.close(reader)  # as if piped into a program that has ended
    done = subprocess.run([*words, "--csv", str(tmp_path / "s.csv")], stdout=writer, check=False)
    os.close(writer)
    assert done.returncode == 0
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 7


def test_closed_streams_are_no_obstacle(root, tmp_path):
    main(["fit", "--data", str(root), "--category", "nut", *NETWORK, "--out", str(tmp_path / "m")])
    gad = [sys.executable, "-m", "gad_core.cli"]
    score = [*gad, "score", tmp_path / "m", root / "nut/test/good", "--csv", tmp_path / "s.csv"]
    for redirection in ("2>&-", ">&-", ">&- 2>&-"):
        words = ["sh", "-c", f'exec "$@" {redirection}', "sh", *map(str, score)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("gad: ")) == (0, 0)
        assert bool(done.stdout) == (redirection == "2>&-")
        assert len((tmp_path / "s.csv").read_text().splitlines()) == 7
        (tmp_path / "s.csv").unlink()
    words = ["sh", "-c", 'exec "$@" 2>&-', "sh", *gad, "score", str(tmp_path / "none"), "x.png"]
    assert subprocess.run(words, check=False).returncode == 2


def test_results_never_replace_what_is_read(run, refused, root, tmp_path):
    model, image = tmp_path / "m.safetensors", root / "nut/test/good/100.png"
    run("fit", "--data", root, "--category", "nut", *NETWORK, "--out", model)
    before = model.read_bytes()
    for output in (model, image):
        assert "it is used twice" in refused("score", model, image, "--csv", output, "--quiet")
    assert model.read_bytes() == before


def test_a_model_refuses_features_of_another_precision(run, root, tmp_path, monkeypatch):
    fit = (
        "fit",
        "--images",
        root / "nut/train/good",
        *NETWORK,
        "--out",
        tmp_path / "m",
        "--runtime",
        "torch",
    )
    assert run(*fit, "--precision", "bf16")[0] == 0
    extractor = gad.FeatureExtractor("squeezenet1_1", "random", (1, 2, 3), progress=False)
    with pytest.raises(gad.InputError, match=r"fitted with precision bf16, this is fp32"):
        gad.score_map(gad.load(tmp_path / "m"), extractor, np.asarray(picture(3)))
    score = ("score", tmp_path / "m", root / "nut/test/good", "--quiet", "--runtime", "torch")
    with monkeypatch.context() as patch:
        patch.setattr(NetworkRunner, "load", lambda *_: pytest.fail("the network was loaded"))
        status, _, err = run(*score, "--no-cache", "--maps", tmp_path / "maps")
    assert status == 2
    assert "maps and gradients are computed in float32" in err
    assert not (tmp_path / "maps").exists()
    status, out, _ = run(*score)
    assert status == 0
    assert len(out.splitlines()) > 6


@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_a_damaged_model_is_refused(run, refused, root, tmp_path, how):
    model = tmp_path / "m.safetensors"
    run("fit", "--data", root, "--category", "nut", *NETWORK, "--out", model)
    content = bytearray(model.read_bytes())
    if how == "truncated":
        del content[len(content) // 2 :]
    else:
        content[-9] ^= 1
    model.write_bytes(content)
    assert "is damaged" in refused("score", model, root / "nut/test/good", "--quiet")


def test_a_model_without_permission_to_read_it(refused, tmp_path, monkeypatch):
    (tmp_path / "m").touch()

    def forbidden(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)  # who runs the tests may be allowed to read everything
    line = refused("score", tmp_path / "m", "x.png")
    assert f"the model {tmp_path / 'm'} cannot be read (Permission denied); check its permissions" in line


def test_a_model_from_python_without_its_extractor_says_so(refused, tmp_path, root):
    X = np.random.default_rng(0).normal(size=(30, 5))
    gad.GaussianDetector().fit(X).save(tmp_path / "m.safetensors")
    line = refused("score", tmp_path / "m.safetensors", root / "nut/test/good", "--quiet")
    assert "does not say which features it was fitted on" in line
