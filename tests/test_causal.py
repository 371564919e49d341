"""Repair, transplant, background, exposure and the curves, against what can be worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gad_core.bootstrap import bootstrap_auroc_change
from gad_core.datasets.synthetic import render
from gad_core.errors import InputError
from gad_core.evaluation import auroc
from gad_core.explain import background, masks, patches, photometry
from gad_core.explain.curves import deletion_curve, insertion_curve
from gad_core.explain.repair import flip_row, repaired, transplanted

IMAGES = hnp.arrays(np.uint8, (12, 9, 3))
PHOTOS = hnp.arrays(np.uint8, (12, 12, 3), elements=st.integers(60, 180))


def grey(value, size=12):
    return np.full((size, size, 3), value, dtype=np.uint8)


def square(size=12, first=4, last=8):
    mask = np.zeros((size, size), dtype=bool)
    mask[first:last, first:last] = True
    return mask


# --- patches -----------------------------------------------------------------------------------------------


@given(IMAGES, IMAGES, hnp.arrays(bool, (12, 9)).filter(np.any))
def test_a_hard_blend_takes_each_pixel_from_one_of_the_two(image, donor, mask):
    mixed = patches.blend(image, donor, mask, feather=0)
    np.testing.assert_array_equal(mixed, np.where(mask[..., None], donor, image))


def test_a_soft_blend_is_the_donor_on_the_mask_and_the_image_away_from_it():
    mask = square(100, 40, 60)
    mixed = patches.blend(grey(0, 100), grey(200, 100), mask, feather=0.05)
    assert (mixed[mask] == 200).all()
    assert (mixed[~square(100, 34, 66)] == 0).all()
    np.testing.assert_array_equal(mixed[50, 30:42, 0], [0, 0, 0, 0, 0, 0, 40, 80, 120, 160, 200, 200])


def test_repair_and_transplant_undo_each_other():
    normal, defect = render("chip", np.random.default_rng(3), None, 64)[0], np.random.default_rng(3)
    damaged, mask = render("chip", defect, "scratch", 64)
    np.testing.assert_array_equal(patches.blend(damaged, normal, mask), normal)
    np.testing.assert_array_equal(patches.blend(normal, damaged, mask), damaged)


@pytest.mark.parametrize(
    ("mask", "message"),
    [(np.zeros((12, 12)), "empty"), (np.ones((11, 12)), r"11 x 12 .* 12 x 12")],
)
def test_masks_that_are_empty_or_of_another_size_are_refused(mask, message):
    for use in (
        lambda: patches.blend(grey(0), grey(1), mask),
        lambda: patches.surroundings(grey(0), mask),
        lambda: background.without_object(grey(0), mask),
        lambda: background.background_share(np.ones((12, 12)), mask),
        lambda: patches.nearest_of([grey(1)])(grey(0), mask),
    ):
        with pytest.raises(InputError, match=message):
            use()


def test_images_that_do_not_fit_together_are_refused():
    with pytest.raises(InputError, match="one size"):
        patches.blend(grey(0), grey(0, 10), square())
    with pytest.raises(InputError, match="differ in size"):
        patches.median_image([grey(0), grey(0, 10)])
    with pytest.raises(InputError, match="no image"):
        patches.median_image([])
    with pytest.raises(InputError, match="no normal image"):
        patches.nearest_of([])
    with pytest.raises(InputError, match="resize"):
        patches.nearest_of([grey(0, 10)])(grey(0), square())
    with pytest.raises(InputError, match="covers the whole"):
        patches.surroundings(grey(0), np.ones((12, 12)))


def test_the_median_image_ignores_a_few_outliers():
    stack = [grey(value) for value in (100, 101, 102, 103, 255)]
    np.testing.assert_array_equal(patches.median_image(stack), grey(102))


@given(st.integers(0, 255), st.integers(1, 30))
def test_a_hole_in_an_even_picture_is_filled_without_a_trace(value, side):
    image, mask = grey(value, 40), square(40, 5, 5 + side)
    image[mask] = 255 - value
    np.testing.assert_array_equal(patches.surroundings(image, mask), grey(value, 40))


def test_a_hole_is_filled_from_the_side_that_is_near():
    image = np.repeat(np.repeat(np.array([0, 200], np.uint8), 50)[None], 100, axis=0)[..., None].repeat(3, 2)
    mask = square(100, 20, 80)
    filled = patches.surroundings(image, mask)
    assert (filled[~mask] == image[~mask]).all()
    assert filled[50, 22, 0] < 20
    assert filled[50, 77, 0] > 180
    assert abs(int(filled[50, 50, 0]) - 100) < 20


def test_the_nearest_image_is_judged_outside_of_the_defect_only():
    image, mask = grey(100), square()
    image[mask] = 0
    alike, darker = grey(101), grey(90)
    darker[mask] = 0
    assert patches.nearest_of([darker, alike])(image, mask) is alike


def test_a_mask_is_read_and_squashed(tmp_path):
    from PIL import Image

    Image.fromarray((square(24, 8, 16) * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(masks.read_mask(tmp_path / "mask.png"), square(24, 8, 16))
    np.testing.assert_array_equal(masks.read_mask(tmp_path / "mask.png", 12), square(12, 4, 8))


# --- repair and transplant ---------------------------------------------------------------------------------


def test_repair_and_transplant_are_balanced_and_turn_the_verdict_of_a_detector_that_sees_black():
    masks = [square(12, 2, 5), square(12, 6, 9), square(12, 4, 6)]
    normal, anomalous = [grey(100), grey(110)], [grey(105).copy() for _ in masks]
    for image, mask in zip(anomalous, masks, strict=True):
        image[mask] = 0

    def score(images):
        return np.array([float((image == 0).sum()) for image in images])

    rng = np.random.default_rng(0)
    repair, control = repaired(anomalous, masks, normal, lambda *_: grey(100), rng)
    assert (score(repair.images) == 0).all()
    assert (score(control.images) == 0).all()
    transplant, other = transplanted(anomalous, masks, normal, rng)
    np.testing.assert_array_equal(score(transplant.images), score(anomalous))
    assert (score(other.images) == 0).all()
    assert repair.hosts.tolist() == [0, 1, 2]
    for test in (control, transplant, other):
        assert sorted(np.bincount(test.hosts, minlength=2).tolist()) == [1, 2]

    found = flip_row(score(anomalous), score(repair.images), 1.0, falls=True)
    assert (found["eligible"], found["flipped"], found["share"], found["share_high"]) == (3, 3, 1.0, 1.0)
    assert found["share_low"] == pytest.approx(0.025 ** (1 / 3))  # Clopper and Pearson, all of three
    assert flip_row(np.zeros(3), score(transplant.images), 1.0, falls=False)["flipped"] == 3
    assert flip_row(np.zeros(3), np.zeros(3), 1.0, falls=True)["share"] is None


def test_the_control_of_a_transplant_never_comes_from_its_own_host():
    normal = [grey(10 * i) for i in range(1, 5)]
    masks = [square()] * 20
    _, control = transplanted([grey(0)] * 20, masks, normal, np.random.default_rng(1))
    for host, image in zip(control.hosts, control.images, strict=True):
        assert image[6, 6, 0] != image[0, 0, 0] == normal[host][0, 0, 0]


def test_repair_and_transplant_refuse_what_they_cannot_work_on():
    rng, image, mask = np.random.default_rng(0), grey(0), square()
    with pytest.raises(InputError, match="0 anomalous images"):
        transplanted([], [], [image], rng)
    with pytest.raises(InputError, match="1 anomalous images and 0 masks"):
        repaired([image], [], [image], patches.surroundings, rng)
    with pytest.raises(InputError, match="no normal image"):
        repaired([image], [mask], [], patches.surroundings, rng)
    with pytest.raises(InputError, match="at least two"):
        transplanted([image], [mask], [image], rng)


# --- background --------------------------------------------------------------------------------------------


def test_the_share_outside_of_the_object_counts_what_is_positive():
    relevance = np.zeros((12, 12))
    relevance[6, 6], relevance[0, 0], relevance[1, 1] = 3, 1, -9
    assert background.background_share(relevance, square()) == 0.25
    assert background.background_share(np.ones((12, 12)), square()) == pytest.approx(1 - 16 / 144)
    assert np.isnan(background.background_share(-np.ones((12, 12)), square()))
    with pytest.raises(InputError, match="NaN"):
        background.background_share(np.full((12, 12), np.nan), square())


@pytest.mark.parametrize("category", ["nut", "capsule", "chip"])
def test_objects_are_found_without_labels_and_leave_nothing_of_them(category):
    images = [render(category, np.random.default_rng(i), None, 128)[0] for i in range(4)]
    region = background.object_region(images)
    assert 0.15 < region.mean() < 0.85
    assert region[background.border_mask(region.shape)].mean() < 0.5
    for image in images:
        empty = background.without_object(image, region)
        assert empty[region].std(axis=0).max() < 0.2 * image[region].std(axis=0).max()
        np.testing.assert_array_equal(empty[~region], image[~region])


@pytest.mark.parametrize("category", ["weave", "wood", "terrazzo"])
def test_a_texture_has_no_object(category):
    images = [render(category, np.random.default_rng(i), None, 128)[0] for i in range(4)]
    assert background.object_region(images) is None


def test_an_object_on_an_even_ground_is_found_exactly_but_for_its_soft_edge():
    image, mask = grey(200, 100), square(100, 30, 60)
    image[mask] = 40
    found = background.object_mask(image)
    assert (found & mask).sum() / (found | mask).sum() > 0.9


def test_a_central_region_has_its_share():
    assert background.central_region(100, 0.5).sum() == 2500
    with pytest.raises(InputError, match="between 0 and 1"):
        background.central_region(100, 85)


# --- photometry --------------------------------------------------------------------------------------------


@given(PHOTOS)
def test_statistics_are_those_of_all_pixels(image):
    light = image @ photometry.LUMA
    spread = np.ptp(image.astype(float), axis=2).mean()
    warm = (image[..., 0].astype(float) - image[..., 2]).mean()
    found = photometry.statistics(photometry.block_sums([image]))[0]
    expected = [light.mean(), light.std(), spread / light.mean(), warm / light.mean()]
    np.testing.assert_allclose(found[:4], expected, rtol=1e-6, atol=1e-5)


def test_statistics_of_a_part_are_those_of_the_part():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    mask = square(128, 40, 80)
    kept = photometry.kept_blocks([mask], margin=0)
    found = photometry.statistics(photometry.block_sums([image]), kept)[0]
    light = (image @ photometry.LUMA)[~mask]
    np.testing.assert_allclose(found[:2], [light.mean(), light.std()])
    wide = photometry.kept_blocks([mask], margin=2)
    assert wide.sum() == 64**2 - 24**2
    np.testing.assert_allclose(photometry.statistics(photometry.block_sums([image]), wide[0])[0, 0],
                               (image @ photometry.LUMA)[~square(128, 36, 84)].mean())  # fmt: skip


def test_relative_statistics_do_not_change_with_the_exposure():
    image = render("chip", np.random.default_rng(0), None, 64)[0].astype(float)
    sums = [photometry._blocks(photometry._pixel_terms(image * f))[None] for f in (1.0, 0.8)]
    bright, dark = (photometry.statistics(s)[0] for s in sums)
    np.testing.assert_allclose(dark[:2], 0.8 * bright[:2])
    np.testing.assert_allclose(dark[2:], bright[2:])


@given(st.integers(0, 2**32 - 1), st.integers(40, 100), st.integers(0, 120))
def test_matched_images_have_the_exposure_asked_for(seed, low, span):
    image = np.random.default_rng(seed).integers(low, low + span + 20, (12, 12, 3), dtype=np.uint8)
    for each_channel in (False, True):
        c = 3 if each_channel else 1
        mean, deviation = photometry.exposure(
            [photometry.matched(image, np.full(c, 120.0), np.full(c, 15.0))], each_channel
        )
        np.testing.assert_allclose(mean, 120, atol=1)
        np.testing.assert_allclose(deviation, 15, atol=1)
    assert photometry.exposure([photometry.matched(image, 100)])[0] == pytest.approx([100], abs=1.5)


def test_luminance_matching_leaves_hue_and_a_flat_image_stays_flat():
    image = grey(100)
    image[6, 6] = (200, 100, 50)
    changed = photometry.matched(image, *photometry.exposure([image])).astype(int)
    assert np.abs(changed - image).max() <= 1
    np.testing.assert_array_equal(photometry.matched(grey(50), 80, 20), grey(80))


def test_exposures_and_statistics_need_images_of_one_size():
    with pytest.raises(InputError, match="one size"):
        photometry.block_sums([grey(0), grey(0, 10)])
    for empty in (photometry.block_sums, photometry.exposure):
        with pytest.raises(InputError, match="no image"):
            empty([])


# --- curves ------------------------------------------------------------------------------------------------


def black_share(images):
    return np.array([(image[..., 0] == 0).mean() for image in images])


def test_curves_of_the_true_map_fall_and_rise_at_once():
    image, truth = grey(100, 10), square(10, 0, 5)
    image[truth] = 0  # a quarter
    deletion = deletion_curve(image, grey(100, 10), truth, black_share, steps=4)
    np.testing.assert_allclose(deletion.scores, [0.25, 0, 0, 0, 0])
    assert deletion.area == pytest.approx(0.25 * 0.25 / 2)
    insertion = insertion_curve(image, grey(100, 10), truth, black_share, steps=4)
    np.testing.assert_allclose(insertion.scores, [0, 0.25, 0.25, 0.25, 0.25])
    assert insertion.area == pytest.approx(0.25 - 0.25 * 0.25 / 2)
    backwards = deletion_curve(image, grey(100, 10), ~truth, black_share, steps=4)
    assert backwards.area == pytest.approx(0.25 - 0.25 * 0.25 / 2)


@given(hnp.arrays(np.float64, (6, 7), elements=st.floats(-9, 9)), st.integers(1, 42))
def test_deletion_and_insertion_of_one_map_pass_through_complementary_mixtures(relevance, steps):
    image, baseline = np.zeros((6, 7, 3), np.uint8), np.full((6, 7, 3), 9, np.uint8)
    deletion = deletion_curve(image, baseline, relevance, black_share, steps)
    insertion = insertion_curve(image, baseline, relevance, black_share, steps)
    np.testing.assert_allclose(deletion.scores, 1 - deletion.shares)
    np.testing.assert_allclose(insertion.scores, insertion.shares)
    assert deletion.area == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("relevance", "steps", "message"),
    [
        (np.ones((5, 5)), 4, "same height and width"),
        (np.full((12, 12), np.inf), 4, "NaN or infinity"),
        (np.ones((12, 12)), 0, "from 1 to 144"),
        (np.ones((12, 12)), 145, "from 1 to 144"),
    ],
)
def test_curves_refuse_maps_and_steps_that_do_not_fit(relevance, steps, message):
    with pytest.raises(InputError, match=message):
        deletion_curve(grey(0), grey(1), relevance, black_share, steps)


# --- AUROC of two ways -------------------------------------------------------------------------------------


def test_the_interval_of_a_change_is_paired():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    before = rng.normal(size=80) + labels
    assert bootstrap_auroc_change(labels, before, 3 * before + 1, np.random.default_rng(1)) == (0, 0)
    after = before + labels
    low, high = bootstrap_auroc_change(labels, before, after, np.random.default_rng(1))
    assert 0 < low < auroc(labels, after) - auroc(labels, before) < high
    back = bootstrap_auroc_change(labels, after, before, np.random.default_rng(1))
    assert back == pytest.approx((-high, -low))
