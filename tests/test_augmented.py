"""The augmented protocol: streamed passes give what all passes together would, whatever interrupts them."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

import gad_core as gad
from gad_core import augmentation
from gad_core.augmented_moments import AugmentedMoments, load_augmented, save_augmented
from gad_core.cli import main
from gad_core.components import components_from_moments, subspace_fourths
from gad_core.errors import InputError
from gad_core.evaluation import auroc
from gad_core.experiments import augmented as experiment
from gad_core.experiments.augmented import augmented_moments, augmented_rate_rows, augmented_rows
from gad_core.experiments.rates import sigma_rate
from gad_core.feature_file import CategoryFeatures
from gad_core.files import write_npz
from gad_core.gaussian import fit_gaussian, gaussian_from_components
from gad_core.images import load_image
from gad_core.moments import Moments

WIDTHS = {3: 6, 7: 9}
ABOUT = {"weights_sha256": "0" * 64, "dataset_sha256": "1" * 64, "size": 64, "levels": list(WIDTHS)}


def samples(n, p, seed=0):
    """Rows of one Gaussian law, whatever n and the seed."""
    law, rng = np.random.default_rng(7), np.random.default_rng(seed)
    mixing, mean = law.normal(size=(p, p)) * np.exp(-np.linspace(0, 4, p)), law.normal(size=p)
    return (rng.normal(size=(n, p)) @ mixing.T + mean).astype(np.float32)


def summed(X: np.ndarray, passes=5) -> AugmentedMoments:
    """Moments of a matrix as those of passes, made plainly here."""
    columns = {3: X[:, :6], 7: X[:, 6:]}
    moments = {level: Moments.from_data(part) for level, part in columns.items()}
    fourths = {
        level: subspace_fourths(components_from_moments(moments[level]), np.array_split(part, passes))
        for level, part in columns.items()
    }
    return AugmentedMoments("nut", "squeezenet1_1", WIDTHS, passes, moments, fourths, ABOUT)


def features(m=400, shift=3.0) -> CategoryFeatures:
    """Test features of the law of `samples(..., 15)`, the second half of them moved."""
    test = samples(m, 15, seed=1)
    test[m // 2 :] += np.float32(shift)
    defects = ("good",) * (m // 2) + ("moved",) * (m - m // 2)
    paths = tuple(f"test/{i}.png" for i in range(m))
    return CategoryFeatures("nut", "squeezenet1_1", WIDTHS, test[:0], test, (), paths, defects, ABOUT)


# --- subspaces from sums ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reduce", [("pca", 0.9), ("pca", 0.99), ("npca", 0.5), ("npca", 0.9), ("npca", 0.99)]
)
@pytest.mark.parametrize(("n", "p"), [(200, 12), (60, 12), (13, 12)])
def test_a_subspace_from_streamed_sums_is_that_of_the_samples(n, p, reduce):
    X, Y = samples(n, p), samples(20, p, seed=1)
    fitted = components_from_moments(Moments.from_data(X))
    fourths = subspace_fourths(fitted, np.array_split(X, 4))
    found = gaussian_from_components(dataclasses.replace(fitted, subspace_fourths=fourths), reduce=reduce)
    expected = fit_gaussian(X, reduce=reduce)
    assert found.shrinkage == pytest.approx(expected.shrinkage, rel=1e-9)
    np.testing.assert_allclose(found.mahalanobis(Y), expected.mahalanobis(Y), rtol=1e-7)


def test_the_sums_over_all_components_are_the_fourth_moment():
    fitted = components_from_moments(Moments.from_data(samples(50, 8)))
    fourths = subspace_fourths(fitted, [samples(50, 8)])
    assert fourths[0, -1] == pytest.approx(fitted.fourth)
    assert fourths[1, 0] == pytest.approx(fitted.fourth)
    assert np.all(np.diff(fourths[0]) > 0)
    assert np.all(np.diff(fourths[1]) < 0)


# --- the file ---------------------------------------------------------------------------------------------


def test_what_is_read_is_what_was_written(tmp_path):
    was = summed(samples(40, 15))
    save_augmented(tmp_path / "a.npz", was)
    save_augmented(tmp_path / "b.npz", was)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    now = load_augmented(tmp_path / "a.npz")
    for name in ("category", "backbone", "level_widths", "passes", "provenance"):
        assert getattr(now, name) == getattr(was, name)
    for level in WIDTHS:
        for field in dataclasses.fields(Moments):
            a, b = (getattr(each.moments[level], field.name) for each in (was, now))
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        np.testing.assert_array_equal(now.subspace_fourths[level], was.subspace_fourths[level])


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file of moments"):
        load_augmented(tmp_path / "none.npz")
    write_npz(tmp_path / "other.npz", {"X": np.zeros(3)})
    with pytest.raises(InputError, match="damaged or no file of augmented moments"):
        load_augmented(tmp_path / "other.npz")
    save_augmented(tmp_path / "short.npz", summed(samples(40, 15)))
    (tmp_path / "short.npz").write_bytes((tmp_path / "short.npz").read_bytes()[:-200])
    with pytest.raises(InputError, match="damaged or no file of augmented moments"):
        load_augmented(tmp_path / "short.npz")


# --- rows -------------------------------------------------------------------------------------------------


def test_rows_are_those_of_gaussians_on_all_samples():
    X, given = samples(300, 15), features(60, shift=0.3)
    rows = augmented_rows(given, summed(X))
    found = {(row["predictor"], row["reduce"]): row["auroc"] for row in rows}
    assert len(found) == len(rows) == 9
    for text, reduce in (("none", None), ("pca:0.99", ("pca", 0.99)), ("npca:0.99", ("npca", 0.99))):
        parts = [
            fit_gaussian(X[:, where], reduce=reduce).mahalanobis(given.test[:, where])
            for where in (slice(0, 6), slice(6, 15))
        ]
        assert found["level 3", text] == pytest.approx(auroc(given.labels, parts[0]))
        assert found["level 7", text] == pytest.approx(auroc(given.labels, parts[1]))
        assert found["sum", text] == pytest.approx(auroc(given.labels, parts[0] + parts[1]))
    assert {row["n"] for row in rows} == {300}


def test_the_chi_square_threshold_keeps_its_rate_on_gaussian_features():
    rows = augmented_rate_rows(features(8000), summed(samples(20000, 15)))
    checked = [row for row in rows if row["predictor"] != "sum"]
    assert len(checked) == 2 * 3 * 9
    for row in checked:
        error = 4 * np.sqrt(row["chosen"] * (1 - row["chosen"]) / row["normal"]) + 0.004
        assert row["fpr"] == pytest.approx(row["chosen"], abs=error), row
        assert row["tpr"] >= row["fpr"]
    assert {row["chosen"] for row in checked} > {float(sigma_rate(k)) for k in range(1, 6)}
    assert {row["p"] for row in checked if row["reduce"] == "none"} == {6, 9}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category": "bolt"}, "have category nut, the features bolt"),
        ({"provenance": ABOUT | {"size": 32}}, "have size 64, the features 32"),
        ({"provenance": ABOUT | {"dataset_sha256": "2" * 64}}, "have dataset_sha256 1"),
    ],
)
def test_features_of_something_else_are_refused(change, message):
    given = dataclasses.replace(features(), **change)
    with pytest.raises(InputError, match=message):
        augmented_rows(given, summed(samples(40, 15)))


# --- the passes -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    gad.synthesize(
        root, categories=["nut"], n_train=3, n_test_good=1, n_test_defect=1, size=64, progress=False
    )
    return gad.MVTecDataset(root, "nut")


def extractor(cache=None):
    return gad.FeatureExtractor(
        "squeezenet1_1", "random", [1, 2], size=32, batch_size=2, cache=cache, progress=False
    )


@pytest.fixture
def calls(monkeypatch):
    """Count the images that are changed."""
    made, change = [], augmentation.augmented

    def counted(image, allowed, rng):
        made.append(allowed)
        return change(image, allowed, rng)

    monkeypatch.setattr(augmentation, "augmented", counted)
    return made


def content(tmp_path, moments):
    save_augmented(tmp_path / "content.npz", moments)
    return (tmp_path / "content.npz").read_bytes()


def test_moments_are_those_of_the_changed_images_features(data, tmp_path):
    found = augmented_moments(data, extractor(), passes=2, seed=5)
    allowed, plain = augmentation.augmentation_of("nut"), extractor()
    images = [
        augmentation.augmented(load_image(path, 32), allowed, np.random.default_rng([5, number, i]))
        for number in range(2)
        for i, path in enumerate(data.train.paths)
    ]
    X = plain.transform(images)
    expected = Moments.from_data(X[:, 64:])
    assert found.moments[2].count == 6
    np.testing.assert_allclose(found.moments[2].location, expected.location, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.moments[2].covariance, expected.covariance, rtol=1e-3, atol=1e-8)
    other = augmented_moments(data, extractor(), passes=2, seed=6)
    assert content(tmp_path, other) != content(tmp_path, found)


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(data, tmp_path, monkeypatch, calls):
    whole = content(tmp_path, augmented_moments(data, extractor(), passes=3))
    assert len(calls) == 9
    calls.clear()
    change = augmentation.augmented

    def interrupted(*args):
        if len(calls) == 7:
            raise KeyboardInterrupt
        return change(*args)

    with monkeypatch.context() as context:
        context.setattr(augmentation, "augmented", interrupted)
        with pytest.raises(KeyboardInterrupt):
            augmented_moments(data, extractor(tmp_path / "cache"), passes=3)
    calls.clear()
    resumed = augmented_moments(data, extractor(tmp_path / "cache"), passes=3)
    assert len(calls) == 3  # the pass that was not finished
    assert content(tmp_path, resumed) == whole
    calls.clear()
    augmented_moments(data, extractor(tmp_path / "cache"), passes=4)
    assert len(calls) == 3


def test_more_passes_need_no_more_memory(data, monkeypatch):
    n, p = 3, 192

    def computed(self, number):
        self.tick(n)
        return np.random.default_rng(number).normal(size=(n, p)).astype(np.float32)

    monkeypatch.setattr(experiment._Passes, "_computed", computed)

    def peak(passes):
        tracemalloc.start()
        augmented_moments(data, extractor(), passes)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    # Both have more samples than features: with fewer, the components found are fewer too, and smaller.
    more = 200 * n * p * 4
    assert peak(280) < peak(80) + more / 4


def test_augment_from_the_command_line(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GAD_CACHE", str(tmp_path / "cache"))
    command = ["features", "augment", "--data", data.root, "--backbone", "squeezenet1_1", "--weights",
               "random", "--levels", "1", "--seed", "2", "--quiet", "--out", tmp_path]  # fmt: skip
    assert main([*map(str, command), "--passes", "2"]) == 0
    assert "nut" in capsys.readouterr().out
    found = load_augmented(tmp_path / "squeezenet1_1" / "nut.npz")
    assert (found.passes, found.moments[1].count) == (2, 6)
    assert found.provenance["augmentation"]["seed"] == 2
    assert str(data.root) not in str(found.provenance)
    assert main([*map(str, command), "--passes", "0"]) == 2
    assert "--passes must be a whole number of at least 1" in capsys.readouterr().err
