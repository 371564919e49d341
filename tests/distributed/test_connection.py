"""Connecting to workers, and what is refused before."""

import os
import sys

import pytest
from fits import FIT

from gad_core.cli import main
from gad_core.distributed import cluster, connected
from gad_core.errors import InputError

pytestmark = pytest.mark.slow


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


NO_SCHEDULERS = ["local:0", "local:two", "local:-1", "local:", "", "nowhere", "tcp://host", "tcp://:8786",
                 "tcp://host:0", "tcp://host:65536", "ftp://host:1", "host:1/", "two words:1"]  # fmt: skip


@pytest.mark.parametrize("scheduler", NO_SCHEDULERS)
def test_what_is_neither_local_nor_an_address(few, tmp_path, capsys, monkeypatch, scheduler):
    monkeypatch.setattr(cluster, "_client", lambda _: pytest.fail("Dask is asked"))
    assert main([*FIT, "--images", str(few), "--scheduler", scheduler, "--out", str(tmp_path / "m")]) == 2
    err = capsys.readouterr().err
    assert f'"{scheduler}" is no scheduler: write local, local:2 for two workers, or an address' in err
    assert err.count("\n") == 1
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "127.0.0.1:1", "tls://[::1]:1", "ws://my-host.de:1"]
)
def test_addresses_as_dask_writes_them(address):
    assert cluster._is_address(address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "127.0.0.1:1"])
def test_an_address_that_does_not_answer(few, tmp_path, capsys, monkeypatch, address):
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    assert main([*FIT, "--images", str(few), "--scheduler", address, "--out", str(tmp_path / "m")]) == 2
    err = capsys.readouterr().err
    assert f"no Dask scheduler answers at {address}" in err
    assert err.count("\n") == 1


def test_a_scheduler_without_workers(monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
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


def test_without_dask_the_remedy_is_named(few, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main([*FIT, "--images", str(few), "--scheduler", "local:2", "--out", str(tmp_path / "m")]) == 2
    assert 'pip install "gad-core[dask]"' in capsys.readouterr().err


@pytest.mark.parametrize(("options", "message"), [
    (["--reduce", "pca:0.9"], "cannot be fitted from moments"),
    (["--threshold", "conformal"], "at least 19 calibration samples, there are 3"),
])  # fmt: skip
def test_what_cannot_be_fitted_is_refused_before_workers_start(
    few, tmp_path, capsys, monkeypatch, options, message
):
    monkeypatch.setattr("gad_core.cli.fit.connected", lambda _: pytest.fail("workers are started"))
    out = tmp_path / "m"
    argv = [*FIT, "--images", str(few), "--scheduler", "local:2", "--out", str(out)]
    assert main([*argv, *options]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
