"""A fit shared among workers gives the numbers of one process, to the last bit, whatever happens to them."""

import os
import signal

import numpy as np
import pytest
from fits import DEADLY, FIT, Colours, N, assert_same_bits, detector, extractor, state

import gad_core as gad
from gad_core.cli import main
from gad_core.distributed import OnCluster, connected, fit_images, versions
from gad_core.distributed.partition import BLOCK
from gad_core.errors import InputError
from gad_core.features import FeatureExtractor

pytestmark = pytest.mark.slow


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


def test_random_weights_are_calibrated_on_readable_images(damaged, cluster):
    network = {"weights": "random", "levels": [1], "size": 32, "progress": False}
    resnet = FeatureExtractor("resnet18", **network)
    there = fit_images(gad.GaussianDetector(threshold="chi2"), resnet, damaged[:40], cluster)
    assert there.count == 39
    expected = FeatureExtractor("resnet18", **network).fit(damaged[1:33])
    for name, values in expected.calibration_.items():
        np.testing.assert_allclose(resnet.calibration_[name], values, rtol=1e-5, err_msg=name)


def test_the_command_leaves_out_and_reports(cluster, few, tmp_path, capsys, monkeypatch):
    (few / "005.png").write_bytes(b"no image")
    monkeypatch.chdir(tmp_path)  # paths are relative here, and the workers are elsewhere
    argv = [*FIT, "--images", "few", "--scheduler", cluster.client.scheduler.address, "--fpr", "0.1"]
    assert main([*argv, "--out", "m.safetensors", "--json", "m.json"]) == 0
    out, err = capsys.readouterr()
    assert "fitted on 11 normal images" in out
    assert "005.png" in err
    assert "1 of 12 images were left out" in err
    model = gad.load("m.safetensors")
    assert model.left_out_ == 1
    assert len(model.calibration_distances_) == 11
    assert '"left_out": [' in (tmp_path / "m.json").read_text()


def test_workers_of_another_version_are_refused(cluster, monkeypatch):
    monkeypatch.setattr(versions, "__version__", "0.0.0")
    with (
        pytest.raises(InputError, match=r"has gad-core .*, this process 0\.0\.0"),
        connected(cluster.client.scheduler.address),
    ):
        pass


def test_a_worker_that_comes_later_is_checked(cluster, paths):
    late = max(cluster.client.scheduler_info()["workers"])
    there = OnCluster(cluster.client, workers=[late], allow_other_workers=False)
    cluster.client.run(setattr, versions, "__version__", "0.0.0", workers=[late])
    try:
        with pytest.raises(InputError, match=rf"worker {late} has gad-core 0\.0\.0, this process"):
            fit_images(detector(), extractor(), paths[:20], there)
    finally:
        cluster.client.run(setattr, versions, "__version__", gad.__version__, workers=[late])


# Last, because a killed worker's successor would load everything again


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


def workers_removed(cluster):
    return cluster.client.cluster.scheduler._workers_removed_total


def test_an_image_that_kills_its_worker_is_left_out_and_named(cluster, paths, tmp_path):
    images = list(paths)
    for i in (70, 71, 200):  # two in a block, and one in another
        images[i] = tmp_path / f"{i}.png"
        images[i].write_bytes(DEADLY)
    removed = workers_removed(cluster)
    colours = Colours("squeezenet1_1", weights="random", size=32, progress=False)
    # To the decoder of this process it is no image, and no more than that.
    there, here = (fit_images(gad.GaussianDetector(), colours, images, where) for where in (cluster, None))
    assert [bad.name for bad in there.unreadable] == [str(images[i]) for i in (70, 71, 200)]
    assert all("ends the process that decodes it (exit status 9)" in bad.reason for bad in there.unreadable)
    assert_same_bits(state(there.detector), state(here.detector))
    # Each of the two workers may die of a block before all are read with care.
    assert 1 <= workers_removed(cluster) - removed <= 2
