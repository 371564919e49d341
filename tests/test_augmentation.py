"""The paper's augmentation: each change by an identity of its own, and how often which is made."""

import numpy as np
import pytest

from gad_core import augmentation
from gad_core.augmentation import WHOLE, Augmentation, augmentation_of, augmented, blurred, moved, recoloured

CATEGORIES = (
    *("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill", "screw"),
    *("tile", "toothbrush", "transistor", "wood", "zipper"),
)


def picture(side=24, seed=0):
    """Smooth in space, so that interpolation costs little, and coloured."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 215, size=(6, 6, 3))
    return np.rint(np.kron(coarse, np.ones((side // 6, side // 6, 1)))).astype(np.uint8)


@pytest.mark.parametrize("side", [24, 30])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns_are_those_of_numpy(side, turns):
    image = picture(side)
    np.testing.assert_array_equal(moved(image, (0, 0), 1, 90 * turns), np.rot90(image, turns))


def test_a_shift_of_whole_pixels_moves_them_down_and_to_the_right_and_mirrors_the_rest():
    image = picture(24)
    found = moved(image, (2 / 24, 3 / 24), 1, 0)
    np.testing.assert_array_equal(found[2:, 3:], image[:-2, :-3])
    np.testing.assert_array_equal(found[:2, 3:], image[[2, 1], :-3])


def test_a_larger_scale_enlarges_about_the_centre():
    image = np.zeros((41, 41, 3), dtype=np.uint8)
    image[10:31, 10:31] = 200
    assert moved(image, (0, 0), 1.5, 0)[6, 20].tolist() == [200] * 3
    assert moved(image, (0, 0), 0.5, 0)[12, 20].tolist() == [0] * 3
    assert moved(image, (0, 0), 0.5, 0)[20, 20].tolist() == [200] * 3


def test_turning_and_turning_back_restores_the_middle():
    y, x = np.mgrid[:60, :60]
    smooth = np.stack([100 + y, 200 - x, 80 + x], axis=-1).astype(np.uint8)
    back = moved(moved(smooth, (0, 0), 1, 10), (0, 0), 1, -10)
    np.testing.assert_allclose(back[15:45, 15:45].astype(int), smooth[15:45, 15:45].astype(int), atol=1)


def test_blur_keeps_a_plane_and_the_mean_and_lowers_the_variance():
    flat = np.full((20, 20, 3), 77, dtype=np.uint8)
    np.testing.assert_allclose(blurred(flat, 1.5), 77, rtol=1e-6)
    noise = np.random.default_rng(0).integers(0, 256, size=(64, 64, 3)).astype(np.uint8)
    assert blurred(noise, 1.0).mean() == pytest.approx(noise.mean(), rel=0.02)
    # Of white noise a Gaussian of sigma keeps the share 1 / (4 pi sigma^2) of the variance.
    assert blurred(noise, 1.0).var() == pytest.approx(noise.var() / (4 * np.pi), rel=0.15)


def test_hue_saturation_and_value_change_what_they_say():
    red = np.full((4, 4, 3), (200, 50, 50), dtype=np.uint8)
    np.testing.assert_allclose(recoloured(red, 0, 0, 0), red, atol=2)
    # A third of a turn carries red into green.
    np.testing.assert_allclose(recoloured(red, 85, 0, 0)[0, 0], (50, 200, 50), atol=5)
    assert recoloured(red, 0, 0, 40).max() == 240
    assert recoloured(red, 0, -255, 0)[0, 0].tolist() == [200] * 3
    np.testing.assert_array_equal(recoloured(red, 256, 0, 0), recoloured(red, 0, 0, 0))


@pytest.mark.parametrize("name", ["_blur", "_sharpen_or_contrast", "_recolour", "_noise"])
def test_each_change_of_pixels_changes_a_little_and_keeps_the_place(name):
    image, change = picture(48), getattr(augmentation, name)
    amounts = []
    for seed in range(10):
        found = change(image, np.random.default_rng(seed))
        amounts.append(np.abs(found.astype(float) - image).mean())
        assert (found.shape, found.dtype) == (image.shape, np.uint8)
        # A mirrored or turned copy would lie further away.
        assert amounts[-1] < np.abs(found.astype(float) - image[:, ::-1]).mean()
    assert len(set(amounts)) > 5
    assert max(amounts) < 60


def test_noise_has_the_variance_that_is_said():
    grey = np.full((64, 64, 3), 128, dtype=np.uint8)
    variances = [augmentation._noise(grey, np.random.default_rng(seed)).var() for seed in range(100)]
    assert np.mean(variances) == pytest.approx(30 + 1 / 12, rel=0.15)
    assert 9 < min(variances) < 15
    assert 45 < max(variances) < 52


def test_a_pass_changes_half_of_the_images_and_the_same_generator_gives_the_same_image():
    image, allowed = picture(12), Augmentation()
    same, count = 0, 400
    for seed in range(count):
        found = augmented(image, allowed, np.random.default_rng(seed))
        np.testing.assert_array_equal(found, augmented(image, allowed, np.random.default_rng(seed)))
        same += np.array_equal(found, image)
    nothing_drawn = 0.8 * 0.7 * 0.7 * 0.8 * 0.5 * 0.5 * 0.8
    expected = 1 - WHOLE + WHOLE * nothing_drawn
    assert same / count == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / count))


@pytest.fixture
def geometry_alone(monkeypatch):
    """Every image is changed, and only in its orientation and by `moved`."""
    for name in ("_blur", "_sharpen_or_contrast", "_recolour", "_noise"):
        monkeypatch.setattr(augmentation, name, lambda image, _: image)
    monkeypatch.setattr(augmentation, "WHOLE", 1.0)


def drawn_orientations(allowed, monkeypatch):
    """Shares of the eight orientations of a square among images that the pipeline does change."""
    monkeypatch.setattr(augmentation, "moved", lambda image, **_: image)
    image = picture(6)
    known = {
        np.rot90(side, turns).tobytes(): (mirrored, turns)
        for mirrored, side in ((False, image), (True, image[:, ::-1]))
        for turns in range(4)
    }
    found = [known[augmented(image, allowed, np.random.default_rng(s)).tobytes()] for s in range(1000)]
    return {key: found.count(key) / len(found) for key in set(found)}


@pytest.mark.parametrize(
    ("flip", "turns", "expected"),
    [
        (True, True, {(m, k): 0.25 if k == 0 else 0.25 / 3 for m in (False, True) for k in range(4)}),
        (False, True, {(False, k): 0.5 if k == 0 else 0.5 / 3 for k in range(4)}),
        (True, False, {(False, 0): 0.5, (True, 0): 0.5}),
        (False, False, {(False, 0): 1.0}),
    ],
)
def test_flips_and_quarter_turns_come_as_often_as_said_and_only_where_allowed(
    flip, turns, expected, geometry_alone, monkeypatch
):
    found = drawn_orientations(Augmentation(flip, turns), monkeypatch)
    assert found.keys() == expected.keys()
    for key, share in expected.items():
        assert found[key] == pytest.approx(share, abs=0.06)


def test_shift_scale_and_rotation_fill_the_ranges_in_a_fifth_of_the_images(geometry_alone, monkeypatch):
    drawn, image, count = [], picture(6), 1000
    monkeypatch.setattr(augmentation, "moved", lambda image, **how: drawn.append(how) or image)
    for seed in range(count):
        augmented(image, augmentation_of("tile"), np.random.default_rng(seed))
    assert len(drawn) / count == pytest.approx(0.2, abs=0.05)
    for values, low, high in (
        ([d["shift"] for d in drawn], -0.05, 0.05),
        ([d["scale"] for d in drawn], 0.95, 1.10),
        ([d["degrees"] for d in drawn], -45, 45),
    ):
        margin = 0.06 * (high - low)
        assert low <= np.min(values) < low + margin
        assert high - margin < np.max(values) <= high


def test_the_exceptions_are_those_of_the_specification():
    of = {category: augmentation_of(category) for category in CATEGORIES}
    assert {c for c in CATEGORIES if not of[c].flip} == {"metal_nut", "pill", "capsule", "screw"}
    assert {c for c in CATEGORIES if not of[c].quarter_turns} == {"transistor"}
    assert {c for c in CATEGORIES if of[c].degrees == 45} == {"carpet", "hazelnut", "leather", "tile"}
    assert of["grid"] == Augmentation(shift=0, scale=(-0.05, 0), degrees=0)
    assert (
        of["bottle"]
        == augmentation_of("a folder of one's own")
        == Augmentation(True, True, 0.05, (-0.05, 0.10), 15)
    )
