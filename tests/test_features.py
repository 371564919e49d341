import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.covariance import LedoitWolf
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gad_core
from gad_core import GaussianDetector, features, runtime
from gad_core.backbones import build, get_backbone
from gad_core.errors import InputError
from gad_core.features import FeatureExtractor
from gad_core.images import MEAN, STD, load_image


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for i in range(7):
        pixels = np.random.default_rng(i).integers(0, 256, (40 + i, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def paths(folder):
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "squeeze.pth"
    torch.save(build(get_backbone("squeezenet1_1"), 9, seed=5).state_dict(), path)
    return path


def squeeze(**options):
    options = {"weights": "random", "levels": [1, 3], "size": 48, "progress": False, **options}
    return FeatureExtractor("squeezenet1_1", **options)


def resnet(**options):
    options = {"weights": "random", "levels": (1, 2, 3), "size": 48, "progress": False, **options}
    return FeatureExtractor("resnet18", **options)


@pytest.fixture
def forwards(monkeypatch):
    """How many images went through the network, batch by batch."""
    counts = []
    real = runtime.pooled

    def pooled(maps):
        counts.append(len(maps[0]))
        return real(maps)

    monkeypatch.setattr(runtime, "pooled", pooled)
    return counts


def test_transform_agrees_with_plain_torch(paths, weights_file):
    extractor = squeeze(weights=weights_file, levels=[2, 5, 9], batch_size=3)
    network = build(get_backbone("squeezenet1_1"), 9, seed=5).double()
    x = torch.stack([torch.from_numpy(load_image(path, 48)) for path in paths]).permute(0, 3, 1, 2).double()
    x = (x / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        maps = network(x)
    expected = torch.cat([maps[level - 1].mean((2, 3)) for level in (2, 5, 9)], 1).numpy()
    got = extractor.transform(paths)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
    assert extractor.level_widths == {2: 128, 5: 256, 9: 512}


def test_paths_arrays_and_single_images_agree(paths):
    extractor = squeeze()
    X = extractor.transform(paths)
    arrays = [np.asarray(Image.open(path)) for path in paths]
    np.testing.assert_array_equal(extractor.transform(arrays), X)
    np.testing.assert_array_equal(extractor.transform([str(paths[0]), *arrays[1:]]), X)
    for single in (paths[2], str(paths[2]), arrays[2]):
        np.testing.assert_allclose(extractor.transform(single), X[2:3], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
def test_batch_size_changes_nothing_but_rounding(paths, batch_size):
    np.testing.assert_allclose(
        squeeze(batch_size=batch_size).transform(paths), squeeze().transform(paths), rtol=1e-4, atol=1e-6
    )


def test_features_are_the_averages_of_the_maps(paths):
    extractor = squeeze(batch_size=3)
    batches = list(extractor.maps(paths))
    assert [len(batch[1]) for batch in batches] == [3, 3, 1]
    assert batches[0][3].shape[:2] == (3, 128)
    means = np.concatenate([np.concatenate([m.mean((2, 3)) for m in b.values()], 1) for b in batches])
    np.testing.assert_allclose(means, extractor.transform(paths), rtol=1e-4, atol=1e-6)


def test_cached_features_are_used_and_equal(tmp_path, paths, forwards):
    X = squeeze(cache=tmp_path).transform(paths)
    assert sum(forwards) == 7
    np.testing.assert_array_equal(squeeze(cache=tmp_path).transform(paths[::-1]), X[::-1])
    np.testing.assert_array_equal(squeeze(cache=tmp_path, levels=3).transform(paths), X[:, 64:])
    np.testing.assert_array_equal(squeeze(cache=tmp_path, levels=[2, 3]).transform(paths)[:, 128:], X[:, 64:])
    assert sum(forwards) == 7
    np.testing.assert_array_equal(squeeze().transform(paths), X)


def test_whatever_decides_the_features_decides_the_entry(tmp_path, paths, forwards, weights_file):
    on_file = {"weights": weights_file, "runtime": "torch"}
    variants = ({}, {"size": 64}, {"seed": 1}, {"levels": [1]}, {"precision": "bf16"}, on_file)
    for variant in variants:
        squeeze(cache=tmp_path, **variant).transform(paths[:1])
    squeeze(cache=tmp_path).transform([np.asarray(Image.open(paths[0]))])
    for images in (paths[:6], paths[1:]):  # a calibration decides too
        resnet(cache=tmp_path).fit(images).transform(paths[0])
    assert sum(forwards) == len(variants) + 3
    pytest.importorskip("openvino")
    squeeze(cache=tmp_path, weights=weights_file, runtime="openvino").transform(paths[:1])
    assert len(list(tmp_path.rglob("*.npz"))) == len(variants) + 4


def test_only_new_and_changed_images_are_computed(tmp_path, paths, forwards):
    extractor = squeeze(cache=tmp_path / "cache")
    extractor.transform(paths[:3])
    copy = tmp_path / "copy.png"
    copy.write_bytes(paths[0].read_bytes())
    extractor.transform([copy, *paths[:4]])
    assert forwards == [3, 1]
    copy.write_bytes(paths[5].read_bytes())
    extractor.transform(copy)
    assert forwards == [3, 1, 1]


def test_a_damaged_entry_is_computed_again(tmp_path, paths, forwards):
    X = squeeze(cache=tmp_path).transform(paths)
    entry = sorted(tmp_path.rglob("*.npz"))[0]
    entry.write_bytes(entry.read_bytes()[:-40])
    with pytest.warns(RuntimeWarning, match=entry.name):
        again = squeeze(cache=tmp_path).transform(paths)
    np.testing.assert_allclose(again, X, rtol=1e-4, atol=1e-6)
    assert forwards == [7, 1]
    squeeze(cache=tmp_path).transform(paths)
    assert forwards == [7, 1]


def test_what_was_computed_before_an_error_or_interrupt_is_kept(tmp_path, paths, forwards, monkeypatch):
    bad = tmp_path / "bad.png"
    bad.write_bytes(paths[0].read_bytes()[:-200])
    extractor = squeeze(cache=tmp_path / "cache", batch_size=2)
    with pytest.raises(InputError, match=r"bad\.png is truncated"):
        extractor.transform([*paths[:4], bad])
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 4

    def interrupt(maps):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runtime, "pooled", interrupt)
        with pytest.raises(KeyboardInterrupt):
            extractor.transform(paths)
    extractor.transform(paths)
    assert forwards == [2, 2, 2, 1]


def test_automatic_cache_folder(tmp_path, monkeypatch, paths):
    monkeypatch.setenv("GAD_CACHE", str(tmp_path))
    squeeze(cache="auto").transform(paths[:1])
    assert len(list(tmp_path.rglob("*.npz"))) == 1


def test_an_unwritable_cache_is_refused_before_computing(tmp_path, paths, forwards):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        squeeze(cache=tmp_path / "file").transform(paths)
    assert not forwards


def test_random_batch_norms_must_be_calibrated(paths):
    extractor = resnet()
    for use in (extractor.transform, lambda p: next(extractor.maps(p)), lambda _: extractor.fingerprint()):
        with pytest.raises(
            InputError, match="resnet18 with random weights must be calibrated first: call fit"
        ):
            use(paths)
    X = extractor.fit(paths).transform(paths)
    assert np.isfinite(X).all()
    assert 0.1 < X.std() < 10
    np.testing.assert_array_equal(resnet(batch_size=2).fit(paths).calibration_["bn1.running_mean"],
                                  extractor.calibration_["bn1.running_mean"])  # fmt: skip


def test_calibration_uses_the_first_images_only(paths, monkeypatch):
    monkeypatch.setattr(features, "CALIBRATION_IMAGES", 3)
    a, b = resnet().fit(paths), resnet().fit(paths[:3])
    assert a.fingerprint() == b.fingerprint()


def test_a_calibration_can_be_restored(paths):
    extractor = resnet().fit(paths)
    restored = resnet().set_calibration(extractor.calibration_)
    np.testing.assert_array_equal(restored.transform(paths), extractor.transform(paths))
    assert restored.fingerprint() == extractor.fingerprint()
    with pytest.raises(InputError, match="call fit with training images again"):
        restored.set_params(levels=None).transform(paths)


def test_a_calibration_does_not_touch_other_weights(tmp_path, paths, weights_file):
    extractor = squeeze(weights=weights_file)
    plain = extractor.fingerprint()
    assert extractor.set_calibration({"a": np.ones(2)}).fingerprint() == plain
    assert not hasattr(extractor.fit(paths), "calibration_")


def test_parameters_may_change_after_the_network_was_loaded(paths):
    extractor = squeeze(levels=[1])
    first = extractor.transform(paths[0])
    network = extractor.load_network()[1]
    assert extractor.load_network()[1] is network
    extractor.set_params(seed=1)
    assert not np.array_equal(extractor.transform(paths[0]), first)
    extractor.set_params(seed=0, levels=[1, 2])
    np.testing.assert_allclose(extractor.transform(paths[0])[:, :64], first, rtol=1e-4, atol=1e-6)


def test_a_changed_weights_file_is_noticed(tmp_path, paths):
    path = tmp_path / "w.pth"
    extractor = squeeze(weights=path, levels=[1])
    results = []
    for seed in (1, 2):
        torch.save(build(get_backbone("squeezenet1_1"), 1 + seed, seed=seed).state_dict(), path)
        results.append((extractor.fingerprint()["weights_sha256"], extractor.transform(paths[0]).tobytes()))
    assert results[0][0] != results[1][0]
    assert results[0][1] != results[1][1]


def test_scikit_learn_conventions(paths):
    extractor = squeeze(batch_size=5)
    assert clone(extractor).get_params() == extractor.get_params()
    X = extractor.transform(paths)
    names = extractor.get_feature_names_out()
    assert names.shape == (X.shape[1],)
    assert (names[0], names[64], names[-1]) == ("level1_channel0", "level3_channel0", "level3_channel127")
    pipeline = make_pipeline(resnet(), StandardScaler()).fit(paths)
    assert pipeline.transform(paths[:2]).shape == (2, 64 + 64 + 128)
    copy = pickle.loads(pickle.dumps(extractor))
    np.testing.assert_array_equal(copy.transform(paths), X)
    assert "_runner" in vars(extractor)
    assert "_runner" not in extractor.__getstate__()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": [10]}, "squeezenet1_1 has the levels 1 to 9"),
        ({"size": 16}, "size must be a whole number of at least 32"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"seed": -1}, "seed must be"),
        ({"device": "cuda:77"}, "is not available"),
        ({"weights": "absent.pth"}, "no such weights file"),
    ],
)
def test_bad_parameters(paths, options, message):
    with pytest.raises(InputError, match=message):
        squeeze(**options).transform(paths)


def test_bad_images(tmp_path, paths):
    for images, message in (([], "there is no image"), (tmp_path / "none.png", r"none\.png: no such")):
        for cache in (None, tmp_path / "cache"):
            with pytest.raises(InputError, match=message):
                squeeze(cache=cache).transform(images)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_features_that_are_not_finite_name_the_image(tmp_path, paths, runtime):
    state = build(get_backbone("squeezenet1_1"), 1, seed=0).state_dict()
    state["features.0.weight"][3] = 3e38
    torch.save(state, tmp_path / "w.pth")
    extractor = squeeze(weights=tmp_path / "w.pth", levels=1, cache=tmp_path / "cache", runtime=runtime)
    with pytest.raises(InputError, match=rf"{paths[2].name} gives features that are not finite"):
        extractor.transform(paths[2])
    assert not list((tmp_path / "cache").rglob("*.npz"))


def test_progress_on_stderr(paths, capsys):
    for progress, shown in ((True, True), (False, False), (None, False)):
        squeeze(levels=1, progress=progress).transform(paths)
        out, err = capsys.readouterr()
        assert not out
        assert ("7/7" in err) == shown


def test_fingerprint(paths, weights_file):
    fingerprint = squeeze(weights=weights_file).fingerprint()
    assert fingerprint["weights"] == str(weights_file)
    assert len(fingerprint["weights_sha256"]) == 64
    assert (fingerprint["levels"], fingerprint["size"], fingerprint["seed"]) == ([1, 3], 48, None)
    assert fingerprint["gad_core"] == gad_core.__version__
    random = squeeze(seed=4).fingerprint()
    assert (random["weights"], random["weights_sha256"], random["seed"]) == ("random", None, 4)


def test_from_fingerprint(paths, weights_file, tmp_path):
    for extractor, options in (
        (squeeze(seed=2), {}),
        (resnet().fit(paths), {}),
        (squeeze(weights=weights_file), {"weights": weights_file}),
    ):
        again = FeatureExtractor.from_fingerprint(
            extractor.fingerprint(),
            calibration=getattr(extractor, "calibration_", {}),
            progress=False,
            **options,
        )
        np.testing.assert_array_equal(again.transform(paths), extractor.transform(paths))
    fitted = squeeze(weights=weights_file).fingerprint()
    assert FeatureExtractor.from_fingerprint(fitted).fingerprint() == fitted
    with pytest.raises(InputError, match=r"moved or deleted: nowhere\.pth .*--weights"):
        FeatureExtractor.from_fingerprint(fitted | {"weights": "nowhere.pth"})
    torch.save(build(get_backbone("squeezenet1_1"), 3, seed=6).state_dict(), tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"fitted with weights sha256 .*--weights"):
        FeatureExtractor.from_fingerprint(fitted, weights=tmp_path / "other.pth")


def test_a_full_cache_needs_no_torch(tmp_path, paths):
    squeeze(cache=tmp_path).transform(paths)
    code = (
        "import sys; from gad_core.features import FeatureExtractor as F; "
        f"F('squeezenet1_1', 'random', [1, 3], size=48, cache={str(tmp_path)!r})"
        f".transform({[str(path) for path in paths]!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_real_features_of_efficientnet_b4(shared, b4_weights):
    folder = shared / "mvtec" / "bottle"
    normal = sorted((folder / "train" / "good").iterdir())[:4]
    broken = sorted((folder / "test" / "broken_large").iterdir())[:1]
    # In torch, which starts sooner; test_reference has the same in OpenVINO.
    extractor = FeatureExtractor(weights=b4_weights, levels=range(1, 8), runtime="torch", progress=False)
    X = extractor.transform([*normal, *broken])
    assert X.shape == (5, sum(extractor.level_widths.values()))
    # Even four images are enough to tell a broken bottle from a fifth good one at level 7.
    distance = LedoitWolf().fit(X[:3, -272:].astype(np.float64)).mahalanobis(X[3:, -272:])
    assert distance[1] > 2 * distance[0]


def test_extractor_and_detector_make_a_pipeline_on_paths(paths):
    extractor = squeeze()
    pipeline = make_pipeline(extractor, GaussianDetector(extractor.level_widths, threshold="chi2"))
    X = extractor.transform(paths)
    expected = GaussianDetector(extractor.level_widths, threshold="chi2").fit(X)
    found = clone(pipeline).fit(paths)
    np.testing.assert_array_equal(found.score_samples(paths), expected.score_samples(X))
    np.testing.assert_array_equal(found.predict(paths), expected.predict(X))
