"""Images that are there twice are found whatever their bytes and batches; those that look alike are not."""

import numpy as np
import pytest
from PIL import Image

from gad_core.copies import ALIKE, SHOWN, Copy, find_copies, look_alikes, named


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def files(folder, pictures, suffix="png"):
    """Write pictures into a folder, named by their numbers."""
    folder.mkdir(parents=True)
    paths = [folder / f"{i}.{suffix}" for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


def test_copies_are_found_whatever_their_format_and_rounding(tmp_path, rng):
    pictures = rng.integers(0, 256, (6, 9, 8, 3), dtype=np.uint8)
    rows = rng.normal(size=(6, 40)).astype(np.float32)
    train = files(tmp_path / "train/good", pictures[[0, 1, 0, 2, 0]])
    test = files(tmp_path / "test/good", pictures[[3, 1, 4, 0]], "bmp")
    noise = 1 + 1e-5 * rng.normal(size=(5, 40)).astype(np.float32)  # as from another batch
    found = find_copies(train, rows[[0, 1, 0, 2, 0]] * noise, test, rows[[3, 1, 4, 0]])
    assert found.train == [Copy(train[2], train[0]), Copy(train[4], train[0])]
    assert found.test == [Copy(test[1], train[1]), Copy(test[3], train[0])]


def test_images_with_equal_features_and_other_pixels_are_no_copies(tmp_path, rng):
    pictures = rng.integers(0, 255, (2, 9, 8, 3), dtype=np.uint8)
    nearly = pictures.copy()
    nearly[:, 0, 0, 0] += 1
    train, test = files(tmp_path / "train", pictures), files(tmp_path / "test", nearly)
    rows = rng.normal(size=(2, 40))
    assert find_copies(train, rows, test, rows) == ([], [])


def test_only_look_alikes_are_read_again(tmp_path, rng):
    missing = [tmp_path / f"{i}.png" for i in range(5)]
    rows = rng.normal(size=(10, 40))
    assert find_copies(missing, rows[:5], missing, rows[5:]) == ([], [])


@pytest.mark.parametrize("n_train", [0, 1, 300, 1100])
def test_look_alikes_are_those_of_all_pairs(n_train, rng):
    rows = rng.normal(size=(n_train + 20, 3)).astype(np.float32)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    near = np.linalg.norm(units[:, None] - units[None], axis=2) <= ALIKE
    np.fill_diagonal(near, False)
    near[n_train:, n_train:] = False  # two test images
    found = np.concatenate(look_alikes(rows[:n_train], rows[n_train:]))
    assert (found == near.any(axis=0)).all()
    assert 0 < found[: n_train // 2].sum() < n_train // 2 or n_train < 300  # both kinds are there


def test_rows_of_zeros_are_looked_at(rng):
    rows = rng.normal(size=(4, 5))
    rows[[1, 3]] = 0
    train, test = look_alikes(rows[:2], rows[2:])
    assert (train.tolist(), test.tolist()) == ([False, True], [False, True])


def test_the_first_copies_are_named_and_the_others_counted(tmp_path):
    copies = [
        Copy(tmp_path / f"test/good/{i}.png", tmp_path / f"train/good/{i}.png") for i in range(SHOWN + 2)
    ]
    assert named(copies).startswith("test/good/0.png is train/good/0.png, test/good/1.png")
    assert named(copies).endswith(", and 2 more")
    assert "more" not in named(copies[:SHOWN])
