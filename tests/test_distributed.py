"""A fit shared among workers gives the numbers of one process, to the last bit, whatever happens to them."""

import os
import pickle
import signal
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import gad_core as gad
from gad_core.cache import entry_key, image_digest
from gad_core.cli import main
from gad_core.distributed import Here, OnCluster, connected, fit_images, workers
from gad_core.distributed.partition import BLOCK, MOST_TASKS, blocks_in_task, image_runs, pairwise_total
from gad_core.distributed.rows import run_rows
from gad_core.errors import InputError
from gad_core.features import FeatureExtractor
from gad_core.gaussian import fit_gaussian
from gad_core.threads import limited_threads

N = 4 * BLOCK + 30


def extractor(**options):
    return FeatureExtractor(
        "squeezenet1_1", weights="random", levels=[1, 5], size=32, progress=False, **options
    )


def detector(**options):
    return gad.GaussianDetector(extractor().level_widths, **options)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(N):
        smooth = np.kron(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), np.ones((6, 6, 1), np.uint8))
        Image.fromarray(smooth).save(folder / f"{i:03}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def damaged(paths, tmp_path_factory):
    """The same images, but the first, one in the middle and the last cannot be read."""
    folder = tmp_path_factory.mktemp("damaged")
    images = [folder / path.name for path in paths]
    for path, image in zip(paths, images, strict=True):
        image.write_bytes(path.read_bytes())
    images[0].write_bytes(b"no image")
    images[100].write_bytes(paths[100].read_bytes()[:200])
    images[-1].write_bytes(b"")
    return images


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    with connected("local:2") as on_cluster:
        on_cluster.client.wait_for_workers(2)
        yield on_cluster


def state(fitted):
    """All numbers of a fitted detector."""
    arrays = {"threshold": np.array(fitted.threshold_)}
    if fitted.threshold != "chi2":
        arrays["distances"] = fitted.calibration_distances_
    for level, g in fitted.gaussians_.items():
        arrays |= {f"{level}/{name}": np.asarray(value) for name, value in vars(g).items()}
    return arrays


def assert_same_bits(got, expected):
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)


@pytest.fixture(scope="module")
def features(paths):
    with limited_threads(1):
        return extractor().transform(paths)


@pytest.fixture(scope="module")
def alone(paths):
    return state(fit_images(detector(), extractor(), paths).detector)


# The order of sums


@given(st.integers(0, 200), st.integers(0, 6), st.sets(st.integers(0, 199)))
def test_runs_of_the_tree_give_the_tree(n, k, missing):
    parts = [None if i in missing else str(i) for i in range(n)]
    runs = [parts[i : i + 2**k] for i in range(0, n, 2**k)]

    def total(some):
        return pairwise_total(some, lambda left, right: f"({left} {right})")

    assert total(map(total, runs)) == total(parts)
    named = [i for i in range(n) if i not in missing]
    assert [int(i) for i in (total(parts) or "").replace("(", "").replace(")", "").split()] == named


def test_the_tree_holds_few_sums():
    held, most = 0, 0

    def parts():
        nonlocal held, most
        for _ in range(1000):
            held += 1
            most = max(most, held)
            yield 1

    def add(left, right):
        nonlocal held
        held -= 1
        return left + right

    assert pairwise_total(parts(), add) == 1000
    assert most <= 11


@given(st.integers(1, 10**8))
def test_tasks_are_few_and_aligned(n):
    blocks = blocks_in_task(n)
    runs = image_runs(n)
    assert len(runs) <= MOST_TASKS
    assert blocks & (blocks - 1) == 0
    assert blocks == 1 or len(runs) > MOST_TASKS / 4
    assert [i for run in runs for i in (run.start, run.stop)] == [
        min(edge, n) for i in range(len(runs)) for edge in (i * BLOCK * blocks, (i + 1) * BLOCK * blocks)
    ]


@pytest.mark.parametrize("blocks", [0, 3, -2, 1.0])
def test_only_powers_of_two_are_runs(blocks):
    with pytest.raises(InputError, match="power of two"):
        image_runs(10, blocks)


# The same numbers


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


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_the_partition_does_not_show(cluster, paths, alone, blocks):
    got = fit_images(detector(), extractor(), paths, cluster, blocks_per_task=blocks)
    assert_same_bits(state(got.detector), alone)
    assert (got.count, got.unreadable) == (N, [])


def test_the_partition_does_not_show_in_openvino(paths, cluster):
    pytest.importorskip("openvino", reason="the package openvino is not installed (extra fast)")
    few = paths[: BLOCK + 10]
    fits = [
        fit_images(detector(threshold="chi2"), extractor(runtime="openvino"), few, where)
        for where in (None, cluster)
    ]
    assert_same_bits(*(state(fit.detector) for fit in fits))


def test_one_worker_gives_what_two_give(cluster, paths, alone):
    first = min(cluster.client.scheduler_info()["workers"])
    one = OnCluster(cluster.client, workers=[first], allow_other_workers=False)
    assert_same_bits(state(fit_images(detector(), extractor(), paths, one).detector), alone)


@pytest.mark.parametrize("threshold", ["conformal", "chi2"])
def test_other_thresholds_are_the_same_on_workers(cluster, paths, threshold):
    options = {"threshold": threshold, "combine": "joint"}
    here = fit_images(detector(**options), extractor(), paths).detector
    there = fit_images(detector(**options), extractor(), paths, cluster).detector
    assert_same_bits(state(there), state(here))


def test_what_the_cache_holds_does_not_show(paths, tmp_path, alone):
    cached = extractor(cache=tmp_path)
    assert_same_bits(state(fit_images(detector(), cached, paths).detector), alone)
    for path in paths[5::BLOCK]:  # alone in its batch, an image's features are rounded otherwise
        key = entry_key(image_digest(path.read_bytes()), cached._spec().recipe())
        cached.open_cache().path(key).unlink()
    assert_same_bits(state(fit_images(detector(), cached, paths).detector), alone)


# Images that cannot be read


def test_unreadable_images_do_not_touch_the_others(paths, damaged):
    whole, partial = run_rows(extractor(), paths, 0), run_rows(extractor(), damaged, 0)
    assert [bad.name for bad in partial.unreadable] == [str(damaged[i]) for i in (0, 100, N - 1)]
    assert "truncated" in partial.unreadable[1].reason
    kept = np.delete(np.concatenate(whole.blocks), [0, 100, N - 1], axis=0)
    np.testing.assert_array_equal(np.concatenate(partial.blocks), kept)


def test_unreadable_images_are_left_out_and_named(cluster, damaged, tmp_path):
    here = fit_images(detector(), extractor(), damaged, blocks_per_task=2)
    there = fit_images(detector(), extractor(cache=tmp_path), damaged, cluster)
    assert here.count == N - 3
    assert here.unreadable == there.unreadable
    assert [bad.name for bad in there.unreadable] == [str(damaged[i]) for i in (0, 100, N - 1)]
    assert_same_bits(state(there.detector), state(here.detector))
    readable = [damaged[i] for i in range(1, N - 1) if i != 100]
    plain = detector().fit(extractor().transform(readable))
    assert here.detector.threshold_ == pytest.approx(plain.threshold_, rel=1e-6)  # other batches


def test_a_block_without_a_readable_image(paths, features, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"")
    images = [*[broken] * BLOCK, *paths]
    fit, other = (fit_images(detector(), extractor(), images, blocks_per_task=n) for n in (1, 2))
    assert fit.count == N
    assert len(fit.unreadable) == BLOCK
    assert_same_bits(state(fit.detector), state(other.detector))
    assert fit.detector.threshold_ == pytest.approx(detector().fit(features).threshold_, rel=1e-9)


def test_random_weights_are_calibrated_on_readable_images(damaged, cluster):
    network = {"weights": "random", "levels": [1], "size": 32, "progress": False}
    resnet = FeatureExtractor("resnet18", **network)
    there = fit_images(gad.GaussianDetector(threshold="chi2"), resnet, damaged[:40], cluster)
    assert there.count == 39
    expected = FeatureExtractor("resnet18", **network).fit(damaged[1:33])
    for name, values in expected.calibration_.items():
        np.testing.assert_allclose(resnet.calibration_[name], values, rtol=1e-5, err_msg=name)


def test_no_readable_image_at_all(damaged):
    with pytest.raises(InputError, match=r"none of 2 images can be read .*same paths"):
        fit_images(detector(), extractor(), [damaged[0], damaged[-1]])


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


# What reaches the process that asks


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
        fit_images(detector(threshold=threshold), extractor(), images[:count], counting)
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


# The command


FIT = [
    "fit",
    "--backbone",
    "squeezenet1_1",
    "--weights",
    "random",
    "--levels",
    "1-2",
    "--quiet",
    "--no-cache",
]


@pytest.fixture
def few(paths, tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    for path in paths[:12]:
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_the_command_leaves_out_and_reports(cluster, few, tmp_path, capsys, monkeypatch):
    (few / "005.png").write_bytes(b"no image")
    monkeypatch.chdir(tmp_path)  # paths are relative here, and the workers are elsewhere
    argv = [
        *FIT,
        "--images",
        "few",
        "--scheduler",
        cluster.client.scheduler.address,
        "--out",
        "m.safetensors",
    ]
    assert main([*argv, "--json", "m.json", "--fpr", "0.1"]) == 0
    out, err = capsys.readouterr()
    assert "fitted on 11 normal images" in out
    assert "005.png" in err
    assert "1 of 12 images were left out" in err
    model = gad.load("m.safetensors")
    assert model.left_out_ == 1
    assert len(model.calibration_distances_) == 11
    assert '"left_out": [' in (tmp_path / "m.json").read_text()


def test_own_workers_end_when_interrupted():
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    pids = {}

    def work():
        with connected("local:1") as own:
            pids.update(own.client.run(os.getpid))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert len(pids) == 1
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("scheduler", ["local:0", "local:two", "local:-1"])
def test_a_number_of_workers_that_is_none(few, tmp_path, capsys, scheduler):
    assert main([*FIT, "--images", str(few), "--scheduler", scheduler, "--out", str(tmp_path / "m")]) == 2
    assert "local:2 for two workers" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", "ftp://host:1"])
def test_an_address_that_does_not_answer(few, tmp_path, capsys, monkeypatch, address):
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.5)
    assert main([*FIT, "--images", str(few), "--scheduler", address, "--out", str(tmp_path / "m")]) == 2
    err = capsys.readouterr().err
    assert f"no Dask scheduler answers at {address}" in err
    assert err.count("\n") == 1


def test_a_scheduler_without_workers(monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 1)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as empty,
        pytest.raises(InputError, match="has no worker"),
        connected(empty.scheduler_address),
    ):
        pass


def test_workers_with_several_threads_are_refused():
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    options = {"processes": False, "dashboard_address": "127.0.0.1:0"}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, **options) as wide,
        pytest.raises(InputError, match=r"has 2 threads, .* --nthreads 1"),
        connected(wide.scheduler_address),
    ):
        pass


def test_workers_of_another_version_are_refused(cluster, monkeypatch):
    monkeypatch.setattr(workers, "__version__", "0.0.0")
    with (
        pytest.raises(InputError, match=r"has gad-core .*, this process 0\.0\.0"),
        connected(cluster.client.scheduler.address),
    ):
        pass


def test_without_dask_the_remedy_is_named(few, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main([*FIT, "--images", str(few), "--scheduler", "local:2", "--out", str(tmp_path / "m")]) == 2
    assert 'pip install "gad-core[dask]"' in capsys.readouterr().err


# Last, because the killed worker's successor would load everything again


def test_a_killed_worker_loses_nothing(cluster, paths, alone):
    class Killing(OnCluster):
        killed = None

        def each_done(self, submitted):
            for done in super().each_done(submitted):
                yield done
                if self.killed is None:
                    self.killed = min(self.client.run(os.getpid).values())
                    os.kill(self.killed, signal.SIGKILL)

    some = Killing(cluster.client)
    assert_same_bits(state(fit_images(detector(), extractor(), paths, some).detector), alone)
    with pytest.raises(ProcessLookupError):
        os.kill(some.killed, 0)
