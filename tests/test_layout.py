"""MVTec-style folders as tables."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gad_core import InputError, MVTecDataset
from gad_core.datasets.layout import list_categories


def put(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)


def test_a_whole_category(tmp_path):
    root = tmp_path / "data"
    put(*(root / "nut" / "train" / "good" / f"{i:03}.png" for i in (2, 0, 1)))
    put(root / "nut/test/good/000.png", root / "nut/test/scratch/001.png", root / "nut/test/bent/000.JPG")
    put(root / "nut/ground_truth/scratch/001_mask.png")
    (root / "nut/train/good/.DS_Store").write_text("x")
    (root / "nut/train/good/notes.txt").write_text("x")
    data = MVTecDataset(root, "nut")
    assert [p.name for p in data.train.paths] == ["000.png", "001.png", "002.png"]
    assert data.train.labels.tolist() == [0, 0, 0]
    assert data.test.defects == ("bent", "good", "scratch")
    np.testing.assert_array_equal(data.test.labels, [1, 0, 1])
    assert data.test.masks == (None, None, root / "nut/ground_truth/scratch/001_mask.png")
    assert repr(data).endswith("'nut'): 3 train, 3 test")


def test_train_good_is_all_that_an_own_folder_needs(tmp_path):
    put(tmp_path / "mine" / "train" / "good" / "a.png")
    data = MVTecDataset(tmp_path, "mine")
    assert (len(data.train), len(data.test)) == (1, 0)
    assert data.test.labels.shape == (0,)


def test_categories_are_the_folders_with_train_good(tmp_path):
    put(tmp_path / "b/train/good/0.png", tmp_path / "a/train/good/0.png", tmp_path / "c/test/good/0.png")
    assert list_categories(tmp_path) == ["a", "b"]


def test_what_is_missing_is_named(tmp_path):
    put(tmp_path / "a/train/good/0.png", tmp_path / "c/test/good/0.png")
    (tmp_path / "d/train/good").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no such folder: .*nowhere"):
        MVTecDataset(tmp_path / "nowhere", "a")
    with pytest.raises(InputError, match=r"no category 'z' in .*; there is: a, d"):
        MVTecDataset(tmp_path, "z")
    with pytest.raises(InputError, match="c has no folder train/good"):
        MVTecDataset(tmp_path, "c")
    with pytest.raises(InputError, match=r"good.*no image"):
        MVTecDataset(tmp_path, "d")


def test_the_real_data_sets_have_their_published_sizes(shared):
    for category, train, good, anomalous in (("bottle", 209, 20, 63), ("screw", 320, 41, 119)):
        data = MVTecDataset(shared / "mvtec", category)
        assert len(data.train) == train
        assert (data.test.labels == 0).sum() == good
        assert (data.test.labels == 1).sum() == anomalous
    masks = MVTecDataset(shared / "mvtec", "screw").test
    without = [d for d, m in zip(masks.defects, masks.masks, strict=True) if m is None]
    assert set(without) == {"good", "unsorted"}
