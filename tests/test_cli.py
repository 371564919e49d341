"""The command line from image files to a verdict, as a user meets it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

import gad_core as gad
from gad_core.backbones import build, get_backbone
from gad_core.cli import main
from gad_core.runner import NetworkRunner

NETWORK = ["--backbone", "squeezenet1_1", "--weights", "random", "--levels", "1-3", "--quiet"]


def picture(seed: int, size: tuple[int, int] = (40, 40)) -> Image.Image:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[1], : size[0]]
    waves = np.sin(x / rng.uniform(2, 4))[..., None] * 60 + np.cos(y / 5)[..., None] * 40 + 120
    return Image.fromarray(
        (waves + rng.normal(scale=9, size=(size[1], size[0], 3))).clip(0, 255).astype("u1")
    )


def put(folder: Path, count: int, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        picture(i).save(folder / f"{i:03}.png")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GAD_DATA", raising=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put(root / "nut/train/good", 24)
    put(root / "nut/test/good", 6, first=100)
    broken = put(root / "nut/test/hole", 6, first=200)
    for path in broken.iterdir():
        image = Image.open(path)
        image.paste((0, 0, 0), (10, 10, 22, 24))
        image.save(path)
    put(root / "own/train/good", 5)
    return root


@pytest.fixture
def run(capsys):
    def run(*argv: object) -> tuple[int, str, str]:
        try:
            status = main([str(word) for word in argv])
        except SystemExit as stop:  # argparse's own errors
            status = int(stop.code or 0)
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def refused(run):
    """Run a command that must fail with status 2 and exactly one line, and give the line."""

    def refused(*argv: object) -> str:
        status, _, err = run(*argv)
        assert status == 2, err
        assert err.count("\n") == 1, err
        assert err.startswith("gad: error: ")
        return err

    return refused


def test_evaluate_gives_one_row_for_every_combination(run, root, tmp_path):
    status, out, _ = run(
        "evaluate", "--data", root, "--category", "nut", *NETWORK, "--combine", "sum", "joint", "3",
        "--reduce", "none", "npca:0.99", "--covariance", "ledoit_wolf", "spherical", "--folds", 3,
        "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert status == 0
    rows = json.loads((tmp_path / "r.json").read_text())["results"]
    assert len(rows) == 12
    assert len(out.splitlines()) == 13
    keys = [(r["combine"], r["reduce"], r["covariance"]) for r in rows]
    assert len(set(keys)) == 12
    last = {key: rows[-1][key] for key in ("category", "combine", "reduce", "covariance", "folds")}
    assert list(last.values()) == ["nut", "3", "npca:0.99", "spherical", 3]
    assert all(0 <= r["auroc_low"] <= r["auroc"] <= r["auroc_high"] <= 1 for r in rows)
    assert rows[0]["auroc"] > 0.9  # a black hole in every anomalous image


def test_evaluate_tells_where_the_time_went(run, root, tmp_path):
    argv = ("evaluate", "--data", root, "--category", "nut", *NETWORK, "--profile", "--json", tmp_path / "r")
    for _ in range(2):  # the second time, too, all features are computed
        status, out, _ = run(*argv)
        assert status == 0
        found = json.loads((tmp_path / "r").read_text())["profile"]
        assert found["images"] == 36
        stages = found["stages"]
        assert all(
            0 < stages[s]["busy"] < found["seconds"] for s in ("decode", "resize", "network", "pooling")
        )
        assert stages["statistics"]["share"] == pytest.approx(stages["statistics"]["busy"] / found["seconds"])
        lines = out[out.index("stage") :].splitlines()
        assert [line.split("  ")[0] for line in lines[1:8]] == list(stages)
        assert "36 images in" in lines[8]
    assert "stage" not in run(*argv[:-3])[1]


def test_a_runtime_and_a_precision_can_be_asked_for(run, root, tmp_path):
    data = ("evaluate", "--data", root, "--category", "nut", *NETWORK, "--json", tmp_path / "r")
    for options, expected in (
        ((), ("torch", "fp32")),  # random weights stay where they are drawn
        (("--precision", "bf16", "--runtime", "torch"), ("torch", "bf16")),
        (("--runtime", "openvino"), ("openvino", "fp32")),
    ):
        status, _, err = run(*data, *options)
        if status and "needs the package openvino" in err:
            pytest.skip("the package openvino is not installed (extra fast)")
        made = json.loads((tmp_path / "r").read_text())["extractors"]["nut"]
        assert (made["runtime"], made["precision"]) == expected
    status, _, err = run(*data, "--precision", "tf32", "--device", "cpu")
    assert status == 2
    assert "CUDA" in err


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


def test_evaluate_agrees_with_python(run, root, tmp_path):
    run("evaluate", "--data", root, "--category", "nut", *NETWORK, "--json", tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())["results"][0]["auroc"]
    data = gad.MVTecDataset(root, "nut")
    extractor = gad.FeatureExtractor("squeezenet1_1", weights="random", levels=range(1, 4))
    detector = gad.GaussianDetector(extractor.level_widths).fit(extractor.transform(data.train.paths))
    from sklearn.metrics import roc_auc_score

    distances = detector.mahalanobis(extractor.transform(data.test.paths))
    assert found == pytest.approx(roc_auc_score(data.test.labels, distances), abs=1e-9)


def test_means_over_categories_are_labelled_with_their_number(run, tmp_path):
    assert run("synthesize", tmp_path / "s", "--category", "nut", "wood", "--size", 64, "--quiet")[0] == 0
    status, out, _ = run("evaluate", "--data", tmp_path / "s", *NETWORK)
    assert status == 0
    assert "mean of 2" in out.splitlines()[-1]
    assert "SEM" in out.splitlines()[-1]


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
    assert (status, err) == (0, "")
    assert "fitted on 21 normal images" in out
    status, out, _ = run("score", model, folder / "grey.png", folder / "deep.png", "--quiet")
    grey, deep = (line.split()[1] for line in out.splitlines()[1:])
    assert grey == deep  # the high byte of 16 bits is the 8-bit image


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ("nowhere", "no category 'nowhere' in"),
        ("bare", "has no folder train/good: put the normal training images there"),
        ("empty", "has no image"),
        ("truncated", "good/001.png is truncated"),
        ("text", "good/001.png is not an image that can be read"),
        ("one", "a spread needs at least 2 normal samples"),
        ("equal", "all 5 training samples are equal"),
    ],
)
def test_bad_training_images_are_named(refused, tmp_path, category, message):
    good = {c: tmp_path / c / "train/good" for c in ("empty", "truncated", "text", "one", "equal")}
    (tmp_path / "bare/test/good").mkdir(parents=True)
    good["empty"].mkdir(parents=True)
    put(good["one"], 1)
    for name in ("truncated", "text"):
        put(good[name], 4)
    broken = good["truncated"] / "001.png"
    broken.write_bytes(broken.read_bytes()[:900])
    (good["text"] / "001.png").write_text("no image")
    good["equal"].mkdir(parents=True)
    for i in range(5):
        picture(0).save(good["equal"] / f"{i}.png")
    model = tmp_path / "m.safetensors"
    assert message in refused("fit", "--data", tmp_path, "--category", category, *NETWORK, "--out", model)
    assert not model.exists()


def test_bad_requests_are_named(refused, root, tmp_path):
    fit = ("fit", "--data", root, "--category", "nut", *NETWORK)
    evaluate = ("evaluate", "--data", root, *NETWORK)
    model = tmp_path / "m.safetensors"
    cases = [
        (("evaluate", "--data", tmp_path / "none", *NETWORK), "no such folder"),
        (("evaluate", "--data", tmp_path, *NETWORK), "there must be folders with train/good"),
        (("evaluate", *NETWORK), "--data"),
        ((*evaluate, "--category", "own"), "has 0 normal and 0 anomalous test images"),
        ((*evaluate, "--category", "nut", "--folds", 99), "folds must be 0"),
        ((*evaluate, "--category", "nut", "--combine", 9), "combine must be one of sum, joint, 1, 2, 3"),
        ((*evaluate, "--category", "nut", "--combine", "max"), "is no way to combine levels"),
        ((*evaluate, "--category", "nut", "--reduce", "pca:2"), "is no subspace"),
        ((*evaluate, "--category", "nut", "--covariance", "full"), "invalid choice"),
        ((*evaluate, "--category", "nut", "--levels", "0-3"), "has the levels 1 to 9"),
        ((*evaluate, "--category", "nut", "--backbone", "vgg"), "no backbone is called 'vgg'"),
        ((*evaluate, "--category", "nut", "--weights", tmp_path / "w"), "no such weights file"),
        ((*evaluate, "--category", "nut", "--device", "warp"), 'device "warp" is not available'),
        ((*evaluate, "--category", "nut", "--json", "/proc/none/r.json"), "cannot write /proc/none/r.json"),
        ((*evaluate, "--category", "nut", "--json", tmp_path), "it is no regular file"),
        ((*fit, "--out", model, "--fpr", 5), "fpr is a fraction"),
        ((*fit, "--out", "/proc/none/m"), "cannot write /proc/none/m"),
        ((*fit, "--out", model, "--images", root), "not both"),
        (("fit", "--data", root, *NETWORK, "--out", model), "--category is missing; in"),
        (("fit", "--images", root, *NETWORK, "--out", model), "subfolders are not searched"),
        (
            ("fit", "--data", root / "nut", "--category", "nut", *NETWORK, "--out", model),
            "is a category itself",
        ),
        (("fit", *NETWORK, "--out", model), "give --images FOLDER, or --data ROOT and --category C"),
        (
            (*fit, "--out", model, "--threshold", "conformal"),
            "needs at least 19 calibration samples, there are 6",
        ),
        (("score", tmp_path / "none", root), "no such model"),
        (("score", model), "the following arguments are required: PATH"),
        (("sing",), "invalid choice: 'sing'"),
        (("synthesize", root / "nut/train/good/000.png"), "is a file: name a folder"),
        (("synthesize", "/proc/none", "--quiet"), "cannot write /proc/none"),
        (("synthesize", root), "nut is not empty: choose another folder"),
        ((*fit, "--seed", "9" * 23, "--out", model), "seed must be a whole number"),
        ((*fit, "--out", model, "--json", model), "it is used twice"),
        (("info", "--json", "/proc/none.json"), "cannot write /proc/none.json"),
        ((*evaluate, "--category", "nut", "--folds", 99, "--json", tmp_path / "new/r.json"), "folds must be"),
        (("synthesize", tmp_path / "s", "--category", "unicorn"), "unicorn"),
        (("download", "unicorn", "--root", tmp_path), "unicorn"),
    ]
    for argv, message in cases:
        assert message in refused(*argv), argv
    assert not model.exists()
    assert not (tmp_path / "new").exists()


def test_results_never_replace_what_is_read(run, refused, root, tmp_path):
    model, image = tmp_path / "m.safetensors", root / "nut/test/good/100.png"
    run("fit", "--data", root, "--category", "nut", *NETWORK, "--out", model)
    before = model.read_bytes()
    for output in (model, image):
        assert "it is used twice" in refused("score", model, image, "--csv", output, "--quiet")
    assert model.read_bytes() == before


def test_categories_and_settings_count_once(run, root):
    status, out, _ = run(
        "evaluate", "--data", root, "--category", "nut", "nut", *NETWORK, "--combine", "sum", "sum"
    )
    assert status == 0
    assert len(out.splitlines()) == 2


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
    words = [sys.executable, "-m", "gad_core.cli", "score", str(tmp_path / "m"), str(root / "nut/test/good")]
    reader, writer = os.pipe()
    os.close(reader)  # as if piped into a program that has ended
    done = subprocess.run([*words, "--quiet", "--csv", str(tmp_path / "s.csv")], stdout=writer, check=False)
    os.close(writer)
    assert done.returncode == 0
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 7


def test_the_parsers_choices_are_the_librarys():
    from typing import get_args

    from gad_core.cli.arguments.fit import COVARIANCES, THRESHOLDS
    from gad_core.detector import Threshold
    from gad_core.gaussian import Covariance

    assert get_args(Covariance) == COVARIANCES
    assert get_args(Threshold) == THRESHOLDS


def test_weights_without_the_needed_tensors(refused, root, tmp_path):
    network = build(get_backbone("squeezenet1_1"), 2, seed=0)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "w.safetensors")
    options = [*NETWORK[:2], "--weights", tmp_path / "w.safetensors", *NETWORK[4:]]
    line = refused("fit", "--data", root, "--category", "nut", *options, "--out", tmp_path / "m")
    assert "lacks 6 of the 14 tensors" in line
    assert "ask for fewer levels" in line


def test_a_damaged_cache_entry_is_recomputed_with_a_warning(run, root, tmp_path):
    command = ("evaluate", "--data", root, "--category", "nut", *NETWORK)
    status, expected, err = run(*command)
    assert (status, err) == (0, "")
    entries = sorted((tmp_path / "cache").rglob("*.npz"))
    assert len(entries) == 36
    entries[0].write_bytes(entries[0].read_bytes()[:-40])
    content = bytearray(entries[1].read_bytes())
    content[len(content) // 2] ^= 0xFF
    entries[1].write_bytes(content)
    status, out, err = run(*command)
    assert (status, out) == (0, expected)
    assert err.count("gad: warning: ") == 2
    assert entries[0].name in err
    assert entries[1].name in err
    assert run(*command) == (0, expected, "")


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


def test_a_model_from_python_without_its_extractor_says_so(refused, tmp_path, root):
    X = np.random.default_rng(0).normal(size=(30, 5))
    gad.GaussianDetector().fit(X).save(tmp_path / "m.safetensors")
    line = refused("score", tmp_path / "m.safetensors", root / "nut/test/good", "--quiet")
    assert "does not say which features it was fitted on" in line


@pytest.mark.filterwarnings("default")
def test_few_samples_for_a_small_rate_are_a_warning_of_one_line(run, root, tmp_path):
    status, _, err = run(
        "fit", "--data", root, "--category", "own", *NETWORK, "--out", tmp_path / "m", "--fpr", 0.01
    )
    assert status == 0
    assert err.startswith("gad: warning: 5 normal samples cannot resolve a false-positive rate of 0.01")
    assert err.count("\n") == 1


def command(*argv: object, **options) -> subprocess.CompletedProcess:
    words = [sys.executable, "-m", "gad_core.cli", *map(str, argv)]
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)


def test_two_processes_fill_one_cache(root, tmp_path):
    words = [
        sys.executable,
        "-m",
        "gad_core.cli",
        "evaluate",
        "--data",
        str(root),
        "--category",
        "nut",
        *NETWORK,
    ]
    both = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    (out_a, err_a), (out_b, err_b) = (process.communicate() for process in both)
    assert [process.returncode for process in both] == [0, 0], err_a + err_b
    assert out_a == out_b
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 36
    assert not list((tmp_path / "cache").rglob(".*"))
    assert command("evaluate", "--data", root, "--category", "nut", *NETWORK).stdout == out_a


def test_a_second_run_needs_no_torch(root):
    argv = ["evaluate", "--data", str(root), "--category", "nut", *NETWORK]
    assert main(argv) == 0
    code = (
        f"import sys; from gad_core.cli import main; status = main({argv!r}); "
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_progress_goes_to_stderr_and_results_to_stdout(run, root):
    options = [word for word in NETWORK if word != "--quiet"]
    status, out, err = run("evaluate", "--data", root, "--category", "nut", *options)
    assert status == 0
    assert "24/24" in err
    assert "24/24" not in out
    assert "AUROC" in out


def test_unexpected_errors_are_one_line_unless_debugging(run, monkeypatch, root):
    def broken(args):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("gad_core.cli.evaluate.run", broken)
    status, _, err = run("evaluate", "--data", root)
    assert (status, err) == (
        1,
        "gad: error: unexpected ZeroDivisionError: division by zero (GAD_DEBUG=1 shows where)\n",
    )
    monkeypatch.setenv("GAD_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["evaluate", "--data", str(root)])


def test_an_interrupt_is_one_line(run, monkeypatch, root):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("gad_core.cli.evaluate.run", interrupted)
    status, _, err = run("evaluate", "--data", root)
    assert status == 130
    assert "interrupted" in err


def test_info_and_help(run, tmp_path):
    status, out, _ = run("info", "--json", tmp_path / "i.json")
    assert status == 0
    facts = json.loads((tmp_path / "i.json").read_text())
    assert facts["gad_core"] == gad.__version__
    assert {"name": "efficientnet_b4", "levels": 9, "size": 380, "features": 2944}.items() <= facts[
        "backbones"
    ][4].items()
    assert "efficientnet_b4" in out
    for name in ("evaluate", "fit", "score", "synthesize", "download", "info"):
        status, out, _ = run(name, "--help")
        assert status == 0
        assert out.startswith(f"usage: gad {name}")
    assert run("--version")[1] == f"gad-core {gad.__version__}\n"
