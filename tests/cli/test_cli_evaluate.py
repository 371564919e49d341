"""``gad evaluate`` as a user meets it: rows, means, options, progress."""

import json
import shutil

import pytest
from cli_pictures import NETWORK
from PIL import Image

import gad_core as gad


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


def test_evaluate_warns_of_test_images_that_are_training_images(run, root, tmp_path):
    def copied(count):
        folder = shutil.copytree(root, tmp_path / f"{count}-copies")
        for i in range(count):
            shutil.copy(folder / f"nut/train/good/{i:03}.png", folder / f"nut/test/good/{100 + i}.png")
        return run("evaluate", "--data", folder, "--category", "nut", *NETWORK)

    assert copied(0)[2] == ""
    status, out, err = copied(5)
    assert status == 0
    assert err.count("\n") == 1
    assert err.startswith("gad: warning: nut: 5 of 12 test images are copies of training images")
    assert "test/good/100.png is train/good/000.png" in err
    assert "and 2 more" in err
    assert len(out.splitlines()) == 2


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
    gad.synthesize(tmp_path, categories=["nut", "wood"], n_train=6, n_test_good=2, n_test_defect=1, size=64)
    status, out, _ = run("evaluate", "--data", tmp_path, *NETWORK)
    assert status == 0
    assert "mean of 2" in out.splitlines()[-1]
    assert "SEM" in out.splitlines()[-1]


def test_synthetic_data_are_a_data_set(run, tmp_path):
    status, out, err = run("synthesize", tmp_path, "--category", "nut", "--size", 64, "--quiet")
    data = gad.MVTecDataset(tmp_path, "nut")
    assert (status, out, err) == (0, f"{data}\n", "")
    assert {Image.open(path).size for path in data.train.paths[:3] + data.test.paths[-3:]} == {(64, 64)}
    assert set(data.test.labels.tolist()) == {0, 1}


def test_categories_and_settings_count_once(run, root):
    status, out, _ = run(
        "evaluate", "--data", root, "--category", "nut", "nut", *NETWORK, "--combine", "sum", "sum"
    )
    assert status == 0
    assert len(out.splitlines()) == 2


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


def test_progress_goes_to_stderr_and_results_to_stdout(run, root):
    options = [word for word in NETWORK if word != "--quiet"]
    status, out, err = run("evaluate", "--data", root, "--category", "nut", *options)
    assert status == 0
    assert "24/24" in err
    assert "24/24" not in out
    assert "AUROC" in out
