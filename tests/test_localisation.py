"""Measures of localisation against definitions worked out threshold by threshold; masks; the experiment."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import integrate, ndimage
from sklearn.metrics import roc_auc_score

import gad_core as gad
from gad_core.cli import main
from gad_core.errors import InputError
from gad_core.experiments.localisation import ATTRIBUTIONS, EXACT, drawn_masks, localisation_rows
from gad_core.experiments.results import stored_rows
from gad_core.explain.localisation import (
    localisation,
    marked_area,
    pixel_auroc,
    pointing_game,
    rank_pixels,
    region_overlap,
    relevance_inside,
)
from gad_core.explain.masks import checked_mask, read_mask, split_masks
from gad_core.explain.resample import resample
from gad_core.runner import NetworkRunner

pytestmark = pytest.mark.slow


def overlap_by_thresholds(maps, masks, limit):
    """The curve of mean region overlap over false-positive rate, a point for each value, and its area."""
    normal = np.concatenate([found[~mask] for found, mask in zip(maps, masks, strict=True)])
    regions = []
    for found, mask in zip(maps, masks, strict=True):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [found[labels == i] for i in range(1, count + 1)]
    points = [(0.0, 0.0)]
    for t in np.unique(np.concatenate([normal, *regions]))[::-1]:
        points.append((np.mean(normal >= t), np.mean([np.mean(region >= t) for region in regions])))
    rates, overlaps = np.array(points).T
    inside = rates <= limit
    end = np.interp(limit, rates, overlaps)
    rates, overlaps = np.append(rates[inside], limit), np.append(overlaps[inside], end)
    return integrate.trapezoid(overlaps, rates) / limit


def drawn(seed, count=4, side=9, levels=None):
    """Random maps, equal values included, and masks with several regions; the first image is normal."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(count, side, side + 2)).astype(np.float32)
    masks = rng.random(maps.shape) < 0.2
    masks[0] = False
    masks[1, 0, 0] = True
    maps[masks] += np.float32(rng.uniform(0, 2))
    return (np.round(maps * levels) / levels if levels else maps), masks


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([None, 1, 3]), st.floats(0.05, 1))
def test_auroc_and_overlap_are_those_of_their_definitions(seed, levels, limit):
    maps, masks = drawn(seed, levels=levels)
    expected = roc_auc_score(masks.ravel(), maps.ravel())
    assert pixel_auroc(maps, masks) == pytest.approx(expected, abs=1e-9)
    expected = overlap_by_thresholds(maps, masks, limit)
    assert region_overlap(maps, masks, limit) == pytest.approx(expected, abs=1e-9)


def test_a_perfect_map_and_one_that_is_equal_everywhere():
    _, masks = drawn(0)
    perfect = localisation(masks.astype(float), masks)
    area = perfect.pop("area")
    assert perfect == pytest.approx({"pixel_auroc": 1, "pro": 1, "pointing": 1, "inside": 1})
    flat = localisation(np.ones(masks.shape), masks)
    assert area == flat.pop("area") == pytest.approx(masks[1:].mean())
    assert flat == pytest.approx({"pixel_auroc": 0.5, "pro": 0.15, "pointing": area, "inside": area})


def test_small_regions_weigh_as_much_as_large_ones():
    mask = np.zeros((20, 20), dtype=bool)
    mask[2:12, 2:12] = True
    mask[15, 15] = True
    found = np.zeros((20, 20))
    found[2:12, 2:12] = 1  # the large one is found, the small one is not
    assert pixel_auroc([found], [mask]) == pytest.approx((100 + 0.5) / 101)
    assert region_overlap([found], [mask], 1.0) == pytest.approx((1 + 0.5) / 2)


def test_pixels_that_touch_at_a_corner_are_one_region():
    assert rank_pixels([np.zeros((3, 3))], [np.eye(3, dtype=bool)]).regions == 1


def test_pointing_and_relevance_inside():
    masks = np.zeros((3, 2, 2), dtype=bool)
    masks[1, 0, 0] = masks[2, 0, 0] = True  # the first image is normal
    maps = np.array([[[9, 9], [9, 9]], [[3, 1], [-5, 0]], [[1, 1], [0, 0]]], dtype=float)
    assert pointing_game(maps, masks) == pytest.approx((1 + 0.5) / 2)
    assert relevance_inside(maps, masks) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert relevance_inside(-np.ones((3, 2, 2)), masks) == 0
    assert marked_area(masks) == 0.25


def test_maps_are_brought_to_the_resolution_of_each_mask():
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(5, 5)), rng.normal(size=(7, 4))]
    masks = [rng.random((31, 17)) < 0.3, rng.random((12, 12)) < 0.3]
    full = [resample(found, mask.shape) for found, mask in zip(maps, masks, strict=True)]
    assert localisation(maps, masks) == pytest.approx(localisation(full, masks), abs=1e-6)


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        (np.zeros((2, 3, 3)), np.ones((1, 3, 3), bool), "2 maps and 1 masks"),
        (np.zeros((2, 3, 3)), np.zeros((2, 3, 3), bool), "no mask marks a pixel"),
        (np.zeros((2, 3, 3)), np.ones((2, 3, 3), bool), "every pixel of every mask"),
        (np.full((1, 3, 3), np.nan), np.eye(3, dtype=bool)[None], "NaN"),
        (np.zeros((1, 9)), np.eye(3, dtype=bool)[None], "two axes"),
    ],
)
def test_maps_and_masks_that_cannot_be_compared_are_refused(maps, masks, message):
    with pytest.raises(InputError, match=message):
        localisation(maps, masks)


@pytest.mark.parametrize("measure", [pointing_game, relevance_inside, lambda _, masks: marked_area(masks)])
def test_images_without_anomaly_are_refused(measure):
    with pytest.raises(InputError, match="no mask marks a pixel"):
        measure(np.zeros((2, 3, 3)), np.zeros((2, 3, 3), bool))


@pytest.mark.parametrize("limit", [0, -0.1, 1.5])
def test_a_limit_that_is_no_rate_is_refused(limit):
    with pytest.raises(InputError, match="limit"):
        region_overlap(*drawn(0), limit)


# --- masks and the experiment -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return gad.synthesize(
        tmp_path_factory.mktemp("data"),
        categories=["nut"],
        n_train=12,
        n_test_good=3,
        n_test_defect=2,
        size=64,
    )


@pytest.fixture(scope="module")
def extractor():
    return gad.FeatureExtractor("embedded", levels=[2, 5], size=96, progress=False)


def broken(root, folder, change):
    """Copy of the data set in which the first mask is changed."""
    import shutil

    shutil.copytree(root, folder)
    path = next(mask for mask in gad.MVTecDataset(folder, "nut").test.masks if mask)
    change(Image.open(path)).save(path)
    return gad.MVTecDataset(folder, "nut")


def test_masks_of_a_test_set(root):
    test = gad.MVTecDataset(root, "nut").test
    masks = split_masks(test)
    assert list(masks) == list(range(len(test)))
    assert [mask.any() for mask in masks.values()] == list(test.labels == 1)
    assert all(mask.shape == (64, 64) for mask in masks.values())
    kept = drawn_masks(masks, 2, np.random.default_rng(0))
    assert list(kept) == sorted(kept)
    assert sum(mask.any() for mask in kept.values()) == 2
    assert len(kept) == 4
    assert list(drawn_masks(masks, None, np.random.default_rng(0))) == list(masks)


def test_a_mask_of_another_size_and_an_empty_one_are_refused(root, tmp_path):
    data = broken(root, tmp_path / "size", lambda mask: mask.resize((50, 64)))
    with pytest.raises(InputError, match=r"_mask.png is 64 x 50 and the image 64 x 64"):
        split_masks(data.test)
    data = broken(root, tmp_path / "empty", lambda mask: mask.point(lambda _: 0))
    with pytest.raises(InputError, match=r"_mask.png is empty"):
        split_masks(data.test)
    with pytest.raises(InputError, match="is empty"):
        checked_mask(np.zeros((2, 2)), np.zeros((2, 2, 3)))


def test_a_mask_is_read_at_its_own_or_a_given_size(tmp_path):
    mask = np.zeros((10, 20), dtype=np.uint8)
    mask[5:, 10:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), mask > 0)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", 2), [[False, False], [False, True]])


def test_rows_are_those_of_the_maps_one_by_one(root, extractor):
    data, ticks = gad.MVTecDataset(root, "nut"), []
    rows = localisation_rows(data, extractor, tick=ticks.append)
    assert [row["predictor"] for row in rows] == ["level 2", "level 5", "sum", "joint"]
    assert sum(ticks) == rows[0]["images"] == len(data.test)
    masks = list(split_masks(data.test).values())
    detector = gad.GaussianDetector(extractor.level_widths, "joint", threshold="chi2")
    detector.fit(extractor.transform(data.train.paths))
    maps = [gad.score_map(detector, extractor, path) for path in data.test.paths]
    expected = localisation(maps, masks)
    assert {key: rows[-1][key] for key in expected} == pytest.approx(expected, abs=1e-4)
    assert expected["pixel_auroc"] > 0.6  # the defects are found at all


def test_every_attribution_gives_rows_and_a_draw_limits_them(root, extractor, monkeypatch):
    monkeypatch.setattr("gad_core.experiments.localisation.STEPS", 2)
    monkeypatch.setattr("gad_core.experiments.localisation.SAMPLES", 2)
    monkeypatch.setattr("gad_core.experiments.localisation.WINDOWS", 2)
    methods = (EXACT, *ATTRIBUTIONS)
    data = gad.MVTecDataset(root, "nut")
    rows = localisation_rows(data, extractor, predictors=["joint"], methods=methods, limit=1)
    assert [row["method"] for row in rows] == list(methods)
    assert {(row["images"], row["anomalous"]) for row in rows} == {(2, 1)}
    errors = {row["method"]: row["completeness_error"] for row in rows}
    assert errors.pop("integrated gradients") > 0
    assert set(errors.values()) == {None}
    drawn = "SmoothGrad"  # the one that draws noise, besides the images
    again = localisation_rows(data, extractor, predictors=["joint"], methods=[drawn], limit=1)
    assert [row for row in rows if row["method"] == drawn] == again
    with pytest.raises(InputError, match="no method 'guess'"):
        localisation_rows(data, extractor, methods=["guess"])


def test_the_command_writes_rows_and_provenance(root, tmp_path, capsys):
    options = [
        "--backbone",
        "embedded",
        "--levels",
        "4,5",
        "--predictor",
        "5",
        "joint",
        "--no-cache",
        "--quiet",
    ]
    files = ["--csv", tmp_path / "l.csv", "--json", tmp_path / "l.json"]
    assert main([str(word) for word in ("localise", "--data", root, *options, *files)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("category  method     predictor")
    assert len(out) == 3
    with (tmp_path / "l.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["predictor"] for row in rows] == ["level 5", "joint"]
    written = json.loads((tmp_path / "l.json").read_text())
    assert [float(row["pro"]) for row in rows] == [row["pro"] for row in written["results"]]
    assert written["features"][0]["provenance"]["weights"] == "embedded"
    assert len(written["features"][0]["masks_sha256"]) == 64
    assert str(tmp_path) not in (tmp_path / "l.json").read_text()


def test_the_command_refuses_bad_input_with_one_line(root, tmp_path, capsys):
    data = broken(root, tmp_path / "empty", lambda mask: mask.point(lambda _: 0))
    base = ["localise", "--data", str(data.root), "--backbone", "embedded", "--no-cache", "--quiet"]
    for extra, message in (
        ([], "is empty"),
        (["--predictor", "9"], "combine must be one of"),
        (["--limit", "0"], "--limit"),
    ):
        assert main([*base, *extra]) == 2
        err = capsys.readouterr().err
        assert err.startswith("gad: error: ")
        assert err.count("\n") == 1
        assert message in err


def test_another_precision_is_refused_before_any_work(root, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(NetworkRunner, "start_features", lambda *_: pytest.fail("features were computed"))
    monkeypatch.setattr("gad_core.experiments.localisation.split_masks", lambda *_: pytest.fail("masks read"))
    words = ["localise", "--data", root, "--backbone", "embedded", "--no-cache", "--quiet"]
    words += ["--precision", "bf16", "--runtime", "torch", "--faithfulness", tmp_path / "f"]
    assert main([str(word) for word in words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("gad: error: maps and gradients are computed in float32")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_stored_attributions_were_measured_on_the_same_images_and_add_up():
    rows = stored_rows("attributions", tier="explain")
    assert {row["category"] for row in rows} >= {"bottle"}
    for category in {row["category"] for row in rows}:
        chosen = {row["method"]: row for row in rows if row["category"] == category}
        assert set(chosen) == {EXACT, *ATTRIBUTIONS}
        assert len({(row["images"], row["anomalous"], row["area"]) for row in chosen.values()}) == 1
        errors = {method: row["completeness_error"] for method, row in chosen.items()}
        assert 0 < errors.pop("integrated gradients") < 0.01
        assert set(errors.values()) == {None}
