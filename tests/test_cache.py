import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gad_core.cache import FeatureCache, default_cache_folder, entry_key, image_digest
from gad_core.errors import InputError

RECIPE = {"backbone": "resnet18", "depth": 5, "size": 224}
KEY = entry_key(image_digest(b"image"), RECIPE)


def vector(width=6, seed=0):
    return np.random.default_rng(seed).normal(size=width).astype(np.float32)


def test_round_trip(tmp_path):
    cache = FeatureCache(tmp_path)
    assert cache.get(KEY, 6) is None
    cache.put(KEY, vector())
    np.testing.assert_array_equal(cache.get(KEY, 6), vector())
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / KEY[:2] / f"{KEY}.npz"]
    cache.put(KEY, vector(seed=1))
    np.testing.assert_array_equal(cache.get(KEY, 6), vector(seed=1))


def test_the_key_depends_on_the_image_and_on_every_part_of_the_recipe():
    keys = {KEY, entry_key(image_digest(b"other"), RECIPE)}
    keys |= {entry_key(image_digest(b"image"), {**RECIPE, name: "changed"}) for name in RECIPE}
    assert len(keys) == 2 + len(RECIPE)
    assert entry_key(image_digest(b"image"), dict(reversed(RECIPE.items()))) == KEY


def test_the_digest_of_an_array_depends_on_pixels_shape_and_type():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    others = (pixels + 1, pixels.reshape(4, 2, 3), pixels.astype(np.uint16), pixels[::-1], pixels.tobytes())
    digests = {image_digest(other) for other in others}
    assert len(digests | {image_digest(pixels)}) == 6
    assert image_digest(np.asfortranarray(pixels)) == image_digest(pixels)


@pytest.mark.filterwarnings("ignore:the cached features")
def test_a_flipped_byte_is_never_returned_as_features(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, vector())
    path = cache.path(KEY)
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        got = cache.get(KEY, 6)
        refused += got is None
        # Bytes of the archive that do not matter, such as times, may change without harm.
        assert got is None or np.array_equal(got, vector())
    assert refused > len(whole) / 3


@pytest.mark.parametrize("length", [0, 1, 100, -1, -30])
def test_a_truncated_entry_warns_and_is_not_used(tmp_path, length):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, vector())
    cache.path(KEY).write_bytes(cache.path(KEY).read_bytes()[:length])
    with pytest.warns(RuntimeWarning, match=f"{KEY}.npz are damaged"):
        assert cache.get(KEY, 6) is None


def test_an_entry_of_something_else_is_not_used(tmp_path):
    cache = FeatureCache(tmp_path)
    other = entry_key(image_digest(b"other"), RECIPE)
    cache.put(other, vector())
    cache.path(KEY).parent.mkdir(exist_ok=True)
    cache.path(other).rename(cache.path(KEY))
    with pytest.warns(RuntimeWarning, match="something else"):
        assert cache.get(KEY, 6) is None
    cache.put(KEY, vector())
    with pytest.warns(RuntimeWarning, match="something else"):
        assert cache.get(KEY, 7) is None


def test_a_pickle_in_an_entry_is_not_loaded(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.path(KEY).parent.mkdir(parents=True)
    np.savez(cache.path(KEY), key=np.array(KEY), features=np.array([{}] * 6, dtype=object))
    with pytest.warns(RuntimeWarning, match="damaged"):
        assert cache.get(KEY, 6) is None


def test_entries_hold_no_pickle_and_nothing_temporary_stays(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.put(KEY, vector())
    with zipfile.ZipFile(cache.path(KEY)) as archive:
        assert sorted(archive.namelist()) == ["features.npy", "key.npy"]
        assert archive.testzip() is None
    assert list(cache.path(KEY).parent.iterdir()) == [cache.path(KEY)]


def test_many_writers_of_one_entry(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: FeatureCache(tmp_path).put(KEY, vector()), range(40)))
        assert all(
            pool.map(lambda _: np.array_equal(FeatureCache(tmp_path).get(KEY, 6), vector()), range(40))
        )
    assert list((tmp_path / KEY[:2]).iterdir()) == [FeatureCache(tmp_path).path(KEY)]


def test_an_unwritable_folder(tmp_path):
    (tmp_path / "file").touch()  # a file where the folder should be: nobody can write below it, root included
    cache = FeatureCache(tmp_path / "file" / "cache")
    for write in (cache.require_writable, lambda: cache.put(KEY, vector())):
        with pytest.raises(InputError, match=r"file.cache cannot be written .*GAD_CACHE"):
            write()


def test_a_writable_folder_stays_empty(tmp_path):
    FeatureCache(tmp_path / "new").require_writable()
    assert list((tmp_path / "new").iterdir()) == []


def test_default_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GAD_CACHE", str(tmp_path))
    assert default_cache_folder() == FeatureCache().folder == tmp_path
    monkeypatch.delenv("GAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert default_cache_folder().name == "features"
    assert "gad-core" in default_cache_folder().parts
