"""Features as files, and the files that ship with the package."""

import dataclasses
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gad_core as gad
from gad_core import manifest
from gad_core.datasets.embedded import embedded_augmented, list_embedded
from gad_core.errors import InputError
from gad_core.feature_file import CategoryFeatures, load_features, save_features
from gad_core.files import sha256, write_npz


def made(n=3, defects=("good", "scratch", "good", "bent lead"), widths=None, seed=0) -> CategoryFeatures:
    widths = {2: 3, 5: 2} if widths is None else widths
    rng = np.random.default_rng(seed)
    p = sum(widths.values())
    return CategoryFeatures(
        category="nut",
        backbone="squeezenet1_1",
        level_widths=widths,
        train=rng.normal(size=(n, p)).astype(np.float32),
        test=rng.normal(size=(len(defects), p)).astype(np.float32),
        train_paths=tuple(f"train/good/{i:03}.png" for i in range(n)),
        test_paths=tuple(f"test/{defect}/{i:03}.png" for i, defect in enumerate(defects)),
        defects=tuple(defects),
        provenance={"weights": {"name": "imagenet", "sha256": None}, "levels": list(widths)},
    )


def assert_same(a: CategoryFeatures, b: CategoryFeatures) -> None:
    for field in dataclasses.fields(CategoryFeatures):
        was, now = getattr(a, field.name), getattr(b, field.name)
        assert type(was) is type(now)
        if isinstance(was, np.ndarray):
            assert was.dtype == now.dtype
            np.testing.assert_array_equal(was, now)
        else:
            assert was == now, field.name


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 6),
    defects=st.lists(st.sampled_from(["good", "scratch", "crack with ä"]), max_size=5),
    widths=st.dictionaries(st.integers(1, 9), st.integers(1, 4), min_size=1, max_size=3),
)
def test_what_is_read_is_what_was_written(tmp_path_factory, n, defects, widths):
    path = tmp_path_factory.mktemp("features") / "nut.npz"
    features = made(n, defects, widths)
    save_features(path, features)
    assert_same(load_features(path), features)


def test_labels_are_one_where_the_defect_is_not_good():
    assert made().labels.tolist() == [0, 1, 0, 1]


def test_the_same_content_gives_the_same_bytes_at_another_time(tmp_path, monkeypatch):
    save_features(tmp_path / "a.npz", made())
    monkeypatch.setattr("time.time", lambda: 2e9)
    save_features(tmp_path / "b.npz", made())
    save_features(tmp_path / "c.npz", made(seed=1))
    a, b, c = ((tmp_path / f"{name}.npz").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("keep", [0, 10, 300, -1, -40])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = tmp_path / "nut.npz"
    save_features(path, made())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"nut\.npz is damaged or no file of features"):
        load_features(path)


def test_files_of_another_kind_or_format_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_features(tmp_path / "none.npz")
    write_npz(tmp_path / "other.npz", {"X": np.zeros(3)})
    with pytest.raises(InputError, match="no file of features"):
        load_features(tmp_path / "other.npz")
    save_features(tmp_path / "later.npz", made())
    with np.load(tmp_path / "later.npz") as file:
        arrays = dict(file)
    about = json.loads(str(arrays["about"])) | {"format": "gad-core features 99"}
    write_npz(tmp_path / "later.npz", arrays | {"about": np.array(json.dumps(about))})
    with pytest.raises(InputError, match="'gad-core features 99'; this version reads"):
        load_features(tmp_path / "later.npz")


def test_objects_are_neither_written_nor_read(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(tmp_path / "a.npz", {"a": np.array([{}])})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": np.zeros((3, 5))}, "train features of nut must be .* of float64"),
        ({"train": np.zeros((3, 4), np.float32)}, r"must be \(3, 5\)"),
        ({"test": np.zeros((3, 5), np.float32)}, r"test features of nut must be \(4, 5\)"),
        ({"test": np.full((4, 5), np.nan, np.float32)}, "Input test contains NaN .* row 0, column 0"),
        ({"defects": ("good",)}, "4 test images and 1 defect types"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(made(), **change)


# --- the files that ship ----------------------------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A data folder of our own with one file of features."""
    save_features(tmp_path / "features/squeezenet1_1/nut.npz", made())
    (tmp_path / "notes.txt").write_text("not in the manifest")
    name = "features/squeezenet1_1/nut.npz"
    entry = {"sha256": sha256(tmp_path / name), "bytes": (tmp_path / name).stat().st_size}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {name: entry}}))
    monkeypatch.setattr(manifest, "DATA", tmp_path)
    return tmp_path / name


def test_embedded_features_are_those_of_the_file(shipped):
    assert list_embedded() == [("nut", "squeezenet1_1")]
    assert_same(gad.embedded_features("nut", "squeezenet1_1"), made())


def test_features_that_do_not_ship_are_named_with_those_that_do(shipped):
    with pytest.raises(InputError, match=r"no features of bolt of resnet18 .* nut of squeezenet1_1"):
        gad.embedded_features("bolt", "resnet18")
    with pytest.raises(InputError, match=r"no augmented moments of nut of squeezenet1_1 .* there are: none"):
        embedded_augmented("nut", "squeezenet1_1")


def test_a_damaged_or_missing_shipped_file_is_refused(shipped):
    content = bytearray(shipped.read_bytes())
    content[60] ^= 1
    shipped.write_bytes(content)
    with pytest.raises(InputError, match=r"nut\.npz is damaged .*: install gad-core again"):
        gad.embedded_features("nut", "squeezenet1_1")
    shipped.unlink()
    with pytest.raises(InputError, match=r"nut\.npz is missing: install gad-core again"):
        gad.embedded_features("nut", "squeezenet1_1")


def test_a_file_outside_the_manifest_is_not_given(shipped):
    with pytest.raises(InputError, match=r"ships no file notes\.txt"):
        manifest.shipped_file("notes.txt")


@pytest.mark.parametrize("text", ["", "[]", '{"other": 1}'])
def test_a_damaged_manifest_is_refused(shipped, text):
    (manifest.DATA / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json is missing or damaged"):
        manifest.shipped_names()


def test_the_manifest_describes_every_shipped_file_as_it_is():
    for name in manifest.shipped_names():
        entry = manifest.describe(name)
        path = manifest.shipped_file(name)  # compares the checksum
        assert path.stat().st_size == entry["bytes"]
        assert entry["licence"]
        assert entry["source"]


def test_the_manifest_names_every_data_file_and_its_tool_finds_nothing_to_change():
    former = {name: manifest.describe(name) for name in manifest.shipped_names()}
    tool = Path(__file__).parents[1] / "tools" / "update_manifest.py"
    assert former
    assert runpy.run_path(str(tool))["updated"](manifest.DATA, former) == former
