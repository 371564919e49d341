"""``gad score --maps``: pictures of where each distance comes from, as a user meets them."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gad_core as gad
from gad_core.cli import main
from gad_core.cli.score import map_files
from gad_core.errors import InputError
from gad_core.explain.overlay import SCALE, colours, overlay
from gad_core.runner import NetworkRunner

NETWORK = ["--backbone", "embedded", "--levels", "4-5", "--quiet"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return gad.synthesize(folder, categories=["nut"], n_train=8, n_test_good=2, n_test_defect=1, size=80)


@pytest.fixture(scope="module")
def model(root, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "nut.safetensors"
    fit = ["fit", "--data", root, "--category", "nut", *NETWORK, "--fpr", "0.2", "--out", path]
    assert main([str(word) for word in fit]) == 0
    return path


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_image_gets_a_picture_of_its_size_and_the_same_row(run, root, model, tmp_path):
    wide = tmp_path / "wide.png"
    image = gad.MVTecDataset(root, "nut").test.paths[0]
    Image.open(image).resize((120, 60)).save(wide)
    images = [root / "nut/test/good", wide]
    base = ["score", model, *images, "--quiet"]
    assert run(*base, "--csv", tmp_path / "plain.csv")[0] == 0
    status, out, err = run(*base, "--csv", tmp_path / "maps.csv", "--maps", tmp_path / "maps")
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 4
    assert pictures(tmp_path / "maps") == ["1_000.png", "2_001.png", "3_wide.png"]
    plain, mapped = (list(csv.DictReader((tmp_path / f"{name}.csv").open())) for name in ("plain", "maps"))
    assert [row.pop("map") for row in mapped] == [
        str(tmp_path / "maps" / n) for n in pictures(tmp_path / "maps")
    ]
    for before, row in zip(plain, mapped, strict=True):
        assert float(row.pop("distance")) == pytest.approx(float(before.pop("distance")), rel=1e-6)
        assert row == before
    assert Image.open(tmp_path / "maps/3_wide.png").size == (120, 60)


def test_the_picture_is_the_score_map_over_the_image(run, root, model, tmp_path):
    path = next(p for p, label in zip(*_test(root), strict=True) if label)
    assert run("score", model, path, "--quiet", "--maps", tmp_path)[0] == 0
    detector = gad.load(model)
    extractor = gad.FeatureExtractor.from_fingerprint(detector.extractor_["fingerprint"], progress=False)
    found = gad.score_map(detector, extractor, path, size=(80, 80))
    expected = overlay(np.asarray(Image.open(path).convert("RGB")), found, detector.threshold_)
    shown = np.asarray(Image.open(tmp_path / f"1_{path.stem}.png"))
    assert np.abs(shown.astype(int) - expected).max() <= 3  # from the map at 380 pixels instead of 80


def _test(root):
    test = gad.MVTecDataset(root, "nut").test
    return test.paths, test.labels


def test_images_of_one_name_in_two_folders_get_two_pictures(run, root, model, tmp_path):
    test = gad.MVTecDataset(root, "nut").test.paths
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.open(test[0]).save(tmp_path / folder / "same.png")
    status, *_ = run("score", model, tmp_path / "a", tmp_path / "b", "--quiet", "--maps", tmp_path / "maps")
    assert status == 0
    assert pictures(tmp_path / "maps") == ["1_same.png", "2_same.png"]


def test_names_of_pictures_sort_like_the_images_and_stay_short():
    names = [path.name for path in map_files(Path("m"), [Path("x" * 250 + ".png")] * 11)]
    assert names == sorted(names)
    assert len(set(names)) == 11
    assert max(map(len, names)) < 120
    assert map_files(None, [Path("a.png")]) == []


def test_a_second_run_replaces_its_pictures(run, root, model, tmp_path):
    (tmp_path / "1_000.png").write_bytes(b"old")
    image = root / "nut/test/good/000.png"
    for _ in range(2):
        assert run("score", model, image, "--quiet", "--maps", tmp_path)[0] == 0
    assert pictures(tmp_path) == ["1_000.png"]
    assert Image.open(tmp_path / "1_000.png").size == (80, 80)


def test_places_that_cannot_be_written_to_are_refused_before_scoring(run, root, model, tmp_path, monkeypatch):
    monkeypatch.setattr(NetworkRunner, "start_maps", lambda *_: pytest.fail("it was scored"))
    image = root / "nut/test/good/000.png"
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "1_000.png").mkdir(parents=True)
    for folder in ("file", "folder"):
        status, _, err = run("score", model, image, "--quiet", "--maps", tmp_path / folder)
        assert status == 2
        assert err.startswith("gad: error: cannot write")
        assert err.count("\n") == 1


def test_a_picture_never_replaces_an_image_that_is_scored(run, root, model, tmp_path):
    Image.open(root / "nut/test/good/000.png").save(tmp_path / "1_1_000.png")
    before = (tmp_path / "1_1_000.png").read_bytes()
    Image.open(root / "nut/test/good/001.png").save(tmp_path / "1_000.png")  # its picture: 1_1_000.png
    status, _, err = run("score", model, tmp_path, "--quiet", "--maps", tmp_path)
    assert status == 2
    assert "used twice" in err
    assert (tmp_path / "1_1_000.png").read_bytes() == before


def test_an_unreadable_image_leaves_no_half_written_picture(run, root, model, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes((root / "nut/test/good/000.png").read_bytes()[:300])
    status, _, err = run("score", model, bad, "--quiet", "--maps", tmp_path / "maps")
    assert status == 2
    assert "truncated" in err
    assert not (tmp_path / "maps").exists() or not pictures(tmp_path / "maps")


# --- colours ----------------------------------------------------------------------------------------------


def test_lightness_grows_evenly_so_that_no_hue_is_needed():
    linear = (colours(np.linspace(0, 1, 50)) / 255) ** 2.2
    lightness = (linear @ [0.2126, 0.7152, 0.0722]) ** (1 / 3)
    steps = np.diff(lightness)
    assert steps.min() > 0
    assert steps.max() < 4 * steps.mean()


def test_the_scale_follows_the_threshold_alone():
    image = np.full((2, 3, 3), 128, dtype=np.uint8)
    relevance = np.array([[-5, 0, 1], [SCALE, SCALE * 2, SCALE * 100]]) * 7.0
    shown = overlay(image, relevance, 7.0)
    np.testing.assert_array_equal(shown[0, 0], shown[0, 1])
    np.testing.assert_array_equal(shown[1, 0], shown[1, 1])
    assert shown[0, 2, 0] > shown[0, 1, 0]
    np.testing.assert_array_equal(shown, overlay(image, relevance * 3, 21.0))


def test_a_map_of_another_size_and_a_threshold_of_zero_are_refused():
    image = np.zeros((2, 3, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="size"):
        overlay(image, np.zeros((3, 2)), 1.0)
    with pytest.raises(InputError, match="threshold above 0"):
        overlay(image, np.zeros((2, 3)), 0.0)
