"""A fit by blocks in one process: its numbers, and images that cannot be read."""

import pickle
import re
import sys
import zlib

import numpy as np
import pytest
from fits import N, assert_same_bits, detector, extractor, state

import gad_core as gad
from gad_core.cache import entry_key, image_digest
from gad_core.distributed import Here, fit_images
from gad_core.distributed.extraction import Answers
from gad_core.distributed.partition import BLOCK
from gad_core.distributed.rows import run_rows
from gad_core.distributed.workers import WorkersDiedError
from gad_core.errors import InputError
from gad_core.features import FeatureExtractor
from gad_core.gaussian import fit_gaussian

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("threshold", ["cross_validated", "conformal", "chi2"])
@pytest.mark.parametrize(
    ("combine", "covariance"), [("sum", "ledoit_wolf"), ("joint", "oas"), (1, "diagonal")]
)
def test_one_process_agrees_with_the_plain_fit(paths, features, threshold, combine, covariance):
    options = {"threshold": threshold, "combine": combine, "covariance": covariance}
    X = features
    plain = detector(**options).fit(X)
    got = fit_images(detector(**options), extractor(), paths).detector
    np.testing.assert_allclose(got.mahalanobis(X), plain.mahalanobis(X), rtol=1e-9)
    assert got.threshold_ == pytest.approx(plain.threshold_, rel=1e-9)
    new = 1.01 * X[:9]  # not the rows themselves: rounding would break their ties with held-out distances
    np.testing.assert_allclose(got.p_values(new), plain.p_values(new), rtol=1e-9)
    assert got.n_features_in_ == plain.n_features_in_ == X.shape[1]


def test_what_the_cache_holds_does_not_show(paths, tmp_path, alone):
    cached = extractor(cache=tmp_path)
    assert_same_bits(state(fit_images(detector(), cached, paths).detector), alone)
    for path in paths[5::BLOCK]:  # alone in its batch, an image's features are rounded otherwise
        key = entry_key(image_digest(path.read_bytes()), cached._spec().recipe())
        cached.open_cache().path(key).unlink()
    assert_same_bits(state(fit_images(detector(), cached, paths).detector), alone)


def test_unreadable_images_do_not_touch_the_others(paths, damaged):
    whole, partial = (run_rows(extractor(), Answers(some), range(N)) for some in (paths, damaged))
    assert [bad.name for bad in partial.unreadable] == [str(damaged[i]) for i in (0, 100, N - 1)]
    assert "truncated" in partial.unreadable[1].reason
    kept = np.delete(np.concatenate(whole.blocks), [0, 100, N - 1], axis=0)
    np.testing.assert_array_equal(np.concatenate(partial.blocks), kept)


def test_a_block_without_a_readable_image(paths, features, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"")
    images = [*[broken] * BLOCK, *paths]
    fit, other = (fit_images(detector(), extractor(), images, blocks_per_task=n) for n in (1, 2))
    assert fit.count == N
    assert len(fit.unreadable) == BLOCK
    assert_same_bits(state(fit.detector), state(other.detector))
    assert fit.detector.threshold_ == pytest.approx(detector().fit(features).threshold_, rel=1e-9)


def test_no_readable_image_at_all(damaged):
    with pytest.raises(InputError, match=r"none of 4 images can be read .*same paths"):
        fit_images(detector(), extractor(), 2 * [damaged[0], damaged[-1]])


def test_an_error_that_no_image_is_to_blame_for_is_raised(paths, monkeypatch):
    monkeypatch.setattr(
        "gad_core.runtime.pooled",
        lambda maps: np.full((len(maps[0]), sum(m.shape[1] for m in maps)), np.nan),
    )
    with pytest.raises(InputError, match="not finite"):
        fit_images(detector(), extractor(), paths[:9])


@pytest.mark.parametrize(("options", "message"), [
    ({"reduce": ("pca", 0.9)}, "cannot be fitted from moments"),
    ({}, "at least 4 normal samples"),
    ({"threshold": "conformal"}, "at least 19"),
    ({"combine": "joint", "covariance": "empirical"}, "singular"),
])  # fmt: skip
def test_what_cannot_be_fitted_is_refused(paths, options, message):
    few = 3 if not options else 20
    with pytest.raises(InputError, match=message):
        fit_images(detector(**options), extractor(), paths[:few])


def test_levels_of_another_extractor_are_refused(paths):
    other = gad.GaussianDetector({1: 48})
    with pytest.raises(InputError, match=r"widths \{1: 48\}, this extractor gives \{1: 64"):
        fit_images(other, extractor(), paths[:20])


class Trivial(FeatureExtractor):
    """Draws features instead of computing them."""

    def transform(self, X):
        rng = np.random.default_rng(zlib.crc32(str(X[0]).encode()))
        return rng.normal(size=(len(X), sum(self.level_widths.values()))).astype(np.float32)


def trivial(levels):
    return Trivial("squeezenet1_1", weights="random", levels=levels, size=32, progress=False)


class Counting(Here):
    """Counts the bytes of all results that are brought back, those of the Gaussians apart."""

    def __init__(self):
        self.bytes = self.of_gaussians = 0

    def result(self, submitted):
        size = len(pickle.dumps(submitted))
        if isinstance(submitted, dict):
            self.of_gaussians += size
        else:
            self.bytes += size
        return submitted

    def each_done(self, submitted):
        for i, result in super().each_done(submitted):
            yield i, self.result(result)


@pytest.mark.parametrize(("threshold", "each"), [("chi2", 0), ("cross_validated", 8)])
def test_what_is_brought_back_is_at_most_a_number_for_each_image(threshold, each):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20 * BLOCK, 32, 32, 3), dtype=np.uint8)
    brought = []
    for count in (5 * BLOCK, 20 * BLOCK):
        counting = Counting()
        fit_images(detector(threshold=threshold), trivial([1, 5]), images[:count], counting)
        brought.append(counting.bytes)
        # As many axes as the level has features, at most: how many there are is the data's affair.
        axes = sum(8 * width * (width + 4) for width in extractor().level_widths.values())
        assert 0 < counting.of_gaussians <= axes + 5000
    reports = 15 * 1000  # of 15 more tasks; six results each when there are folds
    assert brought[1] - brought[0] <= each * 15 * BLOCK + reports
    features = 15 * BLOCK * sum(extractor().level_widths.values()) * 4
    assert features > 10 * (each * 15 * BLOCK + reports)  # the bound would notice them


def test_sizes_are_told_to_dask():
    X = np.random.default_rng(0).normal(size=(60, 50))
    assert sys.getsizeof(gad.Moments.from_data(X)) > 50 * 50 * 8
    assert sys.getsizeof(fit_gaussian(X)) > 50 * 49 * 8


class Dying(Here):
    def each_done(self, submitted):
        yield from super().each_done(submitted)
        raise WorkersDiedError("workers died")


@pytest.mark.parametrize("count", [4, BLOCK + 1])
def test_images_that_workers_may_have_died_of_are_named(paths, count):
    first = BLOCK if count > BLOCK else 0
    expected = f"workers died; the images that were asked for last are {paths[first]} to {paths[count - 1]}"
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        fit_images(detector(), extractor(), paths[:count], Dying(), blocks_per_task=2)


class Sending(Here):
    """Counts the calls, and the bytes of their arguments that are no results of other calls."""

    def __init__(self):
        self.calls = self.bytes = 0
        self.there = []

    def submit(self, call, *args):
        self.calls += 1
        sent = [arg for arg in args if not any(arg is result for result in self.there)]
        self.bytes += len(pickle.dumps(sent))
        self.there.append(super().submit(call, *args))
        return self.there[-1]

    def answering(self, answer):
        self.there.append(answer)
        return super().answering(answer)


@pytest.mark.parametrize("threshold", ["chi2", "conformal", "cross_validated"])
def test_what_a_scheduler_keeps_does_not_grow_with_the_images(threshold):
    extractor = trivial([1])
    sent = []
    for blocks in (1, 8):
        sent.append(Sending())
        names = [f"{i:05}.png" for i in range(6 * blocks * BLOCK)]
        model = gad.GaussianDetector(extractor.level_widths, threshold=threshold)
        fit_images(model, extractor, names, sent[-1], blocks_per_task=blocks)
    assert sent[1].calls == sent[0].calls
    assert sent[1].bytes < sent[0].bytes + 16 * sent[0].calls  # longer numbers
    assert 16 * sent[0].calls < 7 * 6 * BLOCK  # the bound would notice a byte for each image
