"""The estimator: scikit-learn's rules, predictors, thresholds, updates, storage."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

import gad_core as gad
from gad_core import GaussianDetector, InputError, Moments, fit_gaussian
from gad_core.thresholds import chi2_threshold

LEVELS = {1: 4, 2: 6, 5: 3}


@pytest.fixture(name="X")
def training_features():
    rng = np.random.default_rng(0)
    return rng.normal(size=(150, 13)) @ rng.normal(size=(13, 13)) + 2


@pytest.fixture(name="Y")
def new_features(X):
    return X[:20] + np.random.default_rng(1).normal(size=(20, 13))


@pytest.mark.filterwarnings("ignore:.*cannot resolve a false-positive rate:UserWarning")
@parametrize_with_checks(
    [
        GaussianDetector(),
        GaussianDetector(threshold="chi2"),
        GaussianDetector(threshold="conformal", fpr=0.5, calibration=0.5),
        GaussianDetector(covariance="spherical"),
    ]
)
def test_scikit_learns_rules(estimator, check):
    check(estimator)


def test_sum_joint_and_single_level_are_made_of_the_same_gaussians(X, Y):
    parts = [fit_gaussian(X[:, c]).mahalanobis(Y[:, c]) for c in (slice(4), slice(4, 10), slice(10, 13))]
    summed = GaussianDetector(LEVELS).fit(X)
    np.testing.assert_allclose(summed.level_distances(Y), np.transpose(parts), rtol=1e-9)
    np.testing.assert_allclose(summed.mahalanobis(Y), np.sum(parts, axis=0), rtol=1e-9)
    single = GaussianDetector(LEVELS, combine=2).fit(X)
    np.testing.assert_allclose(single.mahalanobis(Y), parts[1], rtol=1e-9)
    joint = GaussianDetector(LEVELS, combine="joint").fit(X)
    np.testing.assert_allclose(joint.mahalanobis(Y), fit_gaussian(X).mahalanobis(Y), rtol=1e-9)
    np.testing.assert_allclose(GaussianDetector().fit(X).mahalanobis(Y), joint.mahalanobis(Y), rtol=1e-12)


@pytest.mark.parametrize("combine", ["sum", "joint", 5])
@pytest.mark.parametrize("threshold", ["cross_validated", "conformal", "chi2"])
def test_scores_verdicts_and_p_values_agree(X, Y, combine, threshold):
    d = GaussianDetector(LEVELS, combine=combine, threshold=threshold, fpr=0.1).fit(X)
    np.testing.assert_array_equal(d.score_samples(Y), -d.mahalanobis(Y))
    np.testing.assert_allclose(d.decision_function(Y), d.threshold_ - d.mahalanobis(Y), rtol=1e-12)
    np.testing.assert_array_equal(d.predict(Y) == -1, d.mahalanobis(Y) > d.threshold_)
    p = d.p_values(Y)
    assert np.all((p > 0) & (p <= 1))
    np.testing.assert_array_equal(d.predict(Y) == -1, p <= 0.1)


def test_chi_square_threshold_knows_the_dimension_of_each_predictor(X):
    dims = {"sum": [4, 6, 3], "joint": [13], 5: [3]}
    for combine, dof in dims.items():
        d = GaussianDetector(LEVELS, combine=combine, threshold="chi2").fit(X)
        assert d.threshold_ == pytest.approx(float(chi2_threshold(0.05, dof)))
    d = GaussianDetector(LEVELS, combine="joint", reduce=("pca", 0.9), threshold="chi2").fit(X)
    assert d.threshold_ == pytest.approx(float(chi2_threshold(0.05, len(d.gaussians_["joint"].components))))


@pytest.mark.parametrize("combine", ["sum", "joint"])
def test_cross_validated_threshold_is_the_quantile_of_held_out_distances(X, combine):
    d = GaussianDetector(LEVELS, combine=combine).fit(X)
    held_out = np.zeros(len(X))
    for train, test in KFold(5, shuffle=True, random_state=0).split(X):
        held_out[test] = clone(d).set_params(threshold="chi2").fit(X[train]).mahalanobis(X[test])
    assert d.threshold_ == pytest.approx(np.sort(held_out)[int(np.ceil(0.95 * 151)) - 1], rel=1e-9)
    np.testing.assert_allclose(d.calibration_distances_, np.sort(held_out), rtol=1e-9)


def test_conformal_fit_equals_fitting_and_calibrating_by_hand_and_never_sees_its_calibration_set(X):
    d = GaussianDetector(threshold="conformal", calibration=0.4, random_state=3).fit(X)
    held_out = d._split(len(X))[1]
    by_hand = GaussianDetector(threshold="chi2").fit(np.delete(X, held_out, axis=0)).calibrate(X[held_out])
    assert len(held_out) == 60
    assert by_hand.threshold_ == pytest.approx(d.threshold_)


def test_conformal_false_positive_rate_holds_on_new_normal_samples():
    rng = np.random.default_rng(5)
    rates = []
    for _ in range(200):
        X = rng.standard_t(3, size=(60, 8))  # far from Gaussian
        d = GaussianDetector(threshold="conformal", calibration=0.5, fpr=0.1).fit(X)
        rates.append(np.mean(d.predict(rng.standard_t(3, size=(200, 8))) == -1))
    assert np.mean(rates) <= 0.1 + 3 * np.std(rates) / np.sqrt(len(rates))


@pytest.mark.parametrize("combine", ["sum", "joint", 2])
def test_partial_fit_equals_fit_on_all_together(X, Y, combine):
    options = {"levels": LEVELS, "combine": combine, "threshold": "chi2"}
    whole = GaussianDetector(**options).fit(X)
    streamed = GaussianDetector(**options)
    for part in np.array_split(X, 7):
        streamed.partial_fit(part)
    np.testing.assert_allclose(streamed.mahalanobis(Y), whole.mahalanobis(Y), rtol=1e-9)
    continued = GaussianDetector(**options).fit(X[:100]).partial_fit(X[100:])
    np.testing.assert_allclose(continued.mahalanobis(Y), whole.mahalanobis(Y), rtol=1e-9)
    assert continued.threshold_ == pytest.approx(whole.threshold_)


def test_moments_of_several_machines_make_the_same_detector(X, Y):
    parts = [Moments.from_data(part) for part in np.array_split(X, 3)]
    merged = GaussianDetector(threshold="chi2").fit_moments({"joint": parts[0] + parts[1] + parts[2]})
    expected = GaussianDetector(threshold="chi2").fit(X)
    np.testing.assert_allclose(merged.mahalanobis(Y), expected.mahalanobis(Y), rtol=1e-9)


def test_a_streamed_detector_asks_for_calibration_before_it_judges(X, Y):
    d = GaussianDetector().partial_fit(X[:100])
    assert d.mahalanobis(Y).shape == (20,)
    with pytest.raises(InputError, match="call calibrate with held-out normal samples"):
        d.predict(Y)
    assert set(d.calibrate(X[100:]).predict(Y)) <= {1, -1}


def test_a_refit_forgets_the_earlier_threshold(X):
    d = GaussianDetector().fit(X)
    d.set_params(threshold="chi2").fit(X)
    assert not hasattr(d, "calibration_distances_")


def test_works_in_a_pipeline(X, Y):
    pipeline = make_pipeline(FunctionTransformer(), GaussianDetector(LEVELS)).fit(X)
    np.testing.assert_array_equal(pipeline.predict(Y), GaussianDetector(LEVELS).fit(X).predict(Y))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"combine": "mean"}, "combine must be one of sum, joint, 1, 2, 5"),
        ({"combine": 3}, "combine must be one of sum, joint, 1, 2, 5"),
        ({"reduce": ("pca", 1.5)}, "reduce must be None"),
        ({"reduce": "pca"}, "reduce must be None"),
        ({"covariance": "full"}, "covariance must be one of"),
        ({"fpr": 5}, "fpr is a fraction"),
        ({"threshold": "f"}, "threshold must be one of cross_validated, conformal, chi2"),
        ({"threshold": "conformal", "calibration": 2}, "calibration is a share"),
        ({"folds": 1}, "folds must be"),
        ({"levels": {1: 4}}, "add up to 4"),
    ],
)
def test_wrong_options_are_named(X, options, message):
    with pytest.raises(InputError, match=message):
        GaussianDetector(**({"levels": LEVELS} | options)).fit(X)


def test_nan_is_located(X):
    X[17, 3] = np.nan
    with pytest.raises(InputError, match="NaN or infinity: first at row 17, column 3"):
        GaussianDetector().fit(X)


def test_too_few_samples(X):
    with pytest.raises(InputError, match="n_samples = 1"):
        GaussianDetector().fit(X[:1])
    with pytest.raises(InputError, match="at least 4 normal samples, there are 2"):
        GaussianDetector().fit(X[:2])
    with pytest.raises(InputError, match=r"2 samples with 13 features is singular .* give more samples"):
        GaussianDetector(threshold="chi2").fit(X[:2])
    assert GaussianDetector(threshold="chi2").fit(X[:3]).mahalanobis(X).shape == (150,)
    with pytest.raises(InputError, match="n_samples = 1"):
        GaussianDetector(threshold="chi2").partial_fit(X[:1]).mahalanobis(X)
    with pytest.raises(InputError, match="n_samples = 1"):
        GaussianDetector(threshold="conformal").fit(X[:1])


def test_streamed_samples_survive_an_error_and_single_ones_add_up(X, Y):
    d = GaussianDetector(threshold="chi2")
    for row in X[:20]:
        d.partial_fit(row[None])
    with pytest.raises(InputError, match="NaN"):
        d.partial_fit(np.full((3, 13), np.nan))
    with pytest.raises(ValueError, match="expecting 13 features"):
        d.partial_fit(np.ones((3, 12)))
    assert d.moments_["joint"].count == 20
    expected = GaussianDetector(threshold="chi2").fit(X[:20])
    assert d.threshold_ == pytest.approx(expected.threshold_)
    np.testing.assert_allclose(d.mahalanobis(Y), expected.mahalanobis(Y), rtol=1e-7)


def test_partial_fit_notices_that_the_array_of_fit_was_changed(X):
    d = GaussianDetector(threshold="chi2").fit(X)
    X[:] = 99
    with pytest.raises(InputError, match="has been changed since"):
        d.partial_fit(X + 1)


def test_partial_fit_of_a_subspace_is_refused_and_changes_nothing(X, Y):
    d = GaussianDetector(reduce=("pca", 0.9)).fit(X)
    before = d.mahalanobis(Y)
    with pytest.raises(InputError, match="cannot be fitted from moments"):
        d.partial_fit(X)
    np.testing.assert_array_equal(d.mahalanobis(Y), before)


@pytest.mark.parametrize("combine", ["sum", "joint", 2])
@pytest.mark.parametrize("reduce", [None, ("npca", 0.9)])
@pytest.mark.parametrize("covariance", ["ledoit_wolf", "diagonal"])
@pytest.mark.parametrize("threshold", ["cross_validated", "chi2"])
def test_a_saved_detector_says_exactly_the_same(X, Y, tmp_path, combine, reduce, covariance, threshold):
    d = GaussianDetector(LEVELS, combine, reduce, covariance, 0.1, threshold).fit(X)
    d.save(tmp_path / "model.safetensors")
    loaded = gad.load(tmp_path / "model.safetensors")
    assert loaded.get_params() == d.get_params()
    for method in ("mahalanobis", "predict", "p_values", "level_distances"):
        np.testing.assert_array_equal(getattr(loaded, method)(Y), getattr(d, method)(Y))
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_a_pickled_detector_leaves_its_training_samples_behind(X, Y):
    d = pickle.loads(pickle.dumps(GaussianDetector().fit(X)))
    assert d.mahalanobis(Y).shape == (20,)
    with pytest.raises(InputError, match="does not carry its training samples"):
        d.partial_fit(X)


def test_no_changed_byte_of_the_header_goes_unnoticed(X, tmp_path):
    path = tmp_path / "m.safetensors"
    GaussianDetector(LEVELS).fit(X).save(path)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    text = content[:header].decode("latin-1")
    start = text.index("threshold")
    for position in [*range(8), *range(start - 600, start + 60)]:
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        try:
            loaded = gad.load(path)
        except InputError:
            continue
        raise AssertionError(f"byte {position} ({text[position]!r}) was changed, yet {loaded} was loaded")


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "truncated":
        content = content[: len(content) // 2]
    elif how == "flipped":
        content[-5] ^= 0xFF
    else:
        content = bytearray(b"not a model at all")
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["truncated", "flipped", "text"])
def test_a_damaged_model_is_never_used(X, tmp_path, how):
    path = tmp_path / "m.safetensors"
    GaussianDetector().fit(X).save(path)
    damage(path, how)
    with pytest.raises(InputError, match=r"m\.safetensors is damaged"):
        gad.load(path)


def test_other_files_are_no_models(tmp_path, X):
    from safetensors.numpy import save_file

    with pytest.raises(InputError, match="no such model"):
        gad.load(tmp_path / "none")
    save_file({"w": np.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="is no gad-core model"):
        gad.load(tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="fit it first"):
        GaussianDetector().save(tmp_path / "x")
    with pytest.raises(InputError, match="cannot write the model"):
        GaussianDetector().fit(X).save("/proc/no/model.safetensors")


@pytest.fixture(name="rng")
def seeded_generator():
    return np.random.default_rng(2)


def test_set_params_after_the_fit_changes_no_distance(rng):
    X = rng.normal(size=(60, 6))
    d = GaussianDetector({1: 2, 2: 2, 3: 2}, combine=2).fit(X)
    before = d.mahalanobis(X)
    for changed in ({"combine": "sum"}, {"combine": "joint"}, {"levels": {1: 1, 2: 2, 3: 3}}):
        np.testing.assert_array_equal(clone_fitted(d).set_params(**changed).mahalanobis(X), before)


def clone_fitted(detector):
    return pickle.loads(pickle.dumps(detector))


@pytest.mark.parametrize(
    "changed",
    [{"combine": "sum"}, {"levels": {1: 1, 2: 3, 3: 2}}, {"covariance": "oas"}, {"threshold": "conformal"}],
)
def test_a_detector_with_other_parameters_than_at_its_fit_is_not_saved_or_fitted_further(
    rng, tmp_path, changed
):
    X = rng.normal(size=(100, 6))
    d = GaussianDetector({1: 2, 2: 2, 3: 2}, combine="joint", threshold="chi2").fit(X)
    d.set_params(**changed)
    for use in (lambda: d.save(tmp_path / "m.safetensors"), lambda: d.partial_fit(X)):
        with pytest.raises(InputError, match=f"{next(iter(changed))} changed since the detector was fitted"):
            use()
    assert not list(tmp_path.iterdir())
    d.fit(X).save(tmp_path / "m.safetensors")


def test_what_fit_saw_does_not_calibrate(rng):
    X, Y = rng.normal(size=(60, 3)), rng.normal(size=(60, 3))
    d = GaussianDetector().fit(X)
    threshold = d.threshold_
    for seen in (X, X[::2], X[::-1].tolist()):
        with pytest.raises(InputError, match="fitted on"):
            d.calibrate(seen)
    assert d.threshold_ == threshold
    assert d.calibrate(Y).threshold_ != threshold


def test_options_of_other_types_are_refused_or_taken_as_they_are_meant(rng):
    X = rng.normal(size=(30, 4))
    with pytest.raises(InputError, match="levels is a mapping of each level to its width"):
        GaussianDetector(levels=[2, 2]).fit(X)
    three = GaussianDetector(folds=np.int64(3)).fit(X)
    assert three.threshold_ == GaussianDetector(folds=3).fit(X).threshold_
