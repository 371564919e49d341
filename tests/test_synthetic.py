import hashlib
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from gad_core.datasets import drawing, record, synthetic
from gad_core.datasets.layout import MVTecDataset, list_categories
from gad_core.datasets.record import RECORD
from gad_core.datasets.synthetic import CATEGORIES, render, synthesize
from gad_core.errors import InputError

DEFECTS = [(category, defect) for category in CATEGORIES for defect in CATEGORIES[category].defects]
SMALL = {"n_train": 2, "n_test_good": 1, "n_test_defect": 1, "size": 64}


def digests(folder: Path) -> dict[str, str]:
    """Checksums of all pictures and other files, but the records of what was written."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != RECORD
    }


# ---- pictures and masks


def test_there_are_textures_and_objects_with_two_to_four_defects_each():
    kinds = [category.kind for category in CATEGORIES.values()]
    assert kinds.count("texture") >= 3
    assert kinds.count("object") >= 3
    assert all(2 <= len(category.defects) <= 4 for category in CATEGORIES.values())


@pytest.mark.parametrize(("category", "defect"), DEFECTS)
@pytest.mark.parametrize(("size", "seeds"), [(64, 2), (101, 1)])
def test_outside_of_the_mask_the_picture_is_the_normal_one(category, defect, size, seeds):
    for seed in range(seeds):
        normal, nothing = render(category, np.random.default_rng(seed), size=size)
        image, mask = render(category, np.random.default_rng(seed), defect, size)
        assert image.shape == (size, size, 3)
        assert image.dtype == np.uint8
        assert not nothing.any()
        changed = (image != normal).any(axis=2)
        np.testing.assert_array_equal(image[~mask], normal[~mask])
        assert changed[mask].mean() > 0.6
        parts, count = ndimage.label(mask, np.ones((3, 3)))
        assert all(changed[parts == part].any() for part in range(1, count + 1))
        assert 0.0008 <= mask.mean() < 0.5


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_picture_depends_on_the_state_of_its_generator_alone(category):
    np.random.seed(1)  # noqa: NPY002  the legacy global state is what must be left alone
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, _ = render(category, np.random.default_rng(5), size=64)
    again, _ = render(category, np.random.default_rng(5), size=64)
    other, _ = render(category, np.random.default_rng(6), size=64)
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_larger_picture_shows_the_same_scene(category):
    small, _ = render(category, np.random.default_rng(2), size=64)
    large, _ = render(category, np.random.default_rng(2), size=256)
    reduced = np.asarray(Image.fromarray(large).reduce(4), dtype=float)
    other = render(category, np.random.default_rng(3), size=64)[0].astype(float)
    same = ndimage.gaussian_filter(small - reduced, (1, 1, 0)).std()
    assert same < ndimage.gaussian_filter(small - other, (1, 1, 0)).std()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"category": "teapot"}, "teapot.*weave"),
        ({"category": "nut", "defect": "dent"}, "nut has no defect 'dent'.*notch"),
        ({"category": "nut", "size": 63}, "63.*64"),
        ({"category": "nut", "size": 64.0}, "64.0"),
    ],
)
def test_render_refuses_what_it_cannot_draw(arguments, message):
    with pytest.raises(InputError, match=message):
        render(rng=np.random.default_rng(0), **arguments)


# ---- the data set must not be trivial


def mahalanobis(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    centred = test - train.mean(axis=0)
    covariance = np.atleast_2d(np.cov(train.T, bias=True))
    return np.sqrt((centred * np.linalg.solve(covariance, centred.T).T).sum(axis=1))


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mean_colour_and_brightness_do_not_tell_normal_from_defective(category, seed):
    plan = synthetic._plan(category, 30, 20, 7)
    shots = [(shot, render(category, shot.rng(seed, category), shot.defect, 64)[0]) for shot in plan]
    colour = np.array([image.mean(axis=(0, 1)) for _, image in shots])
    is_train = np.array([shot.split == "train" for shot, _ in shots])
    labels = np.array([shot.defect is not None for shot, _ in shots])[~is_train]
    for statistic in (colour, colour.mean(axis=1, keepdims=True)):
        distance = mahalanobis(statistic[is_train], statistic[~is_train])
        assert roc_auc_score(labels, distance) < 0.75


# ---- files


def test_layout_modes_and_masks(tmp_path):
    root = synthesize(tmp_path / "data", categories=["chip"], **SMALL)
    assert root == tmp_path / "data"
    assert [path.name for path in root.iterdir()] == ["chip"]
    files = set(digests(root / "chip"))
    expected = {"train/good/000.png", "train/good/001.png", "test/good/000.png"}
    for defect in CATEGORIES["chip"].defects:
        expected |= {f"test/{defect}/000.png", f"ground_truth/{defect}/000_mask.png"}
    assert files == expected
    for name in files:
        with Image.open(root / "chip" / name) as image:
            assert image.size == (64, 64)
            is_mask = name.startswith("ground_truth")
            assert image.mode == ("L" if is_mask else "RGB")
            if is_mask:
                assert set(np.unique(np.asarray(image))) == {0, 255}


def test_files_are_what_render_draws(tmp_path):
    synthesize(tmp_path, seed=4, categories=["nut"], **SMALL)
    shot = next(shot for shot in synthetic._plan("nut", 0, 0, 1) if shot.defect == "rust")
    image, mask = render("nut", shot.rng(4, "nut"), "rust", 64)
    stored = np.asarray(Image.open(tmp_path / "nut/test/rust/000.png"))
    truth = np.asarray(Image.open(tmp_path / "nut/ground_truth/rust/000_mask.png"))
    np.testing.assert_array_equal(stored, image)
    np.testing.assert_array_equal(truth == 255, mask)


def test_same_seed_same_bytes_and_a_larger_set_extends_a_smaller_one(tmp_path):
    synthesize(tmp_path / "all", **SMALL)
    small = digests(tmp_path / "all")
    synthesize(tmp_path / "again", **SMALL)
    assert digests(tmp_path / "again") == small
    larger = {"n_train": 4, "n_test_good": 2, "n_test_defect": 2, "size": 64}
    synthesize(tmp_path / "large", categories=["wood"], **larger)
    large = digests(tmp_path / "large")
    wood = {name: digest for name, digest in small.items() if name.startswith("wood/")}
    assert wood.items() < large.items()
    pictures = [digest for name, digest in large.items() if "ground_truth" not in name]
    assert len(set(pictures)) == len(pictures)


def test_another_seed_gives_other_pictures(tmp_path):
    synthesize(tmp_path / "0", categories=["capsule"], **SMALL)
    synthesize(tmp_path / "1", categories=["capsule"], seed=1, **SMALL)
    first, second = digests(tmp_path / "0"), digests(tmp_path / "1")
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first)


def no_picture_is_drawn(monkeypatch):
    monkeypatch.setattr(synthetic, "render", lambda *_: pytest.fail("a picture is drawn"))


def test_what_was_written_is_replaced_only_when_asked(tmp_path, monkeypatch):
    (tmp_path / "nut").mkdir()  # an empty folder is no obstacle
    synthesize(tmp_path, categories=["nut"], **SMALL)
    before = digests(tmp_path)
    with monkeypatch.context() as patch:
        no_picture_is_drawn(patch)
        with pytest.raises(InputError, match=r"nut is there already.*another folder.*overwrite=True"):
            synthesize(tmp_path, categories=["wood", "nut"], seed=1, **SMALL)
    assert digests(tmp_path) == before
    synthesize(tmp_path, categories=["nut"], seed=1, overwrite=True, **SMALL)
    synthesize(tmp_path / "new", categories=["nut"], seed=1, **SMALL)
    assert digests(tmp_path / "nut") == digests(tmp_path / "new" / "nut") != before
    assert {path.name for path in tmp_path.iterdir()} == {"nut", "new"}


def changed(folder):
    (folder / "train/good/000.png").write_bytes(b"mine")


def linked(folder):
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")


OTHERS = {
    "a picture more": (lambda folder: (folder / "train/good/900.png").write_bytes(b"mine"), "900.png"),
    "a hidden file": (lambda folder: (folder / ".notes").write_text("mine"), ".notes"),
    "an empty folder": (lambda folder: (folder / "mine").mkdir(), "nut/mine"),
    "a link": (lambda folder: (folder / "test/mine").symlink_to("/nowhere"), "test/mine"),
    "a changed picture": (changed, "000.png, or not as it is"),
    "no record": (lambda folder: (folder / RECORD).unlink(), "did not write .*nut$"),
    "a damaged record": (lambda folder: (folder / RECORD).write_text("{"), "did not write .*nut$"),
    "another's record": (
        lambda folder: (folder / RECORD).write_text('{"format": 1}'),
        "did not write .*nut$",
    ),
    "a linked folder": (linked, "did not write .*nut$"),
}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("what", OTHERS)
def test_nothing_is_replaced_that_was_not_written_here(tmp_path, monkeypatch, what, overwrite):
    put, named = OTHERS[what]
    synthesize(tmp_path, categories=["nut"], **SMALL)
    put(tmp_path / "nut")
    before = digests(tmp_path), set(tmp_path.rglob("*"))
    no_picture_is_drawn(monkeypatch)
    for seed in (0, 1):
        with pytest.raises(InputError, match=f"nut is there already: .*move it away.*{named}"):
            synthesize(tmp_path, categories=["wood", "nut"], seed=seed, overwrite=overwrite, **SMALL)
    assert (digests(tmp_path), set(tmp_path.rglob("*"))) == before


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_categories_of_another_data_set_stay(tmp_path, kind):
    own = tmp_path / "capsule" / "train" / "good" / "000.png" if kind == "folder" else tmp_path / "capsule"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"gad synthesize did not write .*capsule$"):
        synthesize(tmp_path, categories=["capsule"], overwrite=True, **SMALL)
    assert own.read_bytes() == b"mine"


def test_what_is_put_there_while_pictures_are_drawn_stays(tmp_path, monkeypatch):
    synthesize(tmp_path, categories=["nut"], **SMALL)
    before, write = digests(tmp_path), synthetic.write_record

    def slow(*arguments):
        write(*arguments)
        (tmp_path / "nut/test/mine.png").write_bytes(b"mine")

    monkeypatch.setattr(synthetic, "write_record", slow)
    with pytest.raises(InputError, match=r"did not write .*mine\.png"):
        synthesize(tmp_path, categories=["nut"], seed=1, overwrite=True, **SMALL)
    assert digests(tmp_path).items() > before.items()
    assert [path.name for path in tmp_path.iterdir()] == ["nut"]


def test_a_file_that_is_missing_is_written_anew_when_asked(tmp_path):
    synthesize(tmp_path, categories=["nut"], **SMALL)
    before = digests(tmp_path)
    (tmp_path / "nut/train/good/001.png").unlink()
    with pytest.raises(InputError, match="replace it"):
        synthesize(tmp_path, categories=["nut"], **SMALL)
    synthesize(tmp_path, categories=["nut"], overwrite=True, **SMALL)
    assert digests(tmp_path) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_whole_is_not_drawn_again(tmp_path, monkeypatch, overwrite):
    synthesize(tmp_path, categories=["nut", "wood"], **SMALL)
    before = digests(tmp_path)
    with monkeypatch.context() as patch:
        no_picture_is_drawn(patch)
        synthesize(tmp_path, categories=["wood", "nut"], overwrite=overwrite, **SMALL)
    synthesize(tmp_path, overwrite=overwrite, **SMALL)
    assert before.items() < digests(tmp_path).items()
    assert list_categories(tmp_path) == sorted(CATEGORIES)


def test_pictures_of_other_versions_or_another_category_are_not_whole(tmp_path, monkeypatch):
    synthesize(tmp_path, categories=["nut"], **SMALL)
    (tmp_path / "wood").mkdir()
    (tmp_path / "nut").rename(tmp_path / "wood")
    with pytest.raises(InputError, match=r"wood is there already.*replace it"):
        synthesize(tmp_path, categories=["wood"], **SMALL)
    synthesize(tmp_path, categories=["nut"], **SMALL)
    monkeypatch.setattr(record.importlib.metadata, "version", lambda _: "0")
    with pytest.raises(InputError, match=r"nut is there already.*replace it"):
        synthesize(tmp_path, categories=["nut"], **SMALL)


def test_a_single_category_may_be_a_name(tmp_path):
    synthesize(tmp_path, categories="nut", **SMALL)
    assert list_categories(tmp_path) == ["nut"]
    with pytest.raises(InputError, match="no synthetic category 'teapot'"):
        synthesize(tmp_path, categories="teapot")


def test_the_record_is_no_part_of_the_data_set(tmp_path):
    synthesize(tmp_path, categories=["nut"], **SMALL)
    data = MVTecDataset(tmp_path, "nut")
    masks = [mask for mask in data.test.masks if mask is not None]
    found = {path.relative_to(tmp_path).as_posix() for path in (*data.train.paths, *data.test.paths, *masks)}
    assert found == set(digests(tmp_path))


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_interrupted_run_leaves_whole_categories_only(tmp_path, monkeypatch, overwrite):
    if overwrite:
        synthesize(tmp_path, categories=["wood", "nut"], seed=9, **SMALL)
    before = digests(tmp_path)
    write, written = synthetic._write_shot, []

    def interrupted(*arguments):
        written.append(write(*arguments))
        if len(written) == 9:  # a normal wood category has six pictures
            raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, "_write_shot", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path, categories=["wood", "nut"], overwrite=overwrite, **SMALL)
    monkeypatch.undo()
    synthesize(tmp_path / "whole", categories=["wood"], **SMALL)
    assert digests(tmp_path / "wood") == digests(tmp_path / "whole" / "wood")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == ({"wood", "nut", "whole"} if overwrite else {"wood", "whole"})
    if not overwrite:
        shots = []
        monkeypatch.setattr(synthetic, "_write_shot", lambda *each: shots.append(each[1]) or write(*each))
        synthesize(tmp_path, categories=["wood", "nut"], **SMALL)  # goes on
        assert shots == synthetic._plan("nut", 2, 1, 1)
    after = digests(tmp_path)
    assert all(after[name] == digest for name, digest in before.items() if name.startswith("nut/"))


def test_a_failed_rename_puts_the_old_category_back(tmp_path, monkeypatch):
    synthesize(tmp_path, categories=["nut"], **SMALL)
    before, rename = digests(tmp_path), Path.rename

    def failing(path, target):
        if path.suffix != ".old" and Path(target).suffix != ".old":
            raise OSError("disk is gone")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="disk is gone"):
        synthesize(tmp_path, categories=["nut"], seed=1, overwrite=True, **SMALL)
    assert digests(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"categories": ["nut", "teapot"]}, "teapot.*choose from weave"),
        ({"seed": -1}, "seed is -1"),
        ({"n_train": -1}, "n_train is -1"),
        ({"n_test_defect": 2.5}, "n_test_defect is 2.5"),
        ({"size": 32}, "32.*64"),
    ],
)
def test_synthesize_refuses_before_it_writes(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        synthesize(tmp_path / "data", **arguments)
    assert not (tmp_path / "data").exists()


def test_synthesize_refuses_a_file_as_root(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(InputError, match="data is a file"):
        synthesize(tmp_path / "data")


def test_no_torch_is_needed():
    code = "import sys, gad_core.datasets.synthetic; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- drawing


def test_noise_has_mean_0_and_variance_1_at_every_pixel():
    fields = np.stack([drawing.smooth_noise(np.random.default_rng(k), 24, 3.7, 9) for k in range(2000)])
    assert np.abs(fields.mean(axis=0)).max() < 5 / np.sqrt(2000)
    assert np.abs(fields.var(axis=0) - 1).max() < 6 * np.sqrt(2 / 2000)


def test_noise_is_a_field_of_which_the_picture_shows_samples():
    coarse = drawing.smooth_noise(np.random.default_rng(0), 64, 5.3, 2)
    fine = drawing.smooth_noise(np.random.default_rng(0), 192, 5.3, 2)
    # At three times the size every third pixel centre is that of a small pixel.
    np.testing.assert_allclose(fine[1::3, 1::3], coarse, atol=2e-6)


@settings(max_examples=30, deadline=None)
@given(
    points=st.lists(st.tuples(*[st.integers(-9, 9)] * 2), min_size=2, max_size=5, unique=True),
    reach=st.floats(0.05, 3),
)
def test_polyline_is_the_distance_to_densely_sampled_segments(points, reach):
    x, y = drawing.grid(16)
    corners = np.array(points) / 10
    along = np.linspace(0, 1, 400)[:, None]
    sampled = np.concatenate([a + along * (b - a) for a, b in pairwise(corners)])
    expected = np.hypot(x[..., None] - sampled[:, 0], y[..., None] - sampled[:, 1]).min(axis=-1)
    np.testing.assert_allclose(drawing.polyline(x, y, corners, reach), np.minimum(expected, reach), atol=5e-3)


@given(angle=st.floats(-3, 3), dx=st.floats(-1, 1), dy=st.floats(-1, 1))
@settings(max_examples=30, deadline=None)
def test_posed_keeps_distances_and_moves_the_origin(angle, dx, dy):
    x, y = drawing.grid(8)
    u, v = drawing.posed(x, y, angle, dx, dy)
    np.testing.assert_allclose(np.hypot(u, v), np.hypot(x - dx, y - dy), atol=1e-5)
    np.testing.assert_allclose(np.cos(angle) * u - np.sin(angle) * v + dx, x, atol=1e-5)


def test_box_is_a_signed_distance():
    x, y = drawing.grid(32)
    # By hand: beside, above, off the corner, inside.
    at = np.array([[0.9, 0.0], [0.0, -0.5], [0.8, 0.7], [0.3, 0.1]], dtype=np.float32)
    distance = drawing.box(at[:, :1], at[:, 1:], 0.5, 0.3).ravel()
    np.testing.assert_allclose(distance, [0.4, 0.2, 0.5, -0.2], atol=1e-6)
    coverage = drawing.cover(drawing.box(x, y, 0.5, 0.25))
    assert coverage.mean() * 4 == pytest.approx(1.0 * 0.5, rel=1e-3)


def test_a_level_grey_surface_is_photographed_as_its_colour():
    grey = drawing.Surface.flat(drawing.plain(64, (0.5, 0.5, 0.5)))
    pictures = np.stack([drawing.photograph(grey, np.random.default_rng(k)) for k in range(40)])
    assert pictures.mean() / 255 == pytest.approx(0.5, abs=0.01)
    assert 0.005 < pictures.mean(axis=(1, 2, 3)).std() / 255 < 0.03


def test_a_slope_towards_the_lamp_is_brighter_than_one_away_from_it():
    surface = drawing.Surface.flat(drawing.plain(64, (0.5, 0.5, 0.5)))
    x, _ = drawing.grid(64)
    surface.height = -0.5 * np.abs(x)  # a roof: the left side faces the lamp at the upper left
    picture = drawing.photograph(surface, np.random.default_rng(0)).astype(float)
    assert picture[:, 4:28].mean() > 1.2 * picture[:, 36:60].mean()
